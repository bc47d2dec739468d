//! Runs seeds through their fuzz target without a fuzzer.

use std::path::Path;

/// Runs every seed in `seeds`, prefixes of it, and variants with one byte changed, about `steps` each.
pub fn replay(seeds: &Path, run: fn(&[u8]), steps: usize) {
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        run(&seed);
        count += 1;
        for at in (0..seed.len()).step_by((seed.len() / steps).max(1)) {
            run(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 1;
            run(&changed);
        }
    }
    assert!(count >= 8, "{} has {count} seeds", seeds.display());
}
