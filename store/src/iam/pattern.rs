//! Text of policies with wildcards and variables: `*` is any text, `?` any one character, `${key}` a value of the
//! request, `${key, 'default'}` with a default, and `${*}`, `${?}`, `${$}` the characters themselves.

use std::collections::HashMap;

use super::context::Context;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Char(char),
    One,
    Any,
}

/// Most characters that variables may make of a text that is compared as a whole: what is longer equals nothing.
const LONGEST: usize = 64 * 1024;

/// Whether `pattern` matches `text`. With `variables`, these are put in first; one that the request does not have
/// makes the pattern match nothing.
pub(super) fn matches(pattern: &str, text: &str, variables: Option<&Context>) -> bool {
    matches_in(pattern, text, variables, &mut 0)
}

/// The same; `steps` counts what it took.
fn matches_in(pattern: &str, text: &str, variables: Option<&Context>, steps: &mut u64) -> bool {
    // With more characters of its own than the text has, a pattern does not match: a variable that is a long header of
    // the request and stands in a policy a thousand times is not put together.
    match tokens(pattern, variables, true, text.len()) {
        Some(tokens) => {
            *steps += tokens.len() as u64;
            tokens_match(&tokens, text, steps)
        }
        None => false,
    }
}

/// The same, without regard to ASCII case and without variables (actions).
pub(super) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase(), None)
}

/// The text with variables put in and no wildcards; `None` if the request does not have one of them.
pub(super) fn expand(text: &str, variables: Option<&Context>) -> Option<String> {
    let tokens = tokens(text, variables, false, LONGEST)?;
    Some(tokens.into_iter().filter_map(|t| if let Token::Char(c) = t { Some(c) } else { None }).collect())
}

