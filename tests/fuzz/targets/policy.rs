//! Policies of buckets, accounts and roles: read, checked, asked.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_s3::fuzzing::policy(data));
