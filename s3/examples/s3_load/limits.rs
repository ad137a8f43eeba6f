//! What a durable PUT cannot beat on this machine: the disk's and the processor's part.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::Failure;
use crate::body::Bodies;

/// Bytes hashed or written at once.
const STEP: usize = 1 << 20;

/// Prints the median seconds of writing and syncing a new file, and of MD5 and SHA-256 on a thread each.
pub(crate) fn measure(dir: &Path, bytes: usize, rounds: usize) -> Result<(), Failure> {
    let bodies = Bodies::new(bytes, 1);
    let mut data = Vec::with_capacity(bytes);
    for (stamp, noise) in bodies.pieces(0) {
        data.extend_from_slice(&stamp);
        data.extend_from_slice(noise);
    }
    let (mut disk, mut hashes) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let path = dir.join("limit");
        let started = Instant::now();
        let mut file = File::create(&path)?;
        for piece in data.chunks(STEP) {
            file.write_all(piece)?;
        }
        file.sync_data()?;
        disk.push(started.elapsed().as_secs_f64());
        std::fs::remove_file(&path)?;

        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| std::hint::black_box(hash::<Md5>(&data)));
            scope.spawn(|| std::hint::black_box(hash::<Sha256>(&data)));
        });
        hashes.push(started.elapsed().as_secs_f64());
    }
    println!("{{\"disk\": {:.5}, \"hashes\": {:.5}}}", median(&mut disk), median(&mut hashes));
    Ok(())
}

fn hash<H: Digest>(data: &[u8]) -> Vec<u8> {
    let mut hash = H::new();
    data.chunks(STEP).for_each(|piece| hash.update(piece));
    hash.finalize().to_vec()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
