//! Names of files: raw key components and what a file system, the mount or a UnixFS directory, shows for them (S2).
//!
//! A key component may be what no file name can be (empty, `.`, `..`), an object may have the name of a directory, and
//! a directory may have content of its own. Those are shown escaped, behind the introducer `%@`; a raw name that
//! begins with the introducer has it doubled, so that no two things share a shown name. Metadata never holds an
//! escape: this file is the only one that knows them.

use std::borrow::Cow;

use super::mount_types::{Form, MAX_NAME_LEN, Name};

const INTRODUCER: &[u8] = b"%@";
const EMPTY: &[u8] = b"%@empty";
const DOT: &[u8] = b"%@dot";
const DOT_DOT: &[u8] = b"%@dotdot";
const MARKER: &[u8] = b"%@self";
const OBJECT: &[u8] = b"%@object:";

/// Why a shown name stands for no raw name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It begins with the introducer and is none of the escapes, or is `.`, `..` or empty.
    Unknown,
    /// It is not UTF-8, so that S3 has no word for it (S10).
    NotUtf8,
    /// The raw name is longer than [`MAX_NAME_LEN`].
    TooLong,
}

/// What is shown for a raw name.
pub fn shown(name: &[u8], form: Form) -> Cow<'_, [u8]> {
    match form {
        Form::Marker => Cow::Borrowed(MARKER),
        Form::Object => Cow::Owned([OBJECT, name].concat()),
        Form::Plain => match name {
            b"" => Cow::Borrowed(EMPTY),
            b"." => Cow::Borrowed(DOT),
            b".." => Cow::Borrowed(DOT_DOT),
            _ if name.starts_with(INTRODUCER) => Cow::Owned([INTRODUCER, name].concat()),
            _ => Cow::Borrowed(name),
        },
    }
}

/// The raw name behind a shown one.
pub fn raw(shown: &[u8]) -> Result<Name<'_>, BadName> {
    let name = match shown.strip_prefix(INTRODUCER) {
        None if matches!(shown, b"" | b"." | b"..") => return Err(BadName::Unknown),
        None => Name::plain(shown),
        Some(rest) if rest.starts_with(INTRODUCER) => Name::plain(rest),
        Some(_) => match shown {
            EMPTY => Name::plain(b""),
            DOT => Name::plain(b"."),
            DOT_DOT => Name::plain(b".."),
            MARKER => Name { bytes: b"", form: Form::Marker },
            _ => match shown.strip_prefix(OBJECT) {
                // An object of no name below `d` would be the key `d/`, which is the marker: `%@self`.
                Some(bytes) if !bytes.is_empty() => Name { bytes, form: Form::Object },
                _ => return Err(BadName::Unknown),
            },
        },
    };
    if name.bytes.len() > MAX_NAME_LEN {
        return Err(BadName::TooLong);
    }
    if std::str::from_utf8(name.bytes).is_err() {
        return Err(BadName::NotUtf8);
    }
    Ok(name)
}

