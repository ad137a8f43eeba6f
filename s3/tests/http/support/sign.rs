//! AWS Signature Version 4, with everything about it open to be made wrong.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Req;

/// What `x-amz-content-sha256` says.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The body's hash.
    Hash,
    /// This text.
    Text(String),
    /// Chunks of this many bytes, each signed; trailers (name, value), signed too.
    Chunks(usize, Vec<(String, String)>),
    /// Chunks without signatures and a trailer.
    Unsigned(usize, Vec<(String, String)>),
}

#[derive(Clone, Debug)]
pub struct Signer {
    pub access: String,
    pub secret: String,
    pub region: String,
    pub service: String,
    pub now: OffsetDateTime,
    /// Headers that are sent and not signed.
    pub leave_out: Vec<String>,
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn sha_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

impl Signer {
    pub fn new((access, secret): (&str, &str)) -> Self {
        Self {
            access: access.to_owned(),
            secret: secret.to_owned(),
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
            now: OffsetDateTime::now_utc(),
            leave_out: Vec::new(),
        }
    }

    fn stamp(&self) -> String {
        let t = self.now;
        format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", &self.stamp()[..8], self.region, self.service)
    }

    fn signature(&self, text: &str) -> String {
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        let stamp = self.stamp();
        for part in [&stamp[..8], &self.region, &self.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        hex::encode(hmac(&key, text.as_bytes()))
    }

    fn string_to_sign(
        &self,
        method: &str,
        path: &str,
        query: &[(String, String)],
        headers: &[(String, String)],
        payload: &str,
    ) -> (String, String) {
        let mut pairs: Vec<String> = query.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        pairs.sort();
        let names: Vec<&str> = headers.iter().map(|(n, _)| n.as_str()).collect();
        let lines: String = headers.iter().map(|(n, v)| format!("{n}:{}\n", v.trim())).collect();
        let canonical = format!("{method}\n{path}\n{}\n{lines}\n{}\n{payload}", pairs.join("&"), names.join(";"));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.stamp(), self.scope(), sha_hex(canonical.as_bytes()));
        (text, names.join(";"))
    }

    fn query(path: &str) -> (&str, Vec<(String, String)>) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pair = |p: &str| {
            let (k, v) = p.split_once('=').unwrap_or((p, ""));
            let decode = |t: &str| t.replace("%2F", "/").replace("%20", " ").replace("%3D", "=");
            (decode(k), decode(v))
        };
        (path, query.split('&').filter(|p| !p.is_empty()).map(pair).collect())
    }

    pub fn sign(&self, request: Req, host: &str) -> Request<Full<Bytes>> {
        let (path, query) = Self::query(&request.path);
        let mut headers: Vec<(String, String)> =
            request.headers.iter().map(|(n, v)| (n.to_lowercase(), v.clone())).collect();
        headers.push(("host".to_owned(), host.to_owned()));
        headers.push(("x-amz-date".to_owned(), self.stamp()));
        let said = match &request.payload {
            Payload::Hash => sha_hex(&request.body),
            Payload::Text(text) => text.clone(),
            Payload::Chunks(_, trailers) if trailers.is_empty() => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
            Payload::Chunks(..) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
            Payload::Unsigned(..) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
        };
        headers.push(("x-amz-content-sha256".to_owned(), said.clone()));
        if let Payload::Chunks(_, trailers) | Payload::Unsigned(_, trailers) = &request.payload {
            headers.push(("x-amz-decoded-content-length".to_owned(), request.body.len().to_string()));
            headers.push(("content-encoding".to_owned(), "aws-chunked".to_owned()));
            if let Some((name, _)) = trailers.first() {
                headers.push(("x-amz-trailer".to_owned(), name.clone()));
            }
        }
        headers.sort();
        let signed: Vec<_> = headers.iter().filter(|(n, _)| !self.leave_out.contains(n)).cloned().collect();
        let (text, names) = self.string_to_sign(&request.method, path, &query, &signed, &said);
        let seed = self.signature(&text);
        let body = match &request.payload {
            Payload::Chunks(size, trailers) => self.chunks(&request.body, *size, trailers, &seed),
            Payload::Unsigned(size, trailers) => unsigned(&request.body, *size, trailers),
            _ => request.body.clone(),
        };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={seed}",
            self.access,
            self.scope()
        );
        let mut builder = Request::builder().method(request.method.as_str()).uri(&request.path);
        for (name, value) in &headers {
            builder = builder.header(name, value);
        }
        if request.method == "PUT" {
            builder = builder.header("content-length", body.len());
        }
        builder.header("authorization", authorization).body(Full::new(body)).unwrap()
    }

    fn chunks(&self, body: &[u8], size: usize, trailers: &[(String, String)], seed: &str) -> Bytes {
        let mut out = Vec::new();
        let mut previous = seed.to_owned();
        for chunk in body.chunks(size).chain([&[][..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
                self.stamp(),
                self.scope(),
                sha_hex(b""),
                sha_hex(chunk)
            );
            previous = self.signature(&text);
            out.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            if !chunk.is_empty() || trailers.is_empty() {
                out.extend_from_slice(b"\r\n");
            }
        }
        if !trailers.is_empty() {
            let lines: String = trailers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
            let text = format!(
                "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{previous}\n{}",
                self.stamp(),
                self.scope(),
                sha_hex(lines.as_bytes())
            );
            out.extend_from_slice(lines.replace('\n', "\r\n").as_bytes());
            out.extend_from_slice(format!("x-amz-trailer-signature:{}\r\n\r\n", self.signature(&text)).as_bytes());
        }
        out.into()
    }
}

fn unsigned(body: &[u8], size: usize, trailers: &[(String, String)]) -> Bytes {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        out.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.into()
}
