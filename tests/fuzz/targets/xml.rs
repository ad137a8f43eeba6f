//! Every kind of XML document that the door reads: read, checked, written, read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold_s3::fuzzing::xml(data));
