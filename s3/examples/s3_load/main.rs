//! Load for S3 servers, cheap enough to share two cores with the server it measures; and what the measures are held
//! against. `tests/bench` drives it.
//!
//! - `s3_load run --server HOST:PORT --op put|get|head|delete|list|make-bucket …` makes requests and prints one line of
//!   JSON: requests a second, latencies, bytes a second, processor time of the server a request (`--pid`).
//! - `s3_load ceiling HOST:PORT` is a server that answers 200 and does nothing, on hyper as the S3 door sets it up.
//! - `s3_load limits DIR BYTES ROUNDS` measures what a durable PUT cannot beat: file write and fsync, MD5 beside SHA-256.
//!
//! `run` keeps its connections open, makes one request at a time on each, all on one thread. Keys are `PREFIX` and eight
//! digits. Bodies are random bytes of which each MiB is another one for each key, so that a store that knows equal
//! content gains nothing; answers are checked (status, length, and the bytes of what a connection reads first).
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod body;
mod ceiling;
mod client;
mod cpu;
mod limits;
mod load;
mod sign;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", options @ ..] => load::run(options),
        ["ceiling", address] => ceiling::serve(address),
        ["limits", dir, bytes, rounds] => limits::measure(dir.as_ref(), bytes.parse()?, rounds.parse()?),
        _ => Err("usage: s3_load run --NAME VALUE … | ceiling HOST:PORT | limits DIR BYTES ROUNDS".into()),
    }
}
