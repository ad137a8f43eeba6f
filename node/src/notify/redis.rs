//! The sink that hands each message to a Redis server: `redis://[USER:PASSWORD@]HOST[:6379]/DB/KEY` appends to the list KEY
//! (RPUSH); `redis-channel://…` publishes on the channel KEY (PUBLISH), to whoever listens at that moment.
//!
//! Two commands and their answers are all that is needed of Redis's protocol, so that no client is taken in. No TLS.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::url::Address;
use super::{Delivered, Sink};

/// Redis's port.
const PORT: u16 = 6379;
/// The longest answer.
const LINE: u64 = 64 * 1024;
/// The scheme of channels.
pub(super) const CHANNEL: &str = "redis-channel";

/// A list or channel of a server.
#[derive(Debug)]
pub struct Redis {
    address: Address,
    database: String,
    key: String,
    command: &'static str,
    open: Mutex<Option<BufReader<TcpStream>>>,
}

impl Redis {
    /// Reads the URL.
    pub fn new(url: &str) -> Result<Self, String> {
        let address = Address::parse(url, PORT)?;
        let (database, key) = address.path.split_once('/').ok_or("the URL's path is not /DATABASE/KEY")?;
        if key.is_empty() || database.is_empty() || !database.bytes().all(|b| b.is_ascii_digit()) {
            return Err("the URL's path is not /DATABASE/KEY".to_owned());
        }
        let command = if url.starts_with(CHANNEL) { "PUBLISH" } else { "RPUSH" };
        let (database, key) = (database.to_owned(), key.to_owned());
        Ok(Self { address, database, key, command, open: Mutex::new(None) })
    }

    async fn connect(&self) -> Result<BufReader<TcpStream>, String> {
        let stream = TcpStream::connect(&self.address.at).await.map_err(|e| e.to_string())?;
        let mut stream = BufReader::new(stream);
        let Address { user, password, .. } = &self.address;
        match (user.is_empty(), password.is_empty()) {
            (_, true) => {}
            (true, false) => command(&mut stream, &["AUTH", password]).await?,
            (false, false) => command(&mut stream, &["AUTH", user, password]).await?,
        }
        if self.database != "0" {
            command(&mut stream, &["SELECT", &self.database]).await?;
        }
        Ok(stream)
    }

    async fn hand_over(&self, message: &str) -> Result<(), String> {
        let mut open = self.open.lock().await;
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        command(&mut stream, &[self.command, &self.key, message]).await?;
        *open = Some(stream);
        Ok(())
    }
}

/// One command, and its answer, which is a line.
async fn command(stream: &mut BufReader<TcpStream>, words: &[&str]) -> Result<(), String> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.get_mut().write_all(bytes.as_bytes()).await.map_err(|e| e.to_string())?;
    let mut line = String::new();
    stream.take(LINE).read_line(&mut line).await.map_err(|e| e.to_string())?;
    match line.chars().next() {
        Some('+' | ':') if line.ends_with('\n') => Ok(()),
        Some('-') => Err(line.trim_end().to_owned()),
        None => Err("the connection ended".to_owned()),
        Some(_) => Err("that is no Redis server".to_owned()),
    }
}

impl Sink for Redis {
    fn deliver<'a>(&'a self, message: &'a str) -> Delivered<'a> {
        Box::pin(async move { self.hand_over(message).await.map_err(|e| format!("{}: {e}", self.address.at)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_channels() {
        assert_eq!(Redis::new("redis://:secret@h/0/events").unwrap().command, "RPUSH");
        assert_eq!(Redis::new("redis-channel://h/15/a/b").unwrap().key, "a/b");
        for bad in ["redis://h", "redis://h/0", "redis://h/0/", "redis://h/x/k"] {
            assert!(Redis::new(bad).is_err(), "{bad}");
        }
    }
}
