//! Groups on their way to the medium: what one costs, and what a stop leaves of it.
//!
//! `docs/commit-path.md`: GC-2 (operations are applied in the order in which they were accepted),
//! GC-5 (nothing is settled before what it reports is true on the medium), GC-9.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_support;

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use crash_support::{
    Client, Company, Entries, Jury, Observer, Scenario, checkpoint, delete, entries, key, put,
    seeds,
};
use tidemark_core::checkpoint::{DeleteOutcome, JsonFileOptions, Op, Outcome};
use tidemark_sim::{Actor, CrashState, Explore, Plan, Schedule, World};
use tidemark_storage::Site;

fn open(world: &World, initial: &Entries) -> Client {
    let (observer, options) = (Observer::new(initial), JsonFileOptions::default());
    let client = Client::open(&world.process(), &observer, options, |engine| engine).unwrap();
    client.read().unwrap();
    client
}

/// One lock, one temporary, one sync of each kind, one rename, however many operations share them.
#[test]
fn a_group_of_64_costs_as_many_syncs_as_a_group_of_one() {
    const COSTS: [Site; 6] = [
        Site::LockAcquire,
        Site::TempCreate,
        Site::TempWrite,
        Site::JsonSync,
        Site::JsonRename,
        Site::JsonSyncDir,
    ];
    let initial = entries(&[(200, 1)]);
    for count in [1_u8, 2, 64] {
        let world = World::new(crash_support::disk_with(&initial), 1);
        let mut client = open(&world, &initial);
        let group: Vec<Op> = (0..count).map(|of| put(&[(of, 7)], "group")).collect();
        let outcomes = client.commit(group).unwrap();
        assert_eq!(outcomes.len(), usize::from(count));
        assert_eq!(client.view().len(), usize::from(count) + 1);
        for site in COSTS {
            assert_eq!(world.count(site), 1, "{site:?} for {count} operations");
        }
        // Nothing is read again that was just written, and nothing is proven twice.
        for (of, applied) in [(0, false), (100, true)] {
            let before = world.count(Site::JsonRead);
            let outcomes = client.commit(vec![put(&[(of, 1)], "next")]).unwrap();
            assert!(matches!(&outcomes[..], [Outcome::Put(put)] if put[0].applied == applied));
            assert_eq!(world.count(Site::JsonRead), before);
            assert_eq!(world.count(Site::JsonTrust) + world.count(Site::JsonTrustDir), 2);
        }
    }
}

/// GC-2: each operation of a group is judged on what those before it leave.
#[test]
fn operations_of_one_group_are_judged_in_order() {
    let world = World::new(crash_support::disk_with(&entries(&[(1, 10)])), 1);
    let mut client = open(&world, &entries(&[(1, 10)]));
    let group =
        vec![put(&[(1, 12)], "a"), put(&[(1, 11)], "b"), delete(1), delete(1), put(&[(1, 3)], "c")];
    let outcomes = client.commit(group).unwrap();
    let told: Vec<(bool, u64)> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Put(put) => Some((put[0].applied, put[0].current.last_committed_sequence)),
            Outcome::Delete(_) => None,
        })
        .collect();
    assert_eq!(told, [(true, 12), (false, 12), (true, 3)]);
    assert_eq!(outcomes[2], Outcome::Delete(vec![DeleteOutcome::Deleted]));
    assert_eq!(outcomes[3], Outcome::Delete(vec![DeleteOutcome::Absent]));
    assert_eq!(client.view(), Entries::from([(key(1), checkpoint(3, "c"))]));
    assert_eq!(world.count(Site::JsonRename), 1);
}

/// GC-5: nobody hears of success before the directory is synced, which is the last that a put
/// needs.
#[test]
fn results_come_after_the_last_sync() {
    let initial = entries(&[(1, 10)]);
    let world = World::new(crash_support::disk_with(&initial), 1);
    let (storage, heard) = (world.process().storage(), Arc::<Mutex<Vec<u64>>>::default());
    let path = std::path::Path::new(crash_support::STATE);
    let options = JsonFileOptions::default();
    let mut parts =
        tidemark_core::checkpoint::JsonFileStore::open_parts(&storage, path, options).unwrap();
    let (tell, at) = (Arc::clone(&heard), world.clone());
    let group = vec![put(&[(1, 11)], "a"), put(&[(2, 1)], "b")];
    let told = tidemark_core::group_commit::commit_inline(&mut parts.engine, group, move |_, _| {
        tell.lock().unwrap().push(at.count(Site::JsonSyncDir));
    });
    assert_eq!(told.unwrap().len(), 2);
    assert_eq!(*heard.lock().unwrap(), [1, 1]);
    assert_eq!(world.disk().unsynced(), 0, "what is left to do needs no luck");
}

/// A group reaches the medium as a whole or not at all, whatever stops it.
#[test]
fn a_group_of_several_operations_survives_every_stop_as_a_whole_or_not_at_all() {
    let initial = entries(&[(1, 10), (2, 20)]);
    let group = vec![put(&[(1, 11), (3, 1)], "a"), delete(2), put(&[(1, 12), (4, 1)], "b")];
    let done = [(1, checkpoint(12, "b")), (3, checkpoint(1, "a")), (4, checkpoint(1, "b"))];
    let done = Entries::from(done.map(|(of, value)| (key(of), value)));
    let scenario = Scenario::new(&initial, group);
    let (undone_count, done_count) = (Cell::new(0), Cell::new(0));
    let look = |state: &CrashState, _: &Observer| {
        let world = World::new(state.disk.clone(), 1);
        let found = open(&world, &initial).view();
        assert!(found == initial || found == done, "{found:?}");
        undone_count.set(undone_count.get() + u32::from(found == initial));
        done_count.set(done_count.get() + u32::from(found == done));
    };
    let explore = Explore::new(&scenario.start, 64, 1);
    explore.power_cuts(|world| scenario.body(world, Company::Nobody), look);
    explore.kills(|world| scenario.body(world, Company::Nobody), look);
    assert!(undone_count.get() > 20 && done_count.get() > 5, "{undone_count:?}, {done_count:?}");
    for seed in seeds(3) {
        scenario.crowded(seed, &Jury::default());
    }
}

/// JF-4: what a thread reads from the disk while another one commits never takes back what the
/// commit has shown.
#[test]
fn a_read_that_a_commit_overtakes_shows_nothing_older() {
    let initial = entries(&[(1, 10), (2, 20)]);
    let start = crash_support::disk_with(&initial);
    let overtaken = |schedule, seed| {
        let (world, observer) = (World::new(start.clone(), seed), Observer::new(&initial));
        let options = JsonFileOptions::default();
        let process = world.process();
        let mut client = Client::open(&process, &observer, options, |engine| engine).unwrap();
        let reader = client.refresher(2, true);
        let writer = Actor::new(&process, "writer", move || {
            client.commit_or_complain(vec![vec![put(&[(1, 11)], "a")], vec![put(&[(1, 12)], "b")]]);
        });
        let report = world.run(vec![reader, writer], &Plan { schedule, ..Plan::default() });
        assert_eq!(report.deadlock, None, "SEED={seed} {schedule:?}");
        let done =
            Entries::from([(key(1), checkpoint(12, "b")), (key(2), initial[&key(2)].clone())]);
        let verdict = observer.judge(done.into_iter().collect());
        verdict.unwrap_or_else(|violation| panic!("{violation} (SEED={seed} {schedule:?})"));
    };
    (0..12).for_each(|call| overtaken(Schedule::SwitchAt(call), call));
    seeds(30).for_each(|seed| overtaken(Schedule::Random, seed));
}
