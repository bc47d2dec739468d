//! The pinned keys and how they may change. Nothing here reads a clock or a file.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{HostKey, HostKeyScope, Learned, MAX_KEYS_PER_SCOPE, StoreError};

/// How often a further sighting of a key is recorded: if every connection rewrote the store, they would wait for
/// each other.
const NOTE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How a key was pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyOrigin {
    /// Trusted on first use.
    FirstUse,
    /// Read from the instance's console output.
    Console,
    /// Given by an operator.
    Pinned,
}

impl KeyOrigin {
    /// Returns the stable name, as it appears in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::Console => "console",
            Self::Pinned => "pinned",
        }
    }
}

/// A pinned key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pin {
    /// The key.
    pub key: HostKey,
    /// How it was pinned.
    pub origin: KeyOrigin,
    /// When it was pinned, in seconds since the epoch.
    pub first_seen: u64,
    /// When an instance last proved to hold it, in seconds since the epoch, to the day. `None`: not since this is
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
}

/// The pinned keys of a scope, including those of less and more specific scopes that may be the same instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// The keys; empty if none is pinned.
    pub keys: Vec<HostKey>,
    /// The keys whose sighting should be recorded: a day has passed, or they are pinned for a less specific scope and
    /// can move to this one.
    pub to_note: Vec<HostKey>,
}

/// All pins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pins(BTreeMap<HostKeyScope, Vec<Pin>>);

/// Returns the seconds since the epoch.
fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn is_old(pin: &Pin, now: u64) -> bool {
    pin.last_seen.is_none_or(|seen| now.saturating_sub(seen) >= NOTE_EVERY.as_secs())
}

impl Pins {
    /// Iterates over all pins with their scopes, in the order of the scopes.
    pub fn iter(&self) -> impl Iterator<Item = (&HostKeyScope, &Pin)> {
        self.0.iter().flat_map(|(scope, pins)| pins.iter().map(move |pin| (scope, pin)))
    }

