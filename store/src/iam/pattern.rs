//! Text of policies with wildcards and variables: `*` is any text, `?` any one character, `${key}` a value of the
//! request, `${key, 'default'}` with a default, and `${*}`, `${?}`, `${$}` the characters themselves.

use super::context::Context;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Char(char),
    One,
    Any,
}

/// Whether `pattern` matches `text`. With `variables`, these are put in first; one that the request does not have
/// makes the pattern match nothing.
pub(super) fn matches(pattern: &str, text: &str, variables: Option<&Context>) -> bool {
    match tokens(pattern, variables, true) {
        Some(tokens) => tokens_match(&tokens, text),
        None => false,
    }
}

/// The same, without regard to ASCII case and without variables (actions).
pub(super) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase(), None)
}

/// The text with variables put in and no wildcards; `None` if the request does not have one of them.
pub(super) fn expand(text: &str, variables: Option<&Context>) -> Option<String> {
    let tokens = tokens(text, variables, false)?;
    Some(tokens.into_iter().filter_map(|t| if let Token::Char(c) = t { Some(c) } else { None }).collect())
}

fn tokens(pattern: &str, variables: Option<&Context>, wildcards: bool) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some(context) = variables
            && let Some((name, after)) = rest.strip_prefix("${").and_then(|r| r.split_once('}'))
        {
            tokens.extend(value(name, context)?.chars().map(Token::Char));
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        tokens.push(match c {
            '*' if wildcards => Token::Any,
            '?' if wildcards => Token::One,
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

fn value(name: &str, context: &Context) -> Option<String> {
    if matches!(name, "*" | "?" | "$") {
        return Some(name.to_owned());
    }
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        None => (name, None),
    };
    match (context.get(key), default) {
        ([one], _) => Some(one.clone()),
        (_, Some(default)) => Some(default.to_owned()),
        _ => None,
    }
}

/// Greedy, with one place to come back to: the last `*`. At worst the product of both lengths.
fn tokens_match(tokens: &[Token], text: &str) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let next = rest.chars().next();
        match (tokens.get(at), next) {
            (Some(Token::Any), _) => {
                at += 1;
                retry = Some((at, rest));
                continue;
            }
            (None, None) => return true,
            (Some(Token::One), Some(c)) => {
                at += 1;
                rest = &rest[c.len_utf8()..];
                continue;
            }
            (Some(Token::Char(expected)), Some(c)) if *expected == c => {
                at += 1;
                rest = &rest[c.len_utf8()..];
                continue;
            }
            _ => {}
        }
        let Some((star, from)) = retry else { return false };
        let Some(c) = from.chars().next() else { return false };
        let shorter = &from[c.len_utf8()..];
        (at, rest, retry) = (star, shorter, Some((star, shorter)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    /// The definition, as slow as it is plain.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
            Some(('?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_it_is_defined_to_be(pattern in "[ab*?ä]{0,8}", text in "[abä]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text, None), naive(&p, &t));
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_slow() {
        let pattern = "*a".repeat(5000);
        assert!(!matches(&pattern, &"a".repeat(4999), None));
    }

    #[test]
    fn variables_are_text_and_no_patterns() {
        let mut context = Context::default();
        context.add("aws:username", "a*");
        assert!(matches("home/${aws:username}/*", "home/a*/x", Some(&context)));
        assert!(!matches("home/${aws:username}/*", "home/abc/x", Some(&context)));
        assert!(!matches("${s3:prefix}*", "anything", Some(&context)), "one that is not there matches nothing");
        assert!(matches("${s3:prefix, 'any'}*", "anything", Some(&context)));
        assert!(matches("${*}?", "*x", Some(&context)) && !matches("${*}", "x", Some(&context)));
        assert!(matches("${aws:username}", "${aws:username}", None), "documents of 2008 have none");
        assert_eq!(expand("${AWS:UserName}-${$}*", Some(&context)).as_deref(), Some("a*-$*"));
    }

    #[test]
    fn actions_have_no_case() {
        assert!(matches_ignoring_case("S3:get*", "s3:GetObject"));
        assert!(!matches_ignoring_case("s3:Get?", "s3:GetObject"));
    }
}
