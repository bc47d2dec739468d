//! Pseudorandom bytes, in which a lost, duplicated or swapped piece is visible.

/// Returns `len` bytes, determined by `seed`.
pub(crate) fn noise(mut seed: u64, len: usize) -> Vec<u8> {
    let next = || {
        // A linear congruential generator with Knuth's MMIX constants; its high bits are the better ones.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
