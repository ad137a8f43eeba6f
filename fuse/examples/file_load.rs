//! Small files, many of them: the part of `tests/bench` for which fio is not made.
//!
//! `file_load DIR COUNT churn|fill|stat|unlink` prints one line of JSON: seconds, and microseconds of processor time of
//! this process a file.
//!
//! - `churn`: create, close, unlink, one empty file after the other;
//! - `fill`: create, write 4 KiB, close; `stat` and `unlink` are for files that `fill` made.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

const SMALL: [u8; 4096] = [0x5a; 4096];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, count, what] = args.as_slice() else {
        return Err("usage: file_load DIR COUNT churn|fill|stat|unlink".into());
    };
    let count: u32 = count.parse()?;
    let work = match what.as_str() {
        "churn" => churn,
        "fill" => fill,
        "stat" => |path: &Path| fs::symlink_metadata(path).map(drop),
        "unlink" => |path: &Path| fs::remove_file(path),
        _ => return Err("churn, fill, stat or unlink".into()),
    };
    let (started, before) = (Instant::now(), processor_us()?);
    for number in 0..count {
        work(&Path::new(dir).join(format!("{number:06}")))?;
    }
    let each = (processor_us()? - before) / f64::from(count);
    println!("{{\"files\": {count}, \"seconds\": {:.5}, \"client_us\": {each:.3}}}", started.elapsed().as_secs_f64());
    Ok(())
}

fn churn(path: &Path) -> io::Result<()> {
    drop(OpenOptions::new().write(true).create_new(true).open(path)?);
    fs::remove_file(path)
}

fn fill(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(&SMALL)
}

fn processor_us() -> io::Result<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3)
}
