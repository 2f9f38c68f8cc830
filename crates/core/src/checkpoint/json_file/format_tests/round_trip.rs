//! Random content and random damage.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::Value;
use tidemark_storage::{RealStorage, Site, Storage};

use super::{accepted, content, decode, encode, encoded};
use crate::checkpoint::merge::Overlay;
use crate::checkpoint::{Checkpoint, ResumeKey};

/// `SEED=` chooses the seed; without it each run has its own, which a failure prints.
fn seed() -> u64 {
    if let Ok(seed) = std::env::var("SEED") {
        return seed.parse().expect("SEED is a number");
    }
    let mut random = [0; 8];
    RealStorage.random(Site::Test, &mut random).unwrap();
    u64::from_le_bytes(random)
}

fn config(cases: u32) -> Config {
    let seed = seed();
    println!("SEED={seed}");
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}

type Entries = BTreeMap<[u8; 32], (u64, Option<String>)>;

fn entries() -> impl Strategy<Value = Entries> {
    let sequence = prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)];
    let event_id = proptest::option::of(prop_oneof![
        ".*",
        proptest::string::string_regex("(?s).{0,40}").unwrap()
    ]);
    proptest::collection::btree_map(any::<[u8; 32]>(), (sequence, event_id), 0..20)
}

fn as_content(entries: &Entries) -> super::Content {
    content(entries.iter().map(|(digest, (sequence, event_id))| {
        let key = ResumeKey::from_parts(*digest, 1);
        (key, Checkpoint::new(*sequence, event_id.as_deref()))
    }))
}

fn as_entries(content: &super::Content) -> Entries {
    let entries = content.entries.iter().map(|(key, entry)| {
        let Checkpoint { last_committed_sequence, last_event_id } = &entry.checkpoint;
        (*key.digest(), (*last_committed_sequence, last_event_id.as_deref().map(str::to_owned)))
    });
    entries.collect()
}

/// What is written is what is read.
#[test]
fn decoding_what_was_encoded_gives_the_same_content() {
    proptest!(config(256), |(entries in entries())| {
        prop_assert_eq!(as_entries(&accepted(encoded(&as_content(&entries)))), entries);
    });
}

/// What is written is what another JSON library writes, given the same members in the same order.
#[test]
fn the_encoding_is_that_of_the_originals_library() {
    proptest!(config(128), |(entries in entries())| {
        let checkpoints: Vec<String> = entries.iter().map(|(digest, (sequence, event_id))| {
            let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            let event_id = serde_json::to_string(event_id).unwrap();
            format!(
                "    \"{hex}\": {{\n      \"last_committed_sequence\": {sequence},\n      \
                 \"last_event_id\": {event_id}\n    }}"
            )
        }).collect();
        let json = encoded(&as_content(&entries));
        let map = if checkpoints.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{\n{}\n  }}", checkpoints.join(",\n"))
        };
        let expected = format!(
            "{{\n  \"version\": 1,\n  \"key_format_version\": 1,\n  \"checkpoints\": {map}\n}}"
        );
        prop_assert_eq!(&json, &expected);
        prop_assert!(serde_json::from_str::<Value>(&json).is_ok());
    });
}

/// An overlay written is an overlay applied.
#[test]
fn encoding_with_an_overlay_is_applying_it() {
    let change = proptest::option::of(any::<u64>());
    let overlay = proptest::collection::btree_map(any::<[u8; 32]>(), change, 0..20);
    proptest!(config(128), |(base in entries(), added in overlay, hit in any::<u64>())| {
        // Random digests never meet: let some changes hit what is there.
        let mut overlay: Overlay = added.into_iter().map(|(digest, change)| {
            (ResumeKey::from_parts(digest, 1), change.map(|to| Checkpoint::new(to, None)))
        }).collect();
        for (index, digest) in base.keys().enumerate().filter(|(i, _)| hit >> (i % 64) & 1 == 1) {
            let change = (index % 3 > 0).then(|| Checkpoint::new(index as u64, Some("hit")));
            overlay.insert(ResumeKey::from_parts(*digest, 1), change);
        }
        let written = accepted(encode(&as_content(&base), &overlay));
        let mut applied = as_content(&base);
        applied.apply(overlay);
        prop_assert_eq!(as_entries(&written), as_entries(&applied));
    });
}

/// A generator of damage: small, and the same for the same seed.
struct Damage(u64);

impl Damage {
    /// xorshift64*.
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % below.max(1)
    }

    fn byte(&mut self) -> u8 {
        const LIKELY: &[u8] = b"{}[]\",:\\ \n0123456789eE.+-tfnux\0\xff\xc3";
        LIKELY[self.next(LIKELY.len())]
    }

    fn hurt(&mut self, bytes: &mut Vec<u8>) {
        let (at, other) = (self.next(bytes.len()), self.next(bytes.len()));
        match self.next(6) {
            _ if bytes.is_empty() => bytes.push(self.byte()),
            0 => bytes[at] = self.byte(),
            1 => bytes[at] ^= 1 << self.next(8),
            2 => bytes.insert(at, self.byte()),
            3 => drop(bytes.remove(at)),
            4 => drop(bytes.drain(at.min(other)..at.max(other))),
            _ => {
                let piece = bytes[at.min(other)..at.max(other)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// JF-10: whatever the bytes, an error or a content that round-trips; never a panic.
#[test]
fn damaged_bytes_never_panic_and_what_is_accepted_round_trips() {
    let seed = seed();
    println!("SEED={seed}");
    let mut damage = Damage(seed | 1);
    let whole = "{\"version\": 1, \"key_format_version\": 1, \"n\": {\"a\": [1e5, \"\\u00e9\"]}, \
         \"checkpoints\": {\"46fe3e30937478ae30527c74cb2f03a5e5419228a11051cdaccefe7d044b21c3\": \
         {\"last_committed_sequence\": 72, \"last_event_id\": \"mars@72\", \"n\": null}}}";
    let (mut survived, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..=damage.next(3) {
            damage.hurt(&mut bytes);
        }
        match decode(&bytes) {
            Err(_) => refused += 1,
            Ok(content) => {
                survived += 1;
                let json = encoded(&content);
                let again = accepted(&json);
                assert_eq!(as_entries(&again), as_entries(&content), "SEED={seed}");
                assert_eq!(encoded(&again), json, "SEED={seed}");
            }
        }
    }
    assert!(survived > 100 && refused > 100, "SEED={seed}: {survived} survived, {refused} did not");
}

/// JF-10: bytes that were never a state file.
#[test]
fn random_bytes_never_panic() {
    let seed = seed();
    println!("SEED={seed}");
    let mut damage = Damage(seed | 1);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..damage.next(60)).map(|_| damage.byte()).collect();
        assert!(decode(&bytes).is_err(), "SEED={seed}: {bytes:?}");
    }
}
