//! Hashing in parallel: the leaves of the bytes, in order, whatever the threads and the reader do.

use std::io::{Read, Write};

use pinfold_store::unixfs::{Leaf, hash_file_range, hash_parallel, raw_cid};
use pinfold_store::{Error, ErrorKind, Result};
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use crate::support::Stream;

fn leaves(bytes: &[u8], chunk: usize) -> Vec<Leaf> {
    bytes.chunks(chunk).map(|c| Leaf { cid: raw_cid(c), size: c.len() as u64 }).collect()
}

/// Gives at most `most` bytes at a time, and is interrupted before each piece.
struct Slow<'a> {
    bytes: &'a [u8],
    most: usize,
    interrupted: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let most = out.len().min(self.most);
        self.bytes.read(&mut out[..most])
    }
}

fn file_of(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_readers_leaves(len in 0usize..3000, chunk in 1usize..200, most in 1usize..300, threads in 0usize..5) {
        let bytes = Stream::bytes("reader", len);
        let mut out = Vec::new();
        let mut reader = Slow { bytes: &bytes, most, interrupted: false };
        let read = hash_parallel(&mut reader, chunk, threads, &mut |leaf| {
            out.push(leaf);
            Ok(())
        });
        prop_assert_eq!(read.unwrap(), len as u64);
        prop_assert_eq!(out, leaves(&bytes, chunk));
    }

    #[test]
    fn a_file_ranges_leaves(len in 0usize..3000, skip in 0usize..500, chunk in 1usize..200, threads in 0usize..5) {
        let bytes = Stream::bytes("range", skip + len + 10);
        let mut out = Vec::new();
        hash_file_range(file_of(&bytes), skip as u64, len as u64, chunk, threads, &mut |leaf| {
            out.push(leaf);
            Ok(())
        })
        .unwrap();
        prop_assert_eq!(out, leaves(&bytes[skip..skip + len], chunk));
    }
}

#[test]
fn a_file_shorter_than_stated_is_an_error() {
    let file = file_of(&[1; 1000]);
    for threads in [1, 3] {
        let mut good = 0;
        let error = hash_file_range(&file, 0, 1001, 100, threads, &mut |_| {
            good += 1;
            Ok(())
        })
        .unwrap_err();
        assert_eq!((error.kind(), good), (ErrorKind::Io, 10), "{error}");
    }
}

#[test]
fn an_error_of_the_sink_ends_it() {
    let full = || Error::new(ErrorKind::NoSpace, "full");
    for threads in [1, 3] {
        let mut taken = 0;
        let mut sink = |_| -> Result<()> {
            taken += 1;
            if taken == 5 { Err(full()) } else { Ok(()) }
        };
        // Endless: it ends because the sink does.
        assert_eq!(
            hash_parallel(&mut std::io::repeat(7), 10, threads, &mut sink).unwrap_err().kind(),
            ErrorKind::NoSpace
        );
        assert_eq!(taken, 5);
        let mut sink = |_| Err(full());
        let error = hash_file_range(file_of(&[1; 1000]), 0, 1000, 10, threads, &mut sink).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    }
}

#[test]
fn an_error_of_the_reader_ends_it() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| std::io::Error::other("broken"))?;
            out.fill(1);
            Ok(out.len())
        }
    }
    let error = hash_parallel(&mut Broken(9), 10, 2, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}
