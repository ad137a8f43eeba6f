//! `entity-bytes`: a range of a file whose ends may be counted from its end.

/// From one byte to another, both included; negative ones are counted from the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// The first byte.
    pub from: i64,
    /// The last byte; none for the file's last.
    pub to: Option<i64>,
}

impl ByteRange {
    /// Reads `FROM:TO`, where TO may be `*`. None if it is not that, or names an empty range at once.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        let from = number(from)?;
        let to = if to == "*" { None } else { Some(number(to)?) };
        let backwards = to.is_some_and(|to| (from < 0) == (to < 0) && to < from);
        (!backwards).then_some(Self { from, to })
    }

    /// The bytes of a file of `size` bytes that it names; empty if none.
    pub fn within(self, size: u64) -> std::ops::Range<u64> {
        let place = |n: i64| {
            if n < 0 { i128::from(size) + i128::from(n) } else { i128::from(n) }
        };
        let end = self.to.map_or(i128::from(size), |to| place(to) + 1).clamp(0, i128::from(size));
        let begin = place(self.from).clamp(0, end);
        // Both lie within 0 ..= size.
        begin as u64..end as u64
    }
}

/// Digits, perhaps behind a minus; no plus, no blanks.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}
