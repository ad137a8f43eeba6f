//! Which bytes of an object a read asks for: `Range`, `partNumber`, `x-amz-copy-source-range`.

use pinfold_store::meta::rows::PartInfo;
use s3s::dto::Range;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::error::{bad_argument, custom, invalid_request, plain, with_detail};

/// A part of an object, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// First byte.
    pub(crate) start: u64,
    /// Byte after the last.
    pub(crate) end: u64,
    /// The answer is `206` with a `Content-Range`.
    pub(crate) partial: bool,
    /// The part that was asked for by number, of how many.
    pub(crate) part: Option<(u32, usize)>,
}

impl Slice {
    /// Number of bytes.
    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// `bytes FIRST-LAST/SIZE` for a partial answer.
    pub(crate) fn content_range(&self, size: u64) -> Option<String> {
        (self.partial && self.end > self.start).then(|| format!("bytes {}-{}/{size}", self.start, self.end - 1))
    }
}

/// Resolves a GET's or HEAD's `Range` and `partNumber` against an object. (Several ranges and headers that are no byte
/// range were dropped before: S3 answers them with the whole object.)
pub(crate) fn resolve(
    size: u64,
    parts: &[PartInfo],
    range: Option<Range>,
    part_number: Option<i32>,
) -> S3Result<Slice> {
    let whole = Slice { start: 0, end: size, partial: false, part: None };
    match (range, part_number) {
        (Some(_), Some(_)) => Err(invalid_request("Cannot specify both Range header and partNumber query parameter")),
        (None, None) => Ok(whole),
        (None, Some(number)) => resolve_part(whole, parts, number),
        (Some(range), None) => {
            if size == 0 && matches!(range, Range::Suffix { length: 1.. }) {
                // The last bytes of nothing are all of it.
                return Ok(whole);
            }
            let (start, end) = bytes(range, size).ok_or_else(|| unsatisfiable(&range, size))?;
            Ok(Slice { start, end, partial: true, part: None })
        }
    }
}

fn unsatisfiable(range: &Range, size: u64) -> S3Error {
    let error = with_detail(plain(S3ErrorCode::InvalidRange), "RangeRequested", &range.to_header_string());
    with_detail(error, "ActualObjectSize", &size.to_string())
}

fn bytes(range: Range, size: u64) -> Option<(u64, u64)> {
    match range {
        Range::Int { first, last } => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            (first < end).then_some((first, end))
        }
        Range::Suffix { length } => {
            let start = size.saturating_sub(length);
            (start < size).then_some((start, size))
        }
    }
}

fn resolve_part(whole: Slice, parts: &[PartInfo], number: i32) -> S3Result<Slice> {
    let number = check_part_number(number)?;
    if parts.is_empty() {
        // An object that was not uploaded in parts is its own part 1.
        return match number {
            1 => Ok(Slice { partial: whole.end > 0, ..whole }),
            _ => Err(custom("InvalidPartNumber", hyper::StatusCode::RANGE_NOT_SATISFIABLE)),
        };
    }
    let mut start = 0;
    for part in parts {
        let end = start + part.size;
        if part.number == number {
            return Ok(Slice { start, end, partial: true, part: Some((number, parts.len())) });
        }
        start = end;
    }
    Err(custom("InvalidPartNumber", hyper::StatusCode::RANGE_NOT_SATISFIABLE))
}

/// A part's number: 1 to 10,000.
pub(crate) fn check_part_number(number: i32) -> S3Result<u32> {
    part_number("partNumber", number)
}

/// What is wrong with a part number.
pub(crate) const BAD_PART_NUMBER: &str = "Part number must be an integer between 1 and 10000, inclusive.";

/// A part number in an argument of this name.
pub(crate) fn part_number(name: &'static str, number: i32) -> S3Result<u32> {
    match u32::try_from(number) {
        Ok(n) if (1..=10_000).contains(&n) => Ok(n),
        _ => Err(bad_argument(name, &number.to_string(), BAD_PART_NUMBER)),
    }
}

