//! The operations of the JSON store that the other crash tests leave out, each with every stop and
//! in all company: conditional deletes, what `prune` and a repair at open do, and several at once.
//!
//! The same rules as in `crash_json_file`: promise 2 of the README, JF-1, JF-3, JF-4, JF-6, JF-10,
//! GC-2 and GC-5. `SEED=n` repeats the random interleaving n alone, `TORTURE=n` tries n times as
//! many, and as many more of the second stops.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use crash_support::{
    Entries, STATE, Scenario, checkpoint, delete, disk_with, entries, key, put, survives,
};
use tidemark_core::checkpoint::{
    Condition, JsonFileOptions, JsonFileRegistry, JsonFileStore, Op, Recover,
};
use tidemark_core::event::Event;
use tidemark_sim::{Choice, World};

const DAMAGE: &[u8] = b"{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {\"46fe";

fn three_keys() -> Entries {
    entries(&[(1, 10), (2, 20), (3, 30)])
}

fn delete_up_to(of: u8, sequence: u64) -> Op {
    Op::Delete(vec![(key(of), Condition::UpTo(sequence))])
}

#[test]
fn a_delete_of_a_sequence_that_was_seen_sticks() {
    survives(&Scenario::new(&three_keys(), vec![delete_up_to(1, 10)]));
}

/// The rival moves key 1 on: whether the condition holds depends on who comes first.
#[test]
fn a_delete_of_a_sequence_that_was_passed_leaves_the_higher_one() {
    survives(&Scenario::new(&three_keys(), vec![delete_up_to(1, 9), delete_up_to(2, 19)]));
}

/// What `prune` commits: every key that it looked at, if it is unchanged, in one operation.
#[test]
fn a_prune_takes_what_it_judged_and_nothing_newer() {
    let unchanged = |of, sequence| (key(of), Condition::Unchanged(checkpoint(sequence, "start")));
    let prune = Op::Delete(vec![unchanged(1, 10), unchanged(2, 20), unchanged(3, 29)]);
    survives(&Scenario::new(&three_keys(), vec![prune]));
}

#[test]
fn a_put_of_an_equal_sequence_leaves_the_first_event_id() {
    survives(&Scenario::new(&three_keys(), vec![put(&[(1, 10), (2, 20)], "writer")]));
}

#[test]
fn a_put_of_a_lower_sequence_reports_only_what_is_durable() {
    survives(&Scenario::new(&three_keys(), vec![put(&[(1, 9)], "writer")]));
}

/// GC-2: puts and deletes of one group, some of the same key.
#[test]
fn a_group_of_puts_and_deletes_holds_as_it_was_accepted() {
    let group = vec![delete(1), put(&[(1, 2), (4, 1)], "writer"), delete(3), delete_up_to(4, 0)];
    survives(&Scenario::new(&three_keys(), group));
}

/// A process that puts, reads what others did, and puts again: its memory is not the truth.
#[test]
fn puts_with_reads_between_them_never_go_back() {
    let mut scenario = Scenario::new(&three_keys(), vec![put(&[(1, 11)], "writer")]);
    scenario.groups.extend([Vec::new(), vec![put(&[(2, 21)], "writer")]]);
    survives(&scenario);
}

/// JF-10: what opening does with `recover: 'quarantine'`, before anything is put.
#[test]
fn an_open_that_repairs_moves_the_damage_aside_and_never_loses_it() {
    let mut scenario = Scenario::new(&Entries::new(), vec![JsonFileStore::repair()]);
    scenario.start.write_durable(STATE, DAMAGE, 0o600);
    scenario.options.recover = Recover::Quarantine;
    scenario.damage = Some(DAMAGE);
    survives(&scenario);
}

/// JF-10: the same while another handle of the process knows what the file held.
#[test]
fn a_repair_writes_what_is_known_in_the_place_of_the_damage() {
    let mut scenario = Scenario::new(&three_keys(), vec![JsonFileStore::repair()]);
    scenario.accident = Some(|disk| disk.write_durable(STATE, DAMAGE, 0o600));
    scenario.options.recover = Recover::Quarantine;
    scenario.damage = Some(DAMAGE);
    survives(&scenario);
}

/// What the event `quarantined` saw on the disk that a power cut would have left at that moment.
#[derive(Debug)]
struct Witness {
    world: World,
    found: Mutex<Vec<Option<Vec<u8>>>>,
}

impl tidemark_core::event::Observer for Witness {
    fn notify(&self, event: &Event) {
        if let Event::Quarantined { quarantine, .. } = event {
            let after = self.world.disk().after_power_cut(&Choice::Nothing);
            self.found.lock().unwrap().push(after.read(quarantine));
        }
    }
}

/// JF-10: what `quarantined` tells is durable: whoever acts on it finds the file there.
#[test]
fn a_file_is_durably_in_quarantine_when_that_is_told() {
    let world = World::new(disk_with(&three_keys()), 1);
    let options = JsonFileOptions { recover: Recover::Quarantine, ..JsonFileOptions::default() };
    let (registry, storage) = (JsonFileRegistry::default(), world.process().storage());
    let store = JsonFileStore::open(&registry, &storage, Path::new(STATE), options).unwrap();
    let witness = Arc::new(Witness { world: world.clone(), found: Mutex::default() });
    let observer: Arc<dyn tidemark_core::event::Observer> = Arc::clone(&witness) as _;
    store.subscribe(&observer);
    world.with_disk(|disk| disk.write_durable(STATE, DAMAGE, 0o600));
    store.put(&key(1), checkpoint(11, "writer")).unwrap();
    assert_eq!(*witness.found.lock().unwrap(), [Some(DAMAGE.to_vec())]);
}
