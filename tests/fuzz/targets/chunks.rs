//! Bodies in signed and unsigned chunks, with trailers and without, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_s3::fuzzing::chunks(data));
