//! POST forms: a policy, and fields that it is about.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_s3::fuzzing::form(data));
