//! Console outputs as instances print them, and invalid ones.

use std::slice::from_ref;

use proptest::prelude::*;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};

use super::super::console_text::{self, MAX_BLOCK_LINES, MAX_ENTRIES, MAX_TEXT};
use super::*;
use crate::ssh::EphemeralKey;

const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDGnZtvl1mX9+DtD5nFSyXTqUMcMq4y9hMfkSNMj0LCIEjLqFYJZjaHxVNdtqcR6zd+gLz2XXLdBWzBMTlxY9cDqVyBXeLQmrRULTzNKoL7Ul3J2+oBPTPCRfW1dGhIVXBpGOrKaeahgdTyGI1B4v4cRlFyROC2o0CmiMzO4VkOTQ==";

fn key() -> HostKey {
    HostKey::parse(&EphemeralKey::generate().unwrap().public_openssh().unwrap()).unwrap()
}

fn keys(lines: &[String]) -> String {
    format!(
        "-----BEGIN SSH HOST KEY KEYS-----\r\n{}\r\n-----END SSH HOST KEY KEYS-----\r\n",
        lines.join("\r\n")
    )
}

fn block(key: &HostKey) -> String {
    keys(&[format!("{} root@ip-10-0-1-23", key.to_openssh())])
}

fn fingerprints(key: &HostKey, prefix: &str) -> String {
    format!(
        "{prefix}#####\r\n{prefix}-----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n\
         {prefix}256 {} root@ip-10-0-1-23 (ED25519)\r\n\
         {prefix}2048 MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48 root@ip-10-0-1-23 (RSA)\r\n\
         {prefix}-----END SSH HOST KEY FINGERPRINTS-----\r\n",
        key.fingerprint().sha256()
    )
}

fn read(text: &str) -> Testimony {
    Testimony::from_console(text.as_bytes())
}

#[test]
fn keys_are_found_among_other_output() {
    let key = key();
    for prefix in
        ["", "ec2: ", "<14>Nov 24 08:00:00 ec2: ", "[   23.456789] cloud-init[1234]: ", "\u{1b}[0;32m"]
    {
        let noise = "[   12.3] random: crng init done\r\n\u{1b}]0;title\u{7}login: ";
        let text = format!("{noise}{}{noise}\r\n{}{noise}", fingerprints(&key, prefix), block(&key));
        let found = read(&text);
        assert_eq!(found.keys, from_ref(&key), "{prefix:?}");
        assert_eq!(found.fingerprints.len(), 1, "an MD5 proves nothing: {prefix:?}");
        assert_eq!(found.fingerprints[0].sha256(), key.fingerprint().sha256());
    }
    let ed = key.to_openssh();
    let apart = keys(&[
        "[   30.1] audit: type=1400".into(),
        format!("ec2: \u{1b}[1m{ed}\u{1b}[0m root@x"),
        "\u{fffd}\u{0}".into(),
        format!("{RSA} root@x"),
        ed,
    ]);
    assert_eq!(read(&apart).keys.len(), 2, "each once, in spite of the noise");
}

#[test]
fn last_complete_boot_wins() {
    let (old, new) = (key(), key());
    let boot = "[    0.000000] Linux version 6.1.0\r\n";
    let two = format!(
        "{boot}{}{}{boot}{}{}",
        fingerprints(&old, ""),
        block(&old),
        fingerprints(&new, ""),
        block(&new)
    );
    let found = read(&two);
    assert_eq!((&found.keys, found.fingerprints.len()), (&vec![new.clone()], 1));
    assert_eq!(found.fingerprints[0].sha256(), new.fingerprint().sha256());
    // The second boot is still printing.
    let cut = two.rfind("-----END").unwrap();
    let found = read(&two[..cut]);
    assert!(found.keys.is_empty(), "the fingerprints of the second are whole and newer: {found:?}");
    assert_eq!(found.fingerprints[0].sha256(), new.fingerprint().sha256());
    let cut = two.rfind("-----END SSH HOST KEY FINGER").unwrap();
    assert_eq!(read(&two[..cut]).keys, from_ref(&old));
    // The beginning was overwritten in the ring buffer.
    let begin = "-----BEGIN SSH HOST KEY KEYS-----";
    assert!(read(&block(&old)[begin.len()..]).is_empty());
    // A block that another boot interrupts is ignored.
    let torn = format!("{begin}\r\n{}\r\n{boot}{}", old.to_openssh(), "-----END SSH HOST KEY KEYS-----");
    assert!(read(&torn).is_empty());
    // Fingerprints of one boot do not count with the keys of another.
    let mixed = format!("{}{boot}{}", fingerprints(&old, ""), block(&new));
    assert!(read(&mixed).fingerprints.is_empty());
}

