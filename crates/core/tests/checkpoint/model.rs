//! Property tests against a plain map: `memory_store_matches_reference_model` and
//! `file_store_matches_reference_model`, a test of the original (64 cases each).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tidemark_core::checkpoint::{Condition, DeleteOutcome, MemoryStore, Store};
use tidemark_storage::Site;

use super::support::{Process, Scratch, applied, at, disk, key, real, superseded};

/// `SEED=` chooses the seed; without it each run has its own, which a failure prints.
fn config() -> Config {
    let mut random = [0; 8];
    real().random(Site::Test, &mut random).unwrap();
    let seed = std::env::var("SEED")
        .map_or(u64::from_le_bytes(random), |seed| seed.parse().expect("SEED is a number"));
    println!("SEED={seed}");
    Config {
        cases: 64,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    Delete(u8, Option<u64>),
    /// Another process takes over; the first one's handle stays open.
    Switch,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few keys and small sequences meet; the whole range is there as well.
    let number = prop_oneof![4 => 0..4_u8, 1 => any::<u8>()];
    let sequence = prop_oneof![4 => 0..20_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    let step = prop_oneof![
        6 => (number.clone(), sequence.clone()).prop_map(|(key, to)| Step::Put(key, to)),
        2 => (number, proptest::option::of(sequence)).prop_map(|(k, to)| Step::Delete(k, to)),
        1 => Just(Step::Switch),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 0..32)
}

/// What a store should hold.
#[derive(Default)]
struct Model {
    entries: BTreeMap<u8, u64>,
    touched: BTreeSet<u8>,
}

impl Model {
    /// Does the step to both, and compares what they say of it.
    fn step(&mut self, store: &Store, step: &Step) {
        match *step {
            Step::Put(number, sequence) => {
                self.touched.insert(number);
                let known = self.entries.get(&number).copied();
                let outcome = store.put(&key(number.into()), at(sequence)).unwrap();
                match known {
                    Some(known) if known >= sequence => assert_eq!(outcome, superseded(at(known))),
                    _ => {
                        self.entries.insert(number, sequence);
                        assert_eq!(outcome, applied(at(sequence)));
                    }
                }
            }
            Step::Delete(number, up_to) => {
                self.touched.insert(number);
                let when = up_to.map_or(Condition::Always, Condition::UpTo);
                let expected = match self.entries.get(&number) {
                    None => DeleteOutcome::Absent,
                    Some(known) if up_to.is_some_and(|up_to| *known > up_to) => {
                        DeleteOutcome::Superseded
                    }
                    Some(_) => {
                        self.entries.remove(&number);
                        DeleteOutcome::Deleted
                    }
                };
                assert_eq!(store.delete(&key(number.into()), when).unwrap(), expected);
            }
            Step::Switch | Step::Reopen => {}
        }
    }

    /// Final values are equal; keys that were touched and deleted are absent.
    fn check(&self, store: &Store) {
        for number in &self.touched {
            let expected = self.entries.get(number).map(|sequence| at(*sequence));
            assert_eq!(store.get(&key((*number).into())).unwrap(), expected);
        }
        assert_eq!(store.len().unwrap(), self.entries.len());
    }
}

/// `memory_store_matches_reference_model`.
#[test]
fn memory_store_matches_reference_model() {
    proptest!(config(), |(steps in steps())| {
        let store = MemoryStore::open(&real()).unwrap();
        let mut model = Model::default();
        for step in &steps {
            model.step(&store, step);
        }
        model.check(&store);
    });
}

/// `file_store_matches_reference_model`, by two processes that take turns with stale memories.
#[test]
fn file_store_matches_reference_model() {
    proptest!(config(), |(steps in steps())| {
        let scratch = Scratch::new();
        let mut processes = [Process::new(), Process::new()];
        let mut stores = [0, 1].map(|n: usize| processes[n].open(&scratch.state()));
        let mut model = Model::default();
        for step in &steps {
            match step {
                Step::Switch => {
                    stores.swap(0, 1);
                    processes.swap(0, 1);
                }
                Step::Reopen => {
                    stores[0].close_blocking();
                    stores[0] = processes[0].open(&scratch.state());
                }
                _ => model.step(&stores[0], step),
            }
        }
        for store in &stores {
            store.refresh().unwrap();
            model.check(store);
        }
        if scratch.state().exists() {
            prop_assert_eq!(disk(&scratch.state()).len(), model.entries.len());
        }
    });
}
