//! One connection: HTTP/1.1 with keep-alive, no more of it than S3 servers' answers need.

use std::io::IoSlice;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;
use crate::body::Bodies;

/// Bytes read at once.
const READ: usize = 256 << 10;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer. Its body is there only if it was asked for.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Bytes of the body that came.
    pub(crate) length: usize,
    /// The body.
    pub(crate) body: Vec<u8>,
}

struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(server: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; READ] })
    }

    /// Sends a request's head, with a key's body if there is one.
    pub(crate) async fn send(&mut self, head: &str, body: Option<(&Bodies, u64)>) -> Result<(), Failure> {
        let Some((bodies, key)) = body else { return Ok(self.stream.write_all(head.as_bytes()).await?) };
        let mut head = head.as_bytes();
        for (stamp, noise) in bodies.pieces(key) {
            let stamp = &stamp[..stamp.len().min(bodies.size())];
            let mut parts = [IoSlice::new(head), IoSlice::new(stamp), IoSlice::new(noise)];
            let mut parts = &mut parts[..];
            IoSlice::advance_slices(&mut parts, 0);
            while !parts.is_empty() {
                let written = self.stream.write_vectored(parts).await?;
                IoSlice::advance_slices(&mut parts, written);
            }
            head = b"";
        }
        if !head.is_empty() {
            self.stream.write_all(head).await?;
        }
        Ok(())
    }

    /// Reads the answer. `without_body` is a HEAD's, which has a length and no body.
    pub(crate) async fn answer(&mut self, without_body: bool, keep: bool) -> Result<Answer, Failure> {
        let mut filled = 0;
        let (head, start) = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("the server closed a connection".into());
            }
            filled += read;
            if let Some(end) = find(&self.buffer[..filled], b"\r\n\r\n") {
                break (parse(&self.buffer[..end])?, end + 4);
            }
        };
        let keep = keep || head.status >= 300;
        let mut body = Vec::new();
        let mut length = filled - start;
        if keep || head.chunked {
            body.extend_from_slice(&self.buffer[start..filled]);
        }
        if head.chunked {
            while !body.ends_with(b"0\r\n\r\n") {
                let read = self.more().await?;
                body.extend_from_slice(&self.buffer[..read]);
            }
            return Ok(Answer { status: head.status, length: body.len(), body });
        }
        let wanted = if without_body { 0 } else { head.length.unwrap_or(0) };
        while length < wanted {
            let read = self.more().await?;
            if keep {
                body.extend_from_slice(&self.buffer[..read]);
            }
            length += read;
        }
        if length > wanted {
            return Err("more came than the answer's length".into());
        }
        Ok(Answer { status: head.status, length: if without_body { head.length.unwrap_or(0) } else { length }, body })
    }

    async fn more(&mut self) -> Result<usize, Failure> {
        match self.stream.read(&mut self.buffer).await? {
            0 => Err("the server closed a connection within an answer".into()),
            read => Ok(read),
        }
    }
}

/// Where `what` begins.
pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn parse(head: &[u8]) -> Result<Head, Failure> {
    let text = std::str::from_utf8(head)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("not an HTTP answer")?.parse()?;
    let mut parsed = Head { status, length: None, chunked: false };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            parsed.length = Some(value.trim().parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            parsed.chunked = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    Ok(parsed)
}