#[test]
fn fingerprint_confirms_a_garbled_key() {
    let (key, ed) = (key(), key().to_openssh());
    let text = format!(
        "{}{}",
        fingerprints(&key, ""),
        keys(&[format!("{}[  9.1] oops{}", &ed[..40], &ed[40..]), RSA.into()])
    );
    let found = read(&text);
    assert_eq!(found.keys.len(), 1, "the RSA key: {found:?}");
    assert!(matches!(found.about(&key), Verdict::Confirmed(keys) if keys.len() == 2 && keys[0] == key));
}

#[test]
fn unlisted_algorithm_is_contradicted() {
    let (listed, shown) = (key(), key());
    let kind = Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 };
    let ecdsa = PrivateKey::random(&mut russh::keys::key::safe_rng(), kind).unwrap();
    let ecdsa = HostKey::from(ecdsa.public_key().clone());
    let confirmed = read(&block(&listed));
    assert!(matches!(confirmed.about(&listed), Verdict::Confirmed(_)));
    assert!(matches!(confirmed.about(&shown), Verdict::Contradicted(_)));
    assert!(matches!(confirmed.about(&ecdsa), Verdict::Contradicted(_)), "the algorithm is no loophole");
    let rsa = read(&keys(&[RSA.into()]));
    assert_eq!(rsa.keys.len(), 1);
    assert!(matches!(rsa.about(&shown), Verdict::Nothing(listed) if listed.len() == 1));
    let only_fingerprints = read(&fingerprints(&listed, "ec2: "));
    assert!(matches!(only_fingerprints.about(&listed), Verdict::Confirmed(keys) if keys == [listed.clone()]));
    assert!(matches!(only_fingerprints.about(&shown), Verdict::Contradicted(_)));
}

#[test]
fn console_text_is_bounded() {
    let key = key();
    let many: Vec<String> = (0..100).map(|n| format!("ssh-ed25519 AAAA{n}")).collect();
    assert_eq!(console_text::last_boot(keys(&many).as_bytes()).keys.len(), MAX_ENTRIES);
    let padded = |lines: usize| {
        let mut all = vec!["noise".to_owned(); lines - 1];
        all.push(key.to_openssh());
        read(&keys(&all))
    };
    assert!(!padded(MAX_BLOCK_LINES).is_empty());
    assert!(padded(MAX_BLOCK_LINES + 1).is_empty());
    assert!(
        read(&format!("{}{}", block(&key), "x\n".repeat(MAX_TEXT / 2))).is_empty(),
        "only the end is read"
    );
    assert!(read(&keys(&[format!("{}{}", "x".repeat(1 << 20), key.to_openssh())])).is_empty());
    for text in ["", "\u{0}", "-----END SSH HOST KEY KEYS-----", "-----BEGIN SSH HOST KEY KEYS-----"] {
        assert!(read(text).is_empty(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(
        pieces in proptest::collection::vec(prop_oneof![
            Just(b"-----BEGIN SSH HOST KEY KEYS-----\n".to_vec()),
            Just(b"-----END SSH HOST KEY KEYS-----\r".to_vec()),
            Just(b"-----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n".to_vec()),
            Just(b"-----END SSH HOST KEY FINGERPRINTS-----\n".to_vec()),
            Just(b"256 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x (ED25519)\n".to_vec()),
            Just(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ\n".to_vec()),
            Just(b"Linux version \n".to_vec()),
            Just(b"\x1b[31m\x1b]0;".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..40),
        ], 0..60),
    ) {
        let text = pieces.concat();
        let listed = console_text::last_boot(&text);
        prop_assert!(listed.keys.len() <= MAX_ENTRIES && listed.fingerprints.len() <= MAX_ENTRIES);
        for line in listed.keys.iter().chain(listed.fingerprints.iter().flat_map(|(a, b)| [a, b])) {
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        let _ = Testimony::from_console(&text);
    }
}
