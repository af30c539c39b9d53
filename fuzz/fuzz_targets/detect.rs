#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| masshook_fuzz::detect::run(data));
