//! A look at aws-chunked framing before s3s decodes it. s3s 0.14.1 collects each chunk whole in memory before it hands
//! it on, and a chunk is as large as the client says: some clients send a whole object as one. Unsigned chunks are cut
//! into small ones here (nothing depends on their bounds); signed ones cannot be cut, so that large ones are refused.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::scope::BodyFailure;

/// Largest chunk with a signature. AWS's clients send 64 KiB to 1 MiB.
const MAX_SIGNED_CHUNK: u64 = 16 * 1024 * 1024;
/// Smallest chunk but the last one, as on AWS.
const MIN_CHUNK: u64 = 8 * 1024;
/// Longest block of trailers.
const MAX_TRAILERS: usize = 16 * 1024;
/// Longest line before a chunk: a size and a signature are about 100 bytes.
const MAX_LINE: usize = 1024;

/// Whether chunks carry signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD…`
    Signed,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`
    Unsigned,
}

impl Kind {
    /// From `x-amz-content-sha256`; `None` for a body that is not chunked.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        match payload {
            b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Self::Unsigned),
            p if p.starts_with(b"STREAMING-") => Some(Self::Signed),
            _ => None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Within a chunk's line.
    Line(Vec<u8>),
    /// Within a chunk's bytes.
    Data(u64),
    /// Before the line end that closes a chunk: so many of its two bytes are seen.
    DataEnd(usize),
    /// After the last chunk: trailers and an empty line.
    Rest(Vec<u8>),
}

/// The trailer that a request's head promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trailer {
    /// None, and there may be none.
    Nothing,
    /// The one of this name.
    Named(String),
}

/// The state of one body.
pub(crate) struct Framing {
    kind: Kind,
    trailer: Trailer,
    state: State,
    /// Chunks with bytes seen so far, and the size of the last one.
    chunks: u64,
    last: u64,
}

impl Framing {
    pub(crate) fn new(kind: Kind, trailer: Trailer) -> Self {
        Self { kind, trailer, state: State::Line(Vec::new()), chunks: 0, last: MIN_CHUNK }
    }

    /// Takes the next bytes of the body and puts what s3s is to see into `out`.
    pub(crate) fn push(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), BodyFailure> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Line(line) => {
                    let end = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| i + 1);
                    if line.len() + end > MAX_LINE {
                        return Err(BodyFailure::Framing);
                    }
                    line.extend_from_slice(&bytes[..end]);
                    bytes.advance(end);
                    if line.ends_with(b"\n") {
                        let line = std::mem::take(line);
                        self.state = self.begin(line, out)?;
                    }
                }
                State::Data(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let piece = bytes.split_to(take);
                    *left -= take as u64;
                    let done = *left == 0;
                    if self.kind == Kind::Unsigned {
                        out.push_back(Bytes::from(format!("{take:x}\r\n")));
                        out.push_back(piece);
                        out.push_back(Bytes::from_static(b"\r\n"));
                    } else {
                        out.push_back(piece);
                    }
                    if done {
                        self.state = State::DataEnd(0);
                    }
                }
                State::DataEnd(seen) => {
                    let byte = bytes.split_to(1);
                    if byte[0] != b"\r\n"[*seen] {
                        return Err(BodyFailure::Framing);
                    }
                    if self.kind == Kind::Signed {
                        out.push_back(byte);
                    }
                    *seen += 1;
                    if *seen == 2 {
                        self.state = State::Line(Vec::new());
                    }
                }
                State::Rest(rest) => {
                    if rest.len() + bytes.len() > MAX_TRAILERS {
                        return Err(BodyFailure::Trailer);
                    }
                    rest.extend_from_slice(&bytes);
                    out.push_back(std::mem::take(&mut bytes));
                }
            }
        }
        Ok(())
    }

    /// Whether the last chunk was seen.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.state, State::Rest(_))
    }

    /// The body has ended: with the promised trailer, one empty line, and nothing else.
    pub(crate) fn finish(&self) -> Result<(), BodyFailure> {
        let State::Rest(rest) = &self.state else { return Err(BodyFailure::Incomplete) };
        if rest == b"\r\n" {
            return match self.trailer {
                Trailer::Nothing => Ok(()),
                Trailer::Named(_) => Err(BodyFailure::Trailer),
            };
        }
        let Some(lines) = rest.strip_suffix(b"\r\n\r\n").filter(|lines| !lines.is_empty()) else {
            return Err(if rest == b"\r\n\r\n" { BodyFailure::Framing } else { BodyFailure::Incomplete });
        };
        let Some(colon) = lines.iter().position(|b| *b == b':') else { return Err(BodyFailure::Trailer) };
        let (name, value) = (lines[..colon].trim_ascii(), &lines[colon + 1..]);
        let Trailer::Named(promised) = &self.trailer else { return Err(BodyFailure::Trailer) };
        if !name.eq_ignore_ascii_case(promised.as_bytes()) {
            return Err(BodyFailure::Trailer);
        }
        // One client ends the value with a lone line feed before the CRLF.
        let end = value.iter().position(|b| *b == b'\r').unwrap_or(value.len());
        let fits = match (self.kind, &value[end..]) {
            (Kind::Unsigned, after) => after.is_empty(),
            (Kind::Signed, after) => after.strip_prefix(b"\r\nx-amz-trailer-signature:").is_some_and(is_signature),
        };
        if fits { Ok(()) } else { Err(BodyFailure::Incomplete) }
    }

    fn begin(&mut self, line: Vec<u8>, out: &mut VecDeque<Bytes>) -> Result<State, BodyFailure> {
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let Some(rest) = line[digits..].strip_suffix(b"\r\n") else { return Err(BodyFailure::Framing) };
        let terminated = match self.kind {
            Kind::Signed => rest.strip_prefix(b";chunk-signature=").is_some_and(is_signature),
            Kind::Unsigned => rest.is_empty() || rest[0] == b';',
        };
        if !(1..=15).contains(&digits) || !terminated {
            return Err(BodyFailure::Framing);
        }
        let size =
            line[..digits].iter().fold(0u64, |n, b| n << 4 | u64::from(char::from(*b).to_digit(16).unwrap_or(0)));
        if size > 0 {
            if self.last < MIN_CHUNK {
                return Err(BodyFailure::ChunkTooSmall(self.chunks + 1, self.last));
            }
            (self.chunks, self.last) = (self.chunks + 1, size);
        }
        match (size, self.kind) {
            (0, Kind::Unsigned) => out.push_back(Bytes::from_static(b"0\r\n")),
            (0, Kind::Signed) => out.push_back(Bytes::from(line)),
            (n, Kind::Signed) if n > MAX_SIGNED_CHUNK => return Err(BodyFailure::ChunkTooLarge),
            (_, Kind::Signed) => out.push_back(Bytes::from(line)),
            (_, Kind::Unsigned) => {}
        }
        Ok(if size == 0 { State::Rest(Vec::new()) } else { State::Data(size) })
    }
}

fn is_signature(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: Kind, body: &[u8], cut: usize) -> Result<Vec<Bytes>, BodyFailure> {
        let mut framing = Framing::new(kind, Trailer::Nothing);
        let mut out = VecDeque::new();
        for piece in body.chunks(cut) {
            framing.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        Ok(out.into())
    }

    /// The reference: what the framing says, decoded the simple way.
    fn decode(mut body: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut data = Vec::new();
        loop {
            let end = body.windows(2).position(|w| w == b"\r\n").unwrap();
            let line = std::str::from_utf8(&body[..end]).unwrap();
            let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
            body = &body[end + 2..];
            if size == 0 {
                return (data, body.to_vec());
            }
            data.extend_from_slice(&body[..size]);
            assert_eq!(&body[size..size + 2], b"\r\n");
            body = &body[size + 2..];
        }
    }

    #[test]
    fn unsigned_chunks_are_cut_and_mean_the_same() {
        let mut body = format!("2000\r\n{}\r\n", "h".repeat(0x2000)).into_bytes();
        body.extend_from_slice(b"b;x=y\r\n, \r\n0\r\n wor\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        for cut in [1, 2, 3, 5, 7, 100, 8191, 8192, 8200, 9000] {
            let out = run(Kind::Unsigned, &body, cut).unwrap();
            let (data, rest) = decode(&out.concat());
            assert_eq!(data, [&[b'h'; 0x2000][..], b", \r\n0\r\n wor"].concat(), "cut {cut}");
            assert_eq!(rest, b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        }
    }

    fn signed(size: &str) -> String {
        format!("{size};chunk-signature={}\r\n", "0a".repeat(32))
    }

    #[test]
    fn signed_chunks_pass_unchanged_and_bounded() {
        let body = format!("{}hello\r\n{}\r\n", signed("5"), signed("0"));
        for cut in 1..body.len() {
            assert_eq!(run(Kind::Signed, body.as_bytes(), cut).unwrap().concat(), body.as_bytes());
        }
        assert_eq!(run(Kind::Signed, signed("1000001").as_bytes(), 7), Err(BodyFailure::ChunkTooLarge));
    }

    #[test]
    fn only_the_last_chunk_is_small() {
        let unsigned = |sizes: &[usize]| {
            let chunk = |n: &usize| format!("{n:x}\r\n{}\r\n", "a".repeat(*n));
            let body: String = sizes.iter().map(chunk).collect();
            run(Kind::Unsigned, format!("{body}0\r\n\r\n").as_bytes(), 1000).map(|_| ())
        };
        assert_eq!(unsigned(&[8192, 8193, 100]), Ok(()));
        assert_eq!(unsigned(&[1]), Ok(()));
        assert_eq!(unsigned(&[8191, 1]), Err(BodyFailure::ChunkTooSmall(2, 8191)));
        assert_eq!(unsigned(&[8192, 10, 9000, 10]), Err(BodyFailure::ChunkTooSmall(3, 10)));
        let body = format!("{}hello\r\n{}hello\r\n", signed("5"), signed("5"));
        assert_eq!(run(Kind::Signed, body.as_bytes(), 9), Err(BodyFailure::ChunkTooSmall(2, 5)));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in
            [&b"zz\r\n"[..], b"\r\n", b"5\n", b"5 \r\n", b"5\r\nhelloX\n", b"ffffffffffffffff\r\n", &[b'1'; 2000]]
        {
            assert_eq!(run(Kind::Unsigned, bad, 3), Err(BodyFailure::Framing), "{bad:?}");
        }
        for bad in
            ["5\r\n", "5;chunk-signature=00\r\n", &signed("5").replace("0a", "zz"), &signed("5").replace(';', ":")]
        {
            assert_eq!(run(Kind::Signed, bad.as_bytes(), 3), Err(BodyFailure::Framing), "{bad:?}");
        }
    }

    fn finish(kind: Kind, trailer: &Trailer, rest: &str) -> Result<(), BodyFailure> {
        let begin = match kind {
            Kind::Signed => format!("{}hello\r\n{}", signed("5"), signed("0")),
            Kind::Unsigned => "5\r\nhello\r\n0\r\n".to_owned(),
        };
        let body = format!("{begin}{rest}");
        let mut last = None;
        for cut in [1, 3, 1000] {
            let mut framing = Framing::new(kind, trailer.clone());
            for piece in body.as_bytes().chunks(cut) {
                framing.push(Bytes::copy_from_slice(piece), &mut VecDeque::new()).unwrap();
            }
            let result = framing.finish();
            assert!(last.replace(result.clone()).is_none_or(|last| last == result), "{rest:?}");
        }
        last.unwrap()
    }

    #[test]
    fn a_body_ends_where_it_says() {
        let sum = Trailer::Named("x-amz-checksum-crc32".to_owned());
        let signature = format!("x-amz-trailer-signature:{}", "0a".repeat(32));
        for kind in [Kind::Signed, Kind::Unsigned] {
            assert_eq!(finish(kind, &Trailer::Nothing, "\r\n"), Ok(()));
            assert_eq!(finish(kind, &sum, "\r\n"), Err(BodyFailure::Trailer));
            for rest in ["", "\r", "a:b", "a:b\r", "a:b\r\n", "a:b\r\n\r\n\r"] {
                assert_eq!(finish(kind, &sum, rest), Err(BodyFailure::Incomplete), "{rest:?}");
            }
            assert_eq!(finish(kind, &Trailer::Nothing, "\r\n\r\n"), Err(BodyFailure::Framing));
            assert_eq!(finish(kind, &Trailer::Nothing, "x-amz-checksum-crc32:v\r\n\r\n"), Err(BodyFailure::Trailer));
            assert_eq!(finish(kind, &sum, "x-amz-checksum-sha1:v\r\n\r\n"), Err(BodyFailure::Trailer));
            assert_eq!(finish(kind, &sum, ":v\r\n\r\n"), Err(BodyFailure::Trailer));
        }
        assert_eq!(finish(Kind::Unsigned, &sum, "X-Amz-Checksum-Crc32: v\r\n\r\n"), Ok(()));
        assert_eq!(finish(Kind::Unsigned, &sum, "x-amz-checksum-crc32:v\r\nb:c\r\n\r\n"), Err(BodyFailure::Incomplete));
        let signed = |between: &str| format!("x-amz-checksum-crc32:v{between}{signature}\r\n\r\n");
        assert_eq!(finish(Kind::Signed, &sum, &signed("\r\n")), Ok(()));
        assert_eq!(finish(Kind::Signed, &sum, &signed("\n\r\n")), Ok(()), "as one client does it");
        assert_eq!(finish(Kind::Signed, &sum, &signed("\rbcd")), Err(BodyFailure::Incomplete));
        assert_eq!(finish(Kind::Signed, &sum, "x-amz-checksum-crc32:v\r\n\r\n"), Err(BodyFailure::Incomplete));
        for body in ["", "5\r\nhe", "5\r\nhello\r\n", "5\r\nhello\r\n0"] {
            let mut framing = Framing::new(Kind::Unsigned, Trailer::Nothing);
            framing.push(Bytes::copy_from_slice(body.as_bytes()), &mut VecDeque::new()).unwrap();
            assert_eq!(framing.finish(), Err(BodyFailure::Incomplete), "{body:?}");
        }
    }

    #[test]
    fn a_huge_unsigned_chunk_needs_no_memory() {
        let mut framing = Framing::new(Kind::Unsigned, Trailer::Nothing);
        let mut out = VecDeque::new();
        framing.push(Bytes::from_static(b"140000000\r\n"), &mut out).unwrap();
        for _ in 0..100 {
            framing.push(Bytes::from_static(&[7; 65536]), &mut out).unwrap();
            assert_eq!(out.drain(..).map(|b| b.len()).sum::<usize>(), 65536 + 7 + 2);
        }
    }
}
