//! Fuzz target: a ring with arbitrary contents is read within its bounds: `cargo
//! +nightly fuzz run ring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::adversarial::ring::run(data));
