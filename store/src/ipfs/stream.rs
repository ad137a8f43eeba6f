//! Streamed answers: a JSON value a line, one line in memory, and what goes wrong behind the status told in a trailer.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use reqwest::{Body, Response};
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// The longest line: a pin with all its peers has a few KiB.
const MAX_LINE: usize = 4 << 20;
/// Where both programs tell of an error after the first byte.
const STREAM_ERROR: &str = "x-stream-error";

/// The lines of an answer.
pub(super) struct Lines {
    body: Body,
    rest: BytesMut,
    /// Bytes of `rest` that have no end of line in them.
    searched: usize,
    server: String,
    ended: bool,
}

impl Lines {
    pub(super) fn new(answer: Response, server: &str) -> Self {
        Self { body: answer.into(), rest: BytesMut::new(), searched: 0, server: server.to_owned(), ended: false }
    }

    /// The next value; `None` at a proper end. Io for what the trailer tells, Unavailable for a connection that breaks.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        while let Some(line) = self.line().await? {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return serde_json::from_slice(&line).map(Some).map_err(|e| {
                Error::new(ErrorKind::Unavailable, "a line of an IPFS server is not what it should be")
                    .with("server", &self.server)
                    .caused_by(e)
            });
        }
        Ok(None)
    }

    /// The next piece as it came; for answers that are bytes.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(self.rest.split().freeze()));
        }
        self.more().await
    }

    async fn line(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(at) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.rest.len();
            if self.searched > MAX_LINE {
                return Err(self.broken("a line of an IPFS server has no end"));
            }
            match self.more().await? {
                Some(bytes) => self.rest.extend_from_slice(&bytes),
                None if self.rest.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.rest.split().freeze()));
                }
            }
        }
    }

    async fn more(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            let Some(frame) = self.body.frame().await else {
                self.ended = true;
                break;
            };
            let frame =
                frame.map_err(|e| self.broken("an IPFS server's answer breaks off").caused_by(e.without_url()))?;
            match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(frame) => {
                    let told = frame.trailers_ref().and_then(|trailers| trailers.get(STREAM_ERROR));
                    if let Some(told) = told.filter(|told| !told.is_empty()) {
                        self.ended = true;
                        let error = Error::new(ErrorKind::Io, "an IPFS server fails after the first byte");
                        let told = String::from_utf8_lossy(told.as_bytes()).into_owned();
                        return Err(error.with("server", &self.server).with("message", told));
                    }
                }
            }
        }
        Ok(None)
    }

    fn broken(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Unavailable, message).with("server", &self.server)
    }
}
