//! Finds host keys in the console output of a machine.
//!
//! The text comes from the machine, and from anything that can write to its console: no format is assumed. This file
//! imports no other module, so that it can be fuzzed on its own.
//!
//! cloud-init prints two blocks on the first boot (`write-ssh-key-fingerprints`), FreeBSD's `ec2_loghostkey` the
//! first of them on each boot:
//!
//! ```text
//! ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----
//! ec2: 256 SHA256:… root@ip-10-0-1-23 (ED25519)
//! ec2: -----END SSH HOST KEY FINGERPRINTS-----
//! -----BEGIN SSH HOST KEY KEYS-----
//! ssh-ed25519 AAAA… root@ip-10-0-1-23
//! -----END SSH HOST KEY KEYS-----
//! ```

/// How much of the end of the text is read, in bytes: EC2 keeps 64 KiB.
pub(super) const MAX_TEXT: usize = 256 * 1024;
/// The maximum length of a line, in bytes; longer ones are skipped.
pub(super) const MAX_LINE: usize = 16 * 1024;
/// The maximum number of lines of a block, including lines of other programs.
pub(super) const MAX_BLOCK_LINES: usize = 256;
/// The maximum number of keys, and of fingerprints, per boot.
pub(super) const MAX_ENTRIES: usize = 16;

/// The number of characters of a SHA-256 fingerprint after `SHA256:`.
const SHA256_LEN: usize = 43;

/// The host keys that one boot printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BootKeys {
    /// Algorithm and base64, as in a public key file; not validated yet.
    pub(super) keys: Vec<String>,
    /// `SHA256:…` and the kind of key, as `ssh-keygen -l` names it: `ED25519`.
    pub(super) fingerprints: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockKind {
    Keys,
    Fingerprints,
}

/// An unfinished block.
struct Block {
    kind: BlockKind,
    lines: usize,
    boot: BootKeys,
}

/// Returns the keys of the last boot that printed a complete block; empty if none did.
///
/// A block without its end or its beginning is ignored.
#[must_use]
pub(super) fn last_boot(text: &[u8]) -> BootKeys {
    let text = &text[text.len().saturating_sub(MAX_TEXT)..];
    let mut last = BootKeys::default();
    let mut open: Option<Block> = None;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| line.len() <= MAX_LINE) {
        let line = clean(line);
        if line.is_empty() {
            continue;
        }
        if line.contains("Linux version ") {
            // Another boot: the previous boot's keys remain until this one prints its own, but are not mixed with them.
            open = None;
            last.fingerprints.retain(|_| !last.keys.is_empty());
            continue;
        }
        if let Some(kind) = marker(&line, "BEGIN") {
            open = Some(Block { kind, lines: 0, boot: BootKeys::default() });
            continue;
        }
        let Some(mut block) = open.take() else { continue };
        if marker(&line, "END") == Some(block.kind) {
            close(block, &mut last);
            continue;
        }
        block.lines += 1;
        if block.lines <= MAX_BLOCK_LINES {
            block.read(&line);
            open = Some(block);
        }
    }
    last
}

/// Adds a finished block to its boot: the keys follow the fingerprints, and both belong to one boot.
fn close(block: Block, last: &mut BootKeys) {
    match block.kind {
        BlockKind::Fingerprints if !block.boot.fingerprints.is_empty() => *last = block.boot,
        BlockKind::Keys if !block.boot.keys.is_empty() => {
            if !last.keys.is_empty() {
                last.fingerprints.clear();
            }
            last.keys = block.boot.keys;
        }
        _ => {}
    }
}

fn marker(line: &str, which: &str) -> Option<BlockKind> {
    let is = |what: &str| line.contains(&format!("-----{which} SSH HOST KEY {what}-----"));
    match (is("KEYS"), is("FINGERPRINTS")) {
        (true, _) => Some(BlockKind::Keys),
        (_, true) => Some(BlockKind::Fingerprints),
        _ => None,
    }
}

impl Block {
    /// Takes an entry from the line after any prefix: a time, a priority, a program's name.
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match self.kind {
            BlockKind::Keys => {
                let is_key = |pair: &&[&str]| is_algorithm(pair[0]) && pair[1].starts_with("AAAA");
                let found = words.windows(2).find(is_key).map(|pair| pair.join(" "));
                let keys = &mut self.boot.keys;
                keys.extend(found.filter(|key| keys.len() < MAX_ENTRIES && !keys.contains(key)));
            }
            BlockKind::Fingerprints => {
                let fingerprints = &mut self.boot.fingerprints;
                let kind = words.last().and_then(|word| word.strip_prefix('(')?.strip_suffix(')'));
                let found = words.iter().find(|word| is_fingerprint(word)).zip(kind);
                let found = found.map(|(word, kind)| ((*word).to_owned(), kind.to_owned()));
                fingerprints.extend(
                    found.filter(|one| fingerprints.len() < MAX_ENTRIES && !fingerprints.contains(one)),
                );
            }
        }
    }
}

fn is_algorithm(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"].iter().any(|prefix| word.starts_with(prefix))
}

fn is_fingerprint(word: &str) -> bool {
    word.strip_prefix("SHA256:").is_some_and(|rest| {
        rest.len() == SHA256_LEN
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    })
}

/// Removes escape sequences (ECMA-48: CSI, OSC and the short ones) and other control characters.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    chars.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
                Some(']') => {
                    chars.by_ref().find(|c| matches!(c, '\u{7}' | '\\'));
                }
                _ => {}
            },
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
