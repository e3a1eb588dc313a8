#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trellis_proto::fuzz::signal(bytes));
