//! What the benchmarks share.

#![allow(dead_code, reason = "each benchmark uses its part")]

pub mod openssh;
pub mod paired;