    /// Iterates over the scopes that have pins, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &HostKeyScope> {
        self.0.keys()
    }

    /// Validates pins that were read from a file.
    pub(super) fn check(&self) -> Result<(), String> {
        let bad = self.0.iter().find(|(_, pins)| !(1..=MAX_KEYS_PER_SCOPE).contains(&pins.len()));
        bad.map_or(Ok(()), |(scope, pins)| Err(format!("{scope} has {} keys", pins.len())))
    }

    /// Returns the pinned keys of `scope` and of those that may be the same instance.
    ///
    /// # Errors
    /// [`StoreError::Contradiction`] if several scopes match and no key is pinned for all of them.
    pub fn known(&self, scope: &HostKeyScope, now: SystemTime) -> Result<Known, StoreError> {
        let now = seconds(now);
        let meant: Vec<_> = self.0.iter().filter(|(other, _)| other.may_be(scope)).collect();
        let is_everywhere =
            |key: &HostKey| meant.iter().all(|(_, pins)| pins.iter().any(|pin| pin.key == *key));
        if let [(_, first), _, ..] = meant.as_slice()
            && !first.iter().any(|pin| is_everywhere(&pin.key))
        {
            let described = |(scope, pins): &(&HostKeyScope, &Vec<Pin>)| {
                ((*scope).clone(), pins.iter().map(|pin| pin.key.fingerprint()).collect())
            };
            return Err(StoreError::Contradiction { pins: meant.iter().map(described).collect() });
        }
        let mut known = Known::default();
        for (other, pins) in meant {
            for pin in pins {
                if !known.keys.contains(&pin.key) {
                    known.keys.push(pin.key.clone());
                }
                if (is_old(pin, now) || other.is_vaguer_than(scope)) && !known.to_note.contains(&pin.key) {
                    known.to_note.push(pin.key.clone());
                }
            }
        }
        Ok(known)
    }

    /// Pins `keys`, the first of which is the instance's, if no key is pinned for a matching scope.
    ///
    /// # Errors
    /// [`StoreError::Contradiction`] as in [`Self::known`].
    pub fn learn(
        &mut self,
        scope: &HostKeyScope,
        keys: &[HostKey],
        origin: KeyOrigin,
        now: SystemTime,
    ) -> Result<Learned, StoreError> {
        let known = self.known(scope, now)?.keys;
        let Some(shown) = keys.first() else { return Ok(Learned::Known) };
        if known.contains(shown) {
            return Ok(Learned::Known);
        }
        if !known.is_empty() {
            return Ok(Learned::Conflict(known));
        }
        let now = seconds(now);
        let mut pins: Vec<Pin> = Vec::new();
        for key in keys.iter().take(MAX_KEYS_PER_SCOPE) {
            if !pins.iter().any(|pin| pin.key == *key) {
                let last_seen = (key == shown).then_some(now);
                pins.push(Pin { key: key.clone(), origin, first_seen: now, last_seen });
            }
        }
        self.0.insert(scope.clone(), pins);
        Ok(Learned::Added)
    }

    /// Pins `key` on behalf of an operator, in addition to the keys of `scope`.
    ///
    /// # Errors
    /// [`StoreError::Full`] beyond [`MAX_KEYS_PER_SCOPE`], [`StoreError::Contradiction`] as in [`Self::known`].
    pub fn pin(
        &mut self,
        scope: &HostKeyScope,
        key: &HostKey,
        now: SystemTime,
    ) -> Result<Learned, StoreError> {
        let known = self.known(scope, now)?.keys;
        if known.contains(key) {
            return Ok(Learned::Known);
        }
        if known.iter().any(|other| other.algorithm() == key.algorithm()) {
            return Ok(Learned::Conflict(known));
        }
        // Under the scope that it may be pinned with already, or the two would contradict each other.
        let matching = self.0.keys().find(|other| other.may_be(scope)).unwrap_or(scope).clone();
        let pins = self.0.entry(matching).or_default();
        if pins.len() >= MAX_KEYS_PER_SCOPE {
            return Err(StoreError::Full(format!("{MAX_KEYS_PER_SCOPE} keys are pinned for {scope}")));
        }
        let (origin, first_seen) = (KeyOrigin::Pinned, seconds(now));
        pins.push(Pin { key: key.clone(), origin, first_seen, last_seen: None });
        Ok(Learned::Added)
    }

    /// Records that `scope` has shown `key`, and moves pins of less specific scopes here. Returns false if nothing
    /// changed.
    pub fn note(&mut self, scope: &HostKeyScope, key: &HostKey, now: SystemTime) -> bool {
        if !self.known(scope, now).is_ok_and(|known| known.to_note.contains(key)) {
            return false;
        }
        let vaguer: Vec<_> = self.0.keys().filter(|other| other.is_vaguer_than(scope)).cloned().collect();
        for other in vaguer {
            for pin in self.0.remove(&other).unwrap_or_default() {
                let pins = self.0.entry(scope.clone()).or_default();
                if let Some(ours) = pins.iter_mut().find(|ours| ours.key == pin.key) {
                    ours.first_seen = ours.first_seen.min(pin.first_seen);
                } else if pins.len() < MAX_KEYS_PER_SCOPE {
                    pins.push(pin);
                }
            }
        }
        let now = seconds(now);
        for (_, pins) in self.0.iter_mut().filter(|(other, _)| other.may_be(scope)) {
            for pin in pins.iter_mut().filter(|pin| pin.key == *key) {
                pin.last_seen = Some(now);
            }
        }
        true
    }

    /// Unpins every key of `scope` and returns how many there were.
    pub fn forget(&mut self, scope: &HostKeyScope) -> usize {
        self.0.remove(scope).map_or(0, |pins| pins.len())
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::ssh::EphemeralKey;

    fn key() -> HostKey {
        HostKey::parse(&EphemeralKey::generate().unwrap().public_openssh().unwrap()).unwrap()
    }

    fn scope(account: &str) -> HostKeyScope {
        format!("aws/{account}/eu-west-1/i-1").parse().unwrap()
    }

    fn day(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(number * 24 * 3600)
    }

    #[test]
    fn all_keys_are_pinned() {
        let (mut pins, shown, other) = (Pins::default(), key(), key());
        let keys = [shown.clone(), other.clone(), shown.clone()];
        assert_eq!(pins.learn(&scope("1"), &keys, KeyOrigin::Console, day(1)).unwrap(), Learned::Added);
        let seen: Vec<_> = pins.iter().map(|(_, pin)| (pin.key.clone(), pin.origin, pin.last_seen)).collect();
        let first = Some(seconds(day(1)));
        assert_eq!(seen, [(shown, KeyOrigin::Console, first), (other.clone(), KeyOrigin::Console, None)]);
        assert_eq!(pins.learn(&scope("1"), &[other], KeyOrigin::FirstUse, day(1)).unwrap(), Learned::Known);
    }

    #[test]
    fn pin_moves_to_the_account_once_known() {
        let (mut pins, key, strange) = (Pins::default(), key(), key());
        pins.learn(&scope("-"), from_ref(&key), KeyOrigin::FirstUse, day(1)).unwrap();
        let known = pins.known(&scope("1"), day(1)).unwrap();
        assert_eq!((&known.keys, &known.to_note), (&vec![key.clone()], &vec![key.clone()]));
        assert_eq!(
            pins.learn(&scope("1"), from_ref(&strange), KeyOrigin::FirstUse, day(1)).unwrap(),
            Learned::Conflict(vec![key.clone()]),
            "one instance has one pin"
        );
        assert!(!pins.note(&scope("1"), &strange, day(1)));
        assert!(pins.note(&scope("1"), &key, day(2)));
        let all: Vec<_> = pins.iter().map(|(scope, pin)| (scope.to_string(), pin.first_seen)).collect();
        assert_eq!(all, [(scope("1").to_string(), seconds(day(1)))]);
        // The reverse: a caller without the account finds the pin and leaves it in place.
        assert_eq!(pins.known(&scope("-"), day(2)).unwrap().keys, from_ref(&key));
        assert!(pins.note(&scope("-"), &key, day(9)));
        assert_eq!(pins.iter().next().unwrap().0, &scope("1"));
        assert!(pins.known(&scope("2"), day(2)).unwrap().keys.is_empty());
    }

    #[test]
    fn only_disjoint_pins_contradict() {
        let (mut pins, one, two) = (Pins::default(), key(), key());
        pins.learn(&scope("1"), from_ref(&one), KeyOrigin::FirstUse, day(1)).unwrap();
        pins.0.insert(
            scope("-"),
            vec![Pin { key: two.clone(), origin: KeyOrigin::FirstUse, first_seen: 0, last_seen: None }],
        );
        let error = pins.known(&scope("1"), day(1)).unwrap_err();
        let text = error.to_string();
        for part in [
            &scope("1").to_string(),
            &scope("-").to_string(),
            one.fingerprint().sha256(),
            two.fingerprint().sha256(),
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(pins.learn(&scope("1"), from_ref(&one), KeyOrigin::FirstUse, day(1)).is_err());
        assert!(!pins.note(&scope("1"), &one, day(3)), "nothing moves during a contradiction");
        pins.0.entry(scope("-")).or_default().push(Pin {
            key: one.clone(),
            origin: KeyOrigin::Pinned,
            first_seen: 0,
            last_seen: None,
        });
        assert_eq!(pins.known(&scope("1"), day(1)).unwrap().keys.len(), 2);
        assert_eq!(pins.forget(&scope("-")), 2);
    }

    #[test]
    fn sighting_is_recorded_once_a_day() {
        let (mut pins, key) = (Pins::default(), key());
        pins.learn(&scope("1"), from_ref(&key), KeyOrigin::FirstUse, day(1)).unwrap();
        let almost = day(2) - Duration::from_secs(1);
        assert!(pins.known(&scope("1"), almost).unwrap().to_note.is_empty());
        assert!(!pins.note(&scope("1"), &key, almost));
        assert_eq!(pins.known(&scope("1"), day(2)).unwrap().to_note, from_ref(&key));
        assert!(pins.note(&scope("1"), &key, day(2)));
        assert!(!pins.note(&scope("1"), &key, day(2)));
        assert!(!pins.note(&scope("1"), &key, day(1)), "a clock set back changes nothing");
    }

    #[test]
    fn operator_adds_only_another_algorithm() {
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
        let (mut pins, one, other) = (Pins::default(), key(), HostKey::parse(ecdsa).unwrap());
        pins.learn(&scope("-"), from_ref(&one), KeyOrigin::FirstUse, day(1)).unwrap();
        assert_eq!(pins.pin(&scope("1"), &one, day(1)).unwrap(), Learned::Known);
        assert_eq!(pins.pin(&scope("1"), &other, day(1)).unwrap(), Learned::Added);
        assert_eq!(pins.pin(&scope("1"), &key(), day(1)).unwrap(), Learned::Conflict(vec![one, other]));
        assert_eq!(pins.scopes().collect::<Vec<_>>(), [&scope("-")], "under the existing scope");
        assert!(pins.known(&scope("1"), day(1)).is_ok());
    }
}
