//! Fuzz target: a kernel with invalid answers completes no operation that is not in
//! flight: `cargo +nightly fuzz run events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::adversarial::events::run(data));
