//! What is pinned, and what may become of it. Nothing here reads a clock or a file.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{HostKey, HostKeyScope, Learned, MAX_KEYS_PER_SCOPE, StoreError};

/// How often it is written down that a key was seen again: a store that every connection rewrites would make
/// them wait for each other.
const NOTE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How a key came to be pinned.
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
    /// Its stable name, as it stands in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::Console => "console",
            Self::Pinned => "pinned",
        }
    }
}

/// A key that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pin {
    /// The key.
    pub key: HostKey,
    /// How it came here.
    pub origin: KeyOrigin,
    /// When it came here, in seconds since the epoch.
    pub first_seen: u64,
    /// When an instance last proved to hold it, in seconds since the epoch, to the day. `None`: never since this
    /// is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
}

/// What is pinned for one scope, with the pins of vaguer and of fuller scopes that may be the same instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// The keys; empty when none is pinned.
    pub keys: Vec<HostKey>,
    /// The keys of which it is worth writing down that they were seen: a day went by, or they are pinned for a
    /// vaguer scope and can move to this one.
    pub to_note: Vec<HostKey>,
}

/// All pins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pins(BTreeMap<HostKeyScope, Vec<Pin>>);

/// Seconds since the epoch.
fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn is_old(pin: &Pin, now: u64) -> bool {
    pin.last_seen.is_none_or(|seen| now.saturating_sub(seen) >= NOTE_EVERY.as_secs())
}

impl Pins {
    /// Each pin with its scope, in the order of the scopes.
    pub fn iter(&self) -> impl Iterator<Item = (&HostKeyScope, &Pin)> {
        self.0.iter().flat_map(|(scope, pins)| pins.iter().map(move |pin| (scope, pin)))
    }

    /// The scopes that something is pinned for, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &HostKeyScope> {
        self.0.keys()
    }

    /// What is wrong with pins that were read from elsewhere.
    pub(super) fn check(&self) -> Result<(), String> {
        let bad = self.0.iter().find(|(_, pins)| !(1..=MAX_KEYS_PER_SCOPE).contains(&pins.len()));
        bad.map_or(Ok(()), |(scope, pins)| Err(format!("{scope} has {} keys", pins.len())))
    }

    /// What is pinned for `scope`, and for those that may be the same instance.
    ///
    /// # Errors
    /// [`StoreError::Contradiction`] when several scopes may be meant and no key is pinned for all of them.
    pub fn known(&self, scope: &HostKeyScope, now: SystemTime) -> Result<Known, StoreError> {
        let now = seconds(now);
        let meant: Vec<_> = self.0.iter().filter(|(other, _)| other.may_be(scope)).collect();
        let is_everywhere =
            |key: &HostKey| meant.iter().all(|(_, pins)| pins.iter().any(|pin| pin.key == *key));
        if let [(_, first), _, ..] = meant.as_slice()
            && !first.iter().any(|pin| is_everywhere(&pin.key))
        {
            let told = |(scope, pins): &(&HostKeyScope, &Vec<Pin>)| {
                ((*scope).clone(), pins.iter().map(|pin| pin.key.fingerprint()).collect())
            };
            return Err(StoreError::Contradiction { pins: meant.iter().map(told).collect() });
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

    /// Pins `keys`, of which the instance has shown the first, if nothing is pinned that may be meant.
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

    /// Pins `key` by an operator's word, beside what is pinned for `scope`.
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
        // Beside what it may be pinned with under another name, or the two would contradict each other.
        let place = self.0.keys().find(|other| other.may_be(scope)).unwrap_or(scope).clone();
        let pins = self.0.entry(place).or_default();
        if pins.len() >= MAX_KEYS_PER_SCOPE {
            return Err(StoreError::Full(format!("{MAX_KEYS_PER_SCOPE} keys are pinned for {scope}")));
        }
        let (origin, first_seen) = (KeyOrigin::Pinned, seconds(now));
        pins.push(Pin { key: key.clone(), origin, first_seen, last_seen: None });
        Ok(Learned::Added)
    }

    /// Notes that `scope` has shown `key`, and moves here what is pinned for vaguer scopes. False when there was
    /// nothing to change.
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

    /// Unpins every key of `scope` and says how many there were.
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
    fn all_keys_that_were_told_are_pinned_and_the_one_shown_is_seen() {
        let (mut pins, shown, other) = (Pins::default(), key(), key());
        let keys = [shown.clone(), other.clone(), shown.clone()];
        assert_eq!(pins.learn(&scope("1"), &keys, KeyOrigin::Console, day(1)).unwrap(), Learned::Added);
        let seen: Vec<_> = pins.iter().map(|(_, pin)| (pin.key.clone(), pin.origin, pin.last_seen)).collect();
        let first = Some(seconds(day(1)));
        assert_eq!(seen, [(shown, KeyOrigin::Console, first), (other.clone(), KeyOrigin::Console, None)]);
        assert_eq!(pins.learn(&scope("1"), &[other], KeyOrigin::FirstUse, day(1)).unwrap(), Learned::Known);
    }

    #[test]
    fn what_is_pinned_without_the_account_counts_and_moves_to_the_account_once_it_is_known() {
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
        // And the other way round: who does not know the account finds the pin and leaves it where it is.
        assert_eq!(pins.known(&scope("-"), day(2)).unwrap().keys, from_ref(&key));
        assert!(pins.note(&scope("-"), &key, day(9)));
        assert_eq!(pins.iter().next().unwrap().0, &scope("1"));
        assert!(pins.known(&scope("2"), day(2)).unwrap().keys.is_empty());
    }

    #[test]
    fn pins_that_contradict_each_other_are_an_error_and_pins_that_share_a_key_are_not() {
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
        assert!(!pins.note(&scope("1"), &one, day(3)), "nothing moves while it is not settled");
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
    fn a_key_is_noted_once_a_day() {
        let (mut pins, key) = (Pins::default(), key());
        pins.learn(&scope("1"), from_ref(&key), KeyOrigin::FirstUse, day(1)).unwrap();
        let almost = day(2) - Duration::from_secs(1);
        assert!(pins.known(&scope("1"), almost).unwrap().to_note.is_empty());
        assert!(!pins.note(&scope("1"), &key, almost));
        assert_eq!(pins.known(&scope("1"), day(2)).unwrap().to_note, from_ref(&key));
        assert!(pins.note(&scope("1"), &key, day(2)));
        assert!(!pins.note(&scope("1"), &key, day(2)));
        assert!(!pins.note(&scope("1"), &key, day(1)), "a clock that goes back changes nothing");
    }

    #[test]
    fn an_operator_adds_a_key_of_another_kind_and_never_silently_another_of_the_same() {
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
        let (mut pins, one, other) = (Pins::default(), key(), HostKey::parse(ecdsa).unwrap());
        pins.learn(&scope("-"), from_ref(&one), KeyOrigin::FirstUse, day(1)).unwrap();
        assert_eq!(pins.pin(&scope("1"), &one, day(1)).unwrap(), Learned::Known);
        assert_eq!(pins.pin(&scope("1"), &other, day(1)).unwrap(), Learned::Added);
        assert_eq!(pins.pin(&scope("1"), &key(), day(1)).unwrap(), Learned::Conflict(vec![one, other]));
        assert_eq!(pins.scopes().collect::<Vec<_>>(), [&scope("-")], "beside what was there");
        assert!(pins.known(&scope("1"), day(1)).is_ok());
    }
}
