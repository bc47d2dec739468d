//! The host keys found in a console output are bounded, printable, and from a complete block.

#[path = "../../src/ssh/host_keys/console_text.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module of the program, without the rest")]
mod console_text;

use console_text::{MAX_ENTRIES, MAX_LINE, last_boot};

pub fn run(data: &[u8]) {
    let found = last_boot(data);
    assert!(found.keys.len() <= MAX_ENTRIES && found.fingerprints.len() <= MAX_ENTRIES);
    for text in found.keys.iter().chain(found.fingerprints.iter().flat_map(|(sha256, kind)| [sha256, kind])) {
        // An invalid UTF-8 byte becomes three bytes.
        assert!(text.len() <= 3 * MAX_LINE && !text.chars().any(char::is_control), "{text:?}");
    }
    assert!(found.keys.iter().all(|key| key.split(' ').count() == 2));
    assert!(found.fingerprints.iter().all(|(sha256, _)| sha256.len() == 50 && sha256.starts_with("SHA256:")));
    // A later boot without keys does not remove keys.
    assert_eq!(last_boot(&[data, b"\nLinux version 6\n"].concat()).keys, found.keys);
}
