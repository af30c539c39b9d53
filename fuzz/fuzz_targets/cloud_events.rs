#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| masshook_fuzz::cloud_events::run(data));
