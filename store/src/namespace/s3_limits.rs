//! What S3 allows of user metadata, tags and a content type, at whichever door they are set: over S3 what is more is
//! refused in AWS's words, at the mount with an `errno` (S11).

/// Most bytes of an object's user metadata: names (without `x-amz-meta-`) and values.
pub const MAX_USER_METADATA: usize = 2048;
/// Most bytes of one of S3's own headers of an object.
pub const MAX_HEADER: usize = 2048;
/// Most tags of an object.
pub const MAX_OBJECT_TAGS: usize = 10;
/// Most characters of a tag's key.
const MAX_TAG_KEY: usize = 128;
/// Most characters of a tag's value.
const MAX_TAG_VALUE: usize = 256;

/// Bytes of user metadata as S3 counts them.
pub fn metadata_size(user: &[(String, String)]) -> usize {
    user.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Whether user metadata can have this name: a lower-case header's, since S3 gives names back in lower case.
pub fn is_metadata_name(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(token)
}

/// Whether a header can carry this value: what is not ASCII goes encoded, the end of a line goes not.
pub fn is_metadata_value(value: &str) -> bool {
    !value.contains(['\r', '\n', '\0'])
}

/// Whether a header carries this text as it is.
pub fn is_header_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
}

/// Whether a tag can have this key (one that begins with `aws:` belongs to AWS, whoever asks).
pub fn is_tag_key(key: &str) -> bool {
    !key.is_empty() && is_tag_text(key, MAX_TAG_KEY)
}

/// Whether a tag can have this value.
pub fn is_tag_value(value: &str) -> bool {
    is_tag_text(value, MAX_TAG_VALUE)
}

/// Whether it is a key that only AWS sets.
pub fn is_system_tag(key: &str) -> bool {
    key.starts_with("aws:")
}

/// Letters, digits, spaces and `+ - = . _ : / @`, as AWS allows them.
fn is_tag_text(text: &str, most: usize) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "+-=._:/@".contains(c);
    text.chars().count() <= most && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{is_header_value, is_metadata_name, is_metadata_value, is_tag_key, is_tag_value};

    #[test]
    fn names_and_values() {
        assert!(is_metadata_name("colour") && is_metadata_name("a-b_c.1"));
        assert!(["", "Colour", "a b", "a:b", "gr\u{fc}n"].iter().all(|name| !is_metadata_name(name)));
        assert!(is_metadata_value("gr\u{fc}n \t") && is_metadata_value(""));
        assert!(["a\nb", "a\r", "\0"].iter().all(|value| !is_metadata_value(value)));
        assert!(is_header_value("text/plain; charset=utf-8"));
        assert!(["", "a\n", "gr\u{fc}n", "\u{7f}"].iter().all(|value| !is_header_value(value)));
    }

    #[test]
    fn tags_are_counted_in_characters() {
        assert!(is_tag_key(&"\u{fc}".repeat(128)) && !is_tag_key(&"k".repeat(129)) && !is_tag_key(""));
        assert!(is_tag_value(&"\u{fc}".repeat(256)) && !is_tag_value(&"v".repeat(257)) && is_tag_value(""));
        assert!(is_tag_value("a b+-=._:/@1") && !is_tag_value("<") && !is_tag_value("a\nb"));
    }
}
