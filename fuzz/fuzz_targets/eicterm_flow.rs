#![no_main]

#[path = "../src/eicterm_flow.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
