//! The sink that publishes each message on a subject of a NATS server: `nats://[USER:PASSWORD@|TOKEN@]HOST[:4222]/SUBJECT`.
//!
//! Publishing is two lines of NATS's protocol, so that its client (some thirty crates) is not taken in for them. A message
//! counts as delivered when the server has answered a PING that was sent after it: it has read the message then. What it
//! does with it is its own business; a JetStream that listens on the subject keeps it. No TLS.

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::url::Address;
use super::{Delivered, Sink};

/// NATS's port.
const PORT: u16 = 4222;
/// The longest line that a server may send.
const LINE: u64 = 64 * 1024;

/// A subject of a server.
#[derive(Debug)]
pub struct Nats {
    address: Address,
    open: Mutex<Option<BufReader<TcpStream>>>,
}

impl Nats {
    /// Reads the URL.
    pub fn new(url: &str) -> Result<Self, String> {
        let address = Address::parse(url, PORT)?;
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>' | '/');
        if address.path.is_empty() || address.path.chars().any(bad) || address.path.split('.').any(str::is_empty) {
            return Err("the URL's path is no subject to publish on".to_owned());
        }
        Ok(Self { address, open: Mutex::new(None) })
    }

    async fn connect(&self) -> Result<BufReader<TcpStream>, String> {
        let stream = TcpStream::connect(&self.address.at).await.map_err(|e| e.to_string())?;
        let mut stream = BufReader::new(stream);
        let info = line(&mut stream).await?;
        if !info.starts_with("INFO ") {
            return Err("that is no NATS server".to_owned());
        }
        let mut options = json!({
            "verbose": false, "pedantic": false, "tls_required": false, "lang": "rust", "name": "pinfold",
            "version": env!("CARGO_PKG_VERSION"), "protocol": 0,
        });
        let Address { user, password, .. } = &self.address;
        match (user.is_empty(), password.is_empty()) {
            (true, true) => {}
            (false, true) => options["auth_token"] = json!(user),
            _ => (options["user"], options["pass"]) = (json!(user), json!(password)),
        }
        write(&mut stream, format!("CONNECT {options}\r\nPING\r\n").as_bytes()).await?;
        answered(&mut stream).await?;
        Ok(stream)
    }

    async fn publish(&self, message: &str) -> Result<(), String> {
        let mut open = self.open.lock().await;
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let head = format!("PUB {} {}\r\n", self.address.path, message.len());
        write(&mut stream, &[head.as_bytes(), message.as_bytes(), b"\r\nPING\r\n"].concat()).await?;
        answered(&mut stream).await?;
        *open = Some(stream);
        Ok(())
    }
}

async fn write(stream: &mut BufReader<TcpStream>, bytes: &[u8]) -> Result<(), String> {
    stream.get_mut().write_all(bytes).await.map_err(|e| e.to_string())
}

async fn line(stream: &mut BufReader<TcpStream>) -> Result<String, String> {
    let mut line = String::new();
    let read = stream.take(LINE).read_line(&mut line).await.map_err(|e| e.to_string())?;
    if read == 0 || !line.ends_with('\n') {
        return Err("the connection ended".to_owned());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// Waits for the answer to a PING, and answers the server's own.
async fn answered(stream: &mut BufReader<TcpStream>) -> Result<(), String> {
    loop {
        let line = line(stream).await?;
        match line.split(' ').next() {
            Some("PONG") => return Ok(()),
            Some("PING") => write(stream, b"PONG\r\n").await?,
            Some("INFO" | "+OK") => {}
            _ => return Err(line),
        }
    }
}

impl Sink for Nats {
    fn deliver<'a>(&'a self, message: &'a str) -> Delivered<'a> {
        Box::pin(async move { self.publish(message).await.map_err(|e| format!("{}: {e}", self.address.at)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        assert!(Nats::new("nats://127.0.0.1/s3.events").is_ok());
        for bad in
            ["nats://h", "nats://h/a.*", "nats://h/a..b", "nats://h/a%0D%0APING", "nats://h/a%20b", "nats://h/.a"]
        {
            assert!(Nats::new(bad).is_err(), "{bad}");
        }
    }
}