/// `x-amz-copy-source-range`: `bytes=FIRST-LAST`, both there and within the source.
pub(crate) fn copy_source(text: Option<&str>, size: u64) -> S3Result<(u64, u64)> {
    let Some(text) = text else { return Ok((0, size)) };
    let parsed = text.strip_prefix("bytes=").and_then(|r| r.split_once('-')).and_then(|(first, last)| {
        let number = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse::<u64>().ok()).flatten();
        Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
    });
    let Some((first, last)) = parsed else {
        return Err(bad_argument(
            "x-amz-copy-source-range",
            text,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy",
        ));
    };
    if last >= size {
        let what = format!("Range specified is not valid for source object of size: {size}");
        return Err(bad_argument("x-amz-copy-source-range", &size.to_string(), what));
    }
    Ok((first, last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(size: u64, range: &str) -> Result<(u64, u64), String> {
        resolve(size, &[], Some(Range::parse(range).unwrap()), None)
            .map(|s| (s.start, s.end))
            .map_err(|e| e.code().as_str().to_owned())
    }

    #[test]
    fn single_ranges() {
        assert_eq!(get(10, "bytes=0-0"), Ok((0, 1)));
        assert_eq!(get(10, "bytes=2-5"), Ok((2, 6)));
        assert_eq!(get(10, "bytes=5-"), Ok((5, 10)));
        assert_eq!(get(10, "bytes=5-999"), Ok((5, 10)));
        assert_eq!(get(10, "bytes=-3"), Ok((7, 10)));
        assert_eq!(get(10, "bytes=-99"), Ok((0, 10)));
        for beyond in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(get(10, beyond), Err("InvalidRange".to_owned()), "{beyond}");
        }
        assert_eq!(get(0, "bytes=0-"), Err("InvalidRange".to_owned()));
        assert_eq!(get(0, "bytes=-0"), Err("InvalidRange".to_owned()));
        assert_eq!(get(0, "bytes=-5"), Ok((0, 0)));
        assert_eq!(get(10, "bytes=0-9223372036854775807"), Ok((0, 10)));
    }

    #[test]
    fn content_range_words() {
        let slice = resolve(10, &[], Some(Range::parse("bytes=2-5").unwrap()), None).unwrap();
        assert_eq!(slice.content_range(10).as_deref(), Some("bytes 2-5/10"));
        assert_eq!(resolve(10, &[], None, None).unwrap().content_range(10), None);
    }

    #[test]
    fn parts_by_number() {
        let part = |number, size| PartInfo { number, size, checksum: None };
        let parts = [part(1, 5), part(3, 7), part(4, 2)];
        let slice = resolve(14, &parts, None, Some(3)).unwrap();
        assert_eq!((slice.start, slice.end, slice.part), (5, 12, Some((3, 3))));
        let code = |n| resolve(14, &parts, None, Some(n)).unwrap_err().code().as_str().to_owned();
        assert_eq!(code(2), "InvalidPartNumber");
        assert_eq!(code(0), "InvalidArgument");
        assert_eq!(code(10_001), "InvalidArgument");
        let single = resolve(14, &[], None, Some(1)).unwrap();
        assert!(single.partial && single.len() == 14);
        assert!(!resolve(0, &[], None, Some(1)).unwrap().partial);
        assert!(resolve(14, &parts, Some(Range::parse("bytes=0-").unwrap()), Some(1)).is_err());
    }

    #[test]
    fn copy_ranges() {
        assert_eq!(copy_source(None, 10).unwrap(), (0, 10));
        assert_eq!(copy_source(Some("bytes=0-9"), 10).unwrap(), (0, 10));
        for bad in
            ["bytes=0-10", "bytes=5-2", "bytes=1-", "bytes=-5", "0-5", "bytes=+1-2", "bytes=0-18446744073709551616"]
        {
            assert_eq!(copy_source(Some(bad), 10).unwrap_err().code(), &S3ErrorCode::InvalidArgument, "{bad}");
        }
    }
}
