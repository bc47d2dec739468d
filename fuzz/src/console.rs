//! What a console tells of host keys is bounded, printable, and of a block that is whole.

#[path = "../../src/ssh/host_keys/console_text.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module of the program, by itself")]
mod console_text;

use console_text::{MAX_ENTRIES, MAX_LINE, last_boot};

pub fn run(data: &[u8]) {
    let told = last_boot(data);
    assert!(told.keys.len() <= MAX_ENTRIES && told.fingerprints.len() <= MAX_ENTRIES);
    for text in told.keys.iter().chain(told.fingerprints.iter().flat_map(|(sha256, kind)| [sha256, kind])) {
        // Bytes that are no UTF-8 become three.
        assert!(text.len() <= 3 * MAX_LINE && !text.chars().any(char::is_control), "{text:?}");
    }
    assert!(told.keys.iter().all(|key| key.split(' ').count() == 2));
    assert!(told.fingerprints.iter().all(|(sha256, _)| sha256.len() == 50 && sha256.starts_with("SHA256:")));
    // Another boot that says nothing takes nothing back.
    assert_eq!(last_boot(&[data, b"\nLinux version 6\n"].concat()).keys, told.keys);
}
