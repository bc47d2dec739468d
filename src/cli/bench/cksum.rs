//! The checksum of `cksum` (POSIX.1-2024, utility `cksum`): a CRC-32 that the instance can compute too.

/// The generator polynomial of ISO/IEC 8802-3, most significant bit first.
const POLYNOMIAL: u32 = 0x04c1_1db7;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000_0000 == 0 { value << 1 } else { (value << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// An incremental checksum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cksum {
    crc: u32,
    length: u64,
}

impl Cksum {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.crc = bytes.iter().fold(self.crc, step);
    }

    /// Returns the number that `cksum` prints: the length follows the data, least significant byte first, without
    /// leading zeros.
    pub(super) fn finish(self) -> u32 {
        let length = self.length.to_le_bytes();
        let significant = length.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        !length.iter().take(significant).fold(self.crc, step)
    }
}

fn step(crc: u32, byte: &u8) -> u32 {
    let [first, ..] = crc.to_be_bytes();
    (crc << 8) ^ TABLE.get(usize::from(first ^ byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn matches_cksum_program() {
        for input in [&b""[..], b"a", b"123456789", &[0; 300], &[0xff; 70_000]] {
            let mut child =
                Command::new("cksum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(input).unwrap();
            let output = child.wait_with_output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            let mut ours = Cksum::default();
            let (front, back) = input.split_at(input.len() / 3);
            ours.update(front);
            ours.update(back);
            assert_eq!(printed.trim(), format!("{} {}", ours.finish(), input.len()));
        }
    }
}
