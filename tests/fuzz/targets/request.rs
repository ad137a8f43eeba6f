//! Targets, queries, headers and signatures of requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_s3::fuzzing::request(data));
