//! Bytes that nothing else looks like, so that a lost, doubled or swapped piece shows.

/// `len` bytes that `seed` decides.
pub(crate) fn noise(mut seed: u64, len: usize) -> Vec<u8> {
    let next = || {
        // A linear congruential generator with Knuth's MMIX constants; its high bits are the good ones.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