/// `None` also if there are more than `most` that stand for a character.
fn tokens(pattern: &str, variables: Option<&Context>, wildcards: bool, most: usize) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let (mut rest, mut room) = (pattern, most);
    while let Some(c) = rest.chars().next() {
        if let Some(context) = variables
            && let Some((name, after)) = rest.strip_prefix("${").and_then(|r| r.split_once('}'))
        {
            let value = value(name, context)?;
            room = room.checked_sub(value.chars().count())?;
            tokens.extend(value.chars().map(Token::Char));
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        let token = match c {
            '*' if wildcards => Token::Any,
            '?' if wildcards => Token::One,
            c => Token::Char(c),
        };
        room = room.checked_sub(usize::from(token != Token::Any))?;
        tokens.push(token);
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

/// Greedy: what stands between two `*` is taken where it is found first. That is right, since what follows finds the most
/// text left over, and makes the work the sum, not the product, of the lengths: each character of the text is looked at
/// once a pattern (once for each 64 characters between two `*`, where there is a `?` among them).
fn tokens_match(tokens: &[Token], text: &str, steps: &mut u64) -> bool {
    let mut pieces: Vec<&[Token]> = tokens.split(|token| *token == Token::Any).collect();
    let first = pieces.remove(0);
    let Some(taken) = prefix(first, text, steps) else { return false };
    let mut rest = &text[taken..];
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(end) = find(piece, rest, steps) else { return false };
        rest = &rest[end..];
    }
    // From its end, the last piece has one place only.
    let Some((start, _)) = rest.char_indices().rev().nth(last.len().wrapping_sub(1)) else { return last.is_empty() };
    prefix(last, &rest[start..], steps) == Some(rest.len() - start)
}

/// The bytes of `text` that a piece without `*` matches at its beginning.
fn prefix(piece: &[Token], text: &str, steps: &mut u64) -> Option<usize> {
    let mut chars = text.char_indices();
    for token in piece {
        *steps += 1;
        match (token, chars.next()) {
            (Token::One, Some(_)) => {}
            (Token::Char(expected), Some((_, c))) if *expected == c => {}
            _ => return None,
        }
    }
    Some(chars.next().map_or(text.len(), |(at, _)| at))
}

/// Where the first match of a piece without `*` ends.
fn find(piece: &[Token], text: &str, steps: &mut u64) -> Option<usize> {
    if !piece.contains(&Token::One) {
        let plain: String =
            piece.iter().filter_map(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect();
        let end = text.find(&plain).map(|at| at + plain.len());
        *steps += end.unwrap_or(text.len()) as u64;
        return end;
    }
    // All places at once, a bit each (Baeza-Yates and Gonnet's Shift-And): bit n says that the last n + 1 characters
    // match the first n + 1 of the piece.
    let words = piece.len().div_ceil(64);
    let mut any = vec![0u64; words];
    let mut of: HashMap<char, Vec<u64>> = HashMap::new();
    for (n, token) in piece.iter().enumerate() {
        let mask = match token {
            Token::Char(c) => of.entry(*c).or_insert_with(|| vec![0; words]),
            Token::One | Token::Any => &mut any,
        };
        mask[n / 64] |= 1 << (n % 64);
    }
    let none = vec![0u64; words];
    let (full, mut state) = (piece.len() - 1, none.clone());
    for (at, c) in text.char_indices() {
        *steps += words as u64;
        let here = of.get(&c).unwrap_or(&none);
        let mut carry = 1;
        for (n, word) in state.iter_mut().enumerate() {
            let shifted = (*word << 1) | carry;
            carry = *word >> 63;
            *word = shifted & (here[n] | any[n]);
        }
        if state[full / 64] >> (full % 64) & 1 == 1 {
            return Some(at + c.len_utf8());
        }
    }
    None
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

        /// Pieces that need more than one word of bits.
        #[test]
        fn long_pieces_are_found(before in "[ab]{0,9}", piece in "[ab]{60,200}", at in 0usize..60, after in "[ab]{0,9}") {
            let text = format!("{before}{piece}{after}");
            let mut asked: Vec<char> = piece.chars().collect();
            asked[at] = '?';
            let asked: String = asked.into_iter().collect();
            assert!(matches(&format!("*{asked}*"), &text, None));
            assert!(matches(&format!("*{asked}{after}"), &text, None));
            assert!(!matches(&format!("*{asked}c*"), &text, None));
        }
    }

    /// What a policy of 20 KiB (S3's limit) may cost against the longest value that a request brings (8 KiB of headers):
    /// in steps, since time says more of the machine.
    #[test]
    fn a_hostile_policy_is_not_slow() {
        const POLICY: usize = 20 * 1024;
        let text = "a".repeat(8 * 1024);
        let piece = |length: usize, end: &str| format!("*{}{end}*", "a".repeat(length));
        let hostile = [
            "*a".repeat(POLICY / 2),
            format!("{}b", "*a".repeat(POLICY / 2)),
            "*?".repeat(POLICY / 2),
            piece(POLICY / 2, "b"),
            piece(1000, "b"),
            piece(1000, "?b"),
            piece(60, "?b"),
            "*a?a*b".to_owned(),
            "*b*".to_owned(),
            "*b".to_owned(),
            "?*b".to_owned(),
        ];
        for pattern in hostile {
            let (mut steps, number) = (0, POLICY / pattern.len());
            for _ in 0..number {
                matches_in(&pattern, &text, None, &mut steps);
            }
            // Each pattern looks at the text once; long pieces with `?` once for each 64 of their characters.
            let bound = (number * text.len() + POLICY * text.len() / 64 + 2 * POLICY) as u64;
            assert!(steps <= bound, "{} of {} characters: {steps}, not {bound}", &pattern[..4], pattern.len());
        }
    }

    #[test]
    fn variables_do_not_make_a_pattern_grow_without_end() {
        let mut context = Context::default();
        context.add("aws:UserAgent", "a".repeat(4000));
        let pattern = "${aws:UserAgent}".repeat(1000);
        let grown = tokens(&pattern, Some(&context), true, 8000);
        assert!(grown.is_none(), "it is given up at the text's length");
        assert!(matches("${aws:UserAgent}${aws:UserAgent}", &"a".repeat(8000), Some(&context)));
        assert_eq!(expand(&pattern, Some(&context)), None);
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
