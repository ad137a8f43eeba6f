//! A look at aws-chunked framing before s3s decodes it. s3s 0.14.1 collects each chunk whole in memory before it hands
//! it on, and a chunk is as large as the client says: some clients send a whole object as one. Unsigned chunks are cut
//! into small ones here (nothing depends on their bounds); signed ones cannot be cut, so that large ones are refused.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::scope::BodyFailure;

/// Largest chunk with a signature. AWS's clients send 64 KiB to 1 MiB.
const MAX_SIGNED_CHUNK: u64 = 16 * 1024 * 1024;
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
    /// After the last chunk: trailers, which s3s bounds, and an empty line. The last bytes seen.
    Rest(Vec<u8>),
}

/// Bytes of the end that are looked at.
const TAIL: usize = 6;

/// The state of one body.
pub(crate) struct Framing {
    kind: Kind,
    state: State,
}

impl Framing {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, state: State::Line(Vec::new()) }
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
                State::Rest(tail) => {
                    tail.extend_from_slice(&bytes);
                    tail.drain(..tail.len().saturating_sub(TAIL));
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

    /// The body has ended: not before its last chunk nor within a line, and with one empty line at most. (Some clients
    /// leave out the empty line after trailers; nobody has two.)
    pub(crate) fn finish(&self) -> Result<(), BodyFailure> {
        match &self.state {
            State::Rest(tail) if tail.ends_with(b"\r\n\r\n\r\n") || tail == b"\r\n\r\n" => Err(BodyFailure::Framing),
            State::Rest(tail) if tail.ends_with(b"\r\n") => Ok(()),
            _ => Err(BodyFailure::Incomplete),
        }
    }

    fn begin(&self, line: Vec<u8>, out: &mut VecDeque<Bytes>) -> Result<State, BodyFailure> {
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let terminated = matches!(line.get(digits), Some(b';' | b'\r'));
        if !(1..=15).contains(&digits) || !terminated || !line.ends_with(b"\r\n") {
            return Err(BodyFailure::Framing);
        }
        let size =
            line[..digits].iter().fold(0u64, |n, b| n << 4 | u64::from(char::from(*b).to_digit(16).unwrap_or(0)));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: Kind, body: &[u8], cut: usize) -> Result<Vec<Bytes>, BodyFailure> {
        let mut framing = Framing::new(kind);
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
        let body = b"5\r\nhello\r\nb;x=y\r\n, \r\n0\r\n wor\r\n2\r\nld\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        for cut in 1..body.len() {
            let out = run(Kind::Unsigned, body, cut).unwrap();
            let (data, rest) = decode(&out.concat());
            assert_eq!(data, b"hello, \r\n0\r\n world", "cut {cut}");
            assert_eq!(rest, b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        }
    }

    #[test]
    fn signed_chunks_pass_unchanged_and_bounded() {
        let body = b"5;chunk-signature=00\r\nhello\r\n0;chunk-signature=11\r\n\r\n";
        for cut in 1..body.len() {
            assert_eq!(run(Kind::Signed, body, cut).unwrap().concat(), body);
        }
        assert_eq!(run(Kind::Signed, b"1000001;chunk-signature=00\r\n", 7), Err(BodyFailure::ChunkTooLarge));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in
            [&b"zz\r\n"[..], b"\r\n", b"5\n", b"5 \r\n", b"5\r\nhelloX\n", b"ffffffffffffffff\r\n", &[b'1'; 2000]]
        {
            assert_eq!(run(Kind::Unsigned, bad, 3), Err(BodyFailure::Framing), "{bad:?}");
        }
    }

    #[test]
    fn a_body_ends_where_it_says() {
        let finish = |kind: Kind, body: &str, cut: usize| {
            let mut framing = Framing::new(kind);
            for piece in body.as_bytes().chunks(cut) {
                framing.push(Bytes::copy_from_slice(piece), &mut VecDeque::new()).unwrap();
            }
            framing.finish()
        };
        let signed = "5;chunk-signature=00\r\nhello\r\n0;chunk-signature=11\r\n";
        let unsigned = "5\r\nhello\r\n0\r\n";
        for cut in [1, 3, 1000] {
            for (kind, body) in [(Kind::Signed, signed), (Kind::Unsigned, unsigned)] {
                for rest in ["\r\n", "a:b\r\n", "a:b\r\n\r\n", "a:b\r\nc:d\r\n\r\n"] {
                    assert_eq!(finish(kind, &format!("{body}{rest}"), cut), Ok(()), "{rest:?}");
                }
                for rest in ["", "\r", "a:b", "a:b\r", "a:b\r\n\r\n\r"] {
                    assert_eq!(finish(kind, &format!("{body}{rest}"), cut), Err(BodyFailure::Incomplete), "{rest:?}");
                }
                for rest in ["\r\n\r\n", "a:b\r\n\r\n\r\n"] {
                    assert_eq!(finish(kind, &format!("{body}{rest}"), cut), Err(BodyFailure::Framing), "{rest:?}");
                }
            }
            for body in ["", "5\r\nhe", "5\r\nhello\r\n", "5\r\nhello\r\n0"] {
                assert_eq!(finish(Kind::Unsigned, body, cut), Err(BodyFailure::Incomplete), "{body:?}");
            }
        }
    }

    #[test]
    fn a_huge_unsigned_chunk_needs_no_memory() {
        let mut framing = Framing::new(Kind::Unsigned);
        let mut out = VecDeque::new();
        framing.push(Bytes::from_static(b"140000000\r\n"), &mut out).unwrap();
        for _ in 0..100 {
            framing.push(Bytes::from_static(&[7; 65536]), &mut out).unwrap();
            assert_eq!(out.drain(..).map(|b| b.len()).sum::<usize>(), 65536 + 7 + 2);
        }
    }
}