/// Every shown name that a change of the raw name `name` may concern.
pub fn all_shown(name: &[u8]) -> [Cow<'_, [u8]>; 2] {
    // The marker's own content is named by the empty component too.
    let other = if name.is_empty() { Form::Marker } else { Form::Object };
    [shown(name, Form::Plain), shown(name, other)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::*;

    #[test]
    fn s2_the_table() {
        for (bytes, form, expected) in [
            ("", Form::Plain, "%@empty"),
            (".", Form::Plain, "%@dot"),
            ("..", Form::Plain, "%@dotdot"),
            ("a", Form::Object, "%@object:a"),
            ("", Form::Marker, "%@self"),
            ("%@x", Form::Plain, "%@%@x"),
            ("%@", Form::Plain, "%@%@"),
            ("%@empty", Form::Plain, "%@%@empty"),
            ("%@%@", Form::Plain, "%@%@%@"),
            ("%@x", Form::Object, "%@object:%@x"),
            ("..", Form::Object, "%@object:.."),
            ("%", Form::Plain, "%"),
            ("@%@", Form::Plain, "@%@"),
            ("...", Form::Plain, "..."),
        ] {
            assert_eq!(shown(bytes.as_bytes(), form), expected.as_bytes());
            assert_eq!(raw(expected.as_bytes()), Ok(Name { bytes: bytes.as_bytes(), form }));
        }
    }

    #[test]
    fn what_is_no_escape_stands_for_no_name() {
        for bad in ["%@", "%@x", "%@Empty", "%@empty2", "%@dot.", "%@object", "%@object:", "%@selfish", ".", "..", ""] {
            assert_eq!(raw(bad.as_bytes()), Err(BadName::Unknown), "{bad}");
        }
        assert_eq!(raw(b"a\xff"), Err(BadName::NotUtf8));
    }

    #[test]
    fn s2_names_of_256_to_1024_bytes_are_served_as_they_are() {
        let longest = vec![b'n'; MAX_NAME_LEN];
        assert_eq!(raw(&longest), Ok(Name::plain(&longest)));
        let over = vec![b'n'; MAX_NAME_LEN + 1];
        assert_eq!(raw(&over), Err(BadName::TooLong));
        // The limit is the key component's, not the escape's.
        let hidden = shown(&longest, Form::Object).into_owned();
        assert_eq!(raw(&hidden), Ok(Name { bytes: &longest, form: Form::Object }));
        assert_eq!(raw(&shown(&over, Form::Object)), Err(BadName::TooLong));
    }

    #[test]
    fn a_change_concerns_each_form() {
        assert_eq!(all_shown(b"a"), [Cow::Borrowed(&b"a"[..]), Cow::Borrowed(b"%@object:a")]);
        assert_eq!(all_shown(b""), [Cow::Borrowed(&b"%@empty"[..]), Cow::Borrowed(b"%@self")]);
    }

    /// Components that S3 accepts, the odd ones often.
    fn component() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            proptest::sample::select(vec!["%@", "%", "@", ".", "..", "empty", "dot", "self", "object:", "a", ""])
                .prop_map(str::to_owned),
            any::<String>().prop_map(|s| s.replace(['/', '\0'], "")),
        ];
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    /// A component and one of the forms in which it can be shown.
    fn thing() -> impl Strategy<Value = (String, Form)> {
        (component(), any::<bool>()).prop_map(|(name, plain)| match (plain, name.is_empty()) {
            (true, _) => (name, Form::Plain),
            (false, true) => (name, Form::Marker),
            (false, false) => (name, Form::Object),
        })
    }

    proptest! {
        #[test]
        fn s2_every_component_of_every_key_comes_back(key in component(), (name, form) in thing()) {
            for component in key.split('/').chain([name.as_str()]) {
                let path = shown(component.as_bytes(), Form::Plain);
                assert_eq!(raw(&path), Ok(Name::plain(component.as_bytes())));
            }
            let path = shown(name.as_bytes(), form);
            assert!(!path.is_empty() && *path != *b"." && *path != *b".." && !path.contains(&b'/'));
            assert_eq!(raw(&path), Ok(Name { bytes: name.as_bytes(), form }));
        }

        #[test]
        fn s2_no_two_things_share_a_path(things in proptest::collection::vec(thing(), 2..40)) {
            let mut seen = HashMap::new();
            for thing in things {
                let path = shown(thing.0.as_bytes(), thing.1).into_owned();
                let first = seen.entry(path).or_insert_with(|| thing.clone());
                assert_eq!(*first, thing);
            }
        }

        #[test]
        fn a_path_has_one_name(path in component()) {
            if let Ok(name) = raw(path.as_bytes()) {
                assert_eq!(*shown(name.bytes, name.form), *path.as_bytes());
            }
        }
    }
}
