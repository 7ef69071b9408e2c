//! A kernel that lies ends nothing that it does not have:
//! `cargo +nightly fuzz run events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::adversarial::events::run(data));
