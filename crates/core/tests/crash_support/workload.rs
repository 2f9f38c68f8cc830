//! Operations, the disks that they start from, and a race for the lock file.

use std::path::Path;

use tidemark_core::checkpoint::{Condition, JsonFileOptions, Op};
use tidemark_sim::{Actor, Choice, Disk, Plan, World};
use tidemark_storage::{LockMode, Open, Site};

use super::client::{Client, LOCK, Plant, writer_in};
use super::observer::{Entries, Observer, checkpoint, key};
use super::scenario::Scenario;
use super::verdict::Violation;

/// What a rival does: it moves one key on, deletes another and adds one.
pub(crate) fn rival_ops() -> Vec<Op> {
    vec![put(&[(1, 15)], "rival"), delete(2), put(&[(7, 1)], "rival")]
}

/// One operation that puts these sequences.
pub(crate) fn put(puts: &[(u8, u64)], by: &str) -> Op {
    Op::Put(puts.iter().map(|(of, sequence)| (key(*of), checkpoint(*sequence, by))).collect())
}

/// One operation that deletes a key.
pub(crate) fn delete(of: u8) -> Op {
    Op::Delete(vec![(key(of), Condition::Always)])
}

/// Checkpoints of keys, as they are at the start.
pub(crate) fn entries(of: &[(u8, u64)]) -> Entries {
    of.iter().map(|(of, sequence)| (key(*of), checkpoint(*sequence, "start"))).collect()
}

/// A disk with a state file that holds this, as the store wrote it; none for nothing.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(crate) fn disk_with(entries: &Entries) -> Disk {
    let world = World::new(Disk::new(), 1);
    if !entries.is_empty() {
        let observer = Observer::new(&Entries::new());
        let options = JsonFileOptions::default();
        let mut client =
            Client::open(&world.process(), &observer, options, |engine| engine).unwrap();
        client.commit(vec![Op::Put(entries.clone().into_iter().collect())]).unwrap();
    }
    world.disk().after_power_cut(&Choice::Everything)
}

/// Whoever holds the lock takes its file away, and perhaps puts another one there, while two
/// writers wait for it or are yet to come. Returns what is wrong then, if anything, over so many
/// interleavings.
pub(crate) fn race_for_a_lock_file_that_is_replaced(
    plant: Plant,
    seeds: impl Iterator<Item = u64>,
) -> Option<(u64, Violation)> {
    let initial = entries(&[(1, 10)]);
    let scenario = Scenario::new(&initial, Vec::new());
    for seed in seeds {
        let world = World::new(scenario.start.clone(), seed);
        let observer = Observer::new(&initial);
        let options = JsonFileOptions::default();
        let writer = |name, of| {
            let groups = vec![vec![put(&[(of, 1)], name)], vec![put(&[(of, 2)], name)]];
            writer_in(&world.process(), name, &observer, options, groups, plant)
        };
        let actors = vec![writer("a", 3), writer("b", 4), replacer(&world, seed % 2 == 0)];
        let report = world.run(actors, &Plan::default());
        assert_eq!(report.deadlock, None, "SEED={seed}");
        if let Err(violation) = scenario.recovers(&world.disk(), &observer, seed) {
            return Some((seed, violation));
        }
    }
    None
}

/// Holds the lock, takes the file away, looks around for a while, and lets go.
fn replacer(world: &World, makes_another: bool) -> Actor {
    let process = world.process();
    let storage = process.storage();
    Actor::new(&process, "replacer", move || {
        let lock = Path::new(LOCK);
        let Ok(held) = storage.open(Site::Test, lock, Open::READ_WRITE) else { return };
        let locked = held.lock(Site::Test, LockMode::Exclusive);
        locked.unwrap_or_else(|error| panic!("the simulated lock failed: {error}"));
        let named = storage.stat(Site::Test, lock).map(|stat| stat.id);
        if named != held.stat(Site::Test).map(|stat| stat.id)
            || storage.remove(Site::Test, lock).is_err()
        {
            return;
        }
        let another = makes_another.then(|| storage.open(Site::Test, lock, Open::new_file(0o600)));
        for _ in 0..8 {
            let _nothing = storage.stat(Site::Test, Path::new("/data"));
        }
        drop((held, another));
    })
}
