//! Bugs that are planted in the engine, one at a time, to see that the crash tests catch them: the
//! checker that acquits the clean engine must convict it of just that.
#![cfg(feature = "planted-bugs")]

mod crash_support;

use std::ops::Range;

use crash_support::{
    Jury, Kind, Plant, Scenario, entries, places_where_an_intruder_costs_a_value, put,
    race_for_a_lock_file_that_is_replaced, race_with_an_intruder,
};
use tidemark_core::checkpoint::Bug;
use tidemark_storage::Site;

/// The interleavings to try: always these, so that a bug is caught whatever `SEED` says.
const SEEDS: Range<u64> = 1..200;

/// A way to try a scenario.
type Trial = fn(&Scenario, &Jury);

/// What a trial finds wrong with an engine.
fn found(plant: Plant, trial: Trial) -> Option<Kind> {
    let initial = entries(&[(1, 10), (2, 20)]);
    let mut scenario = Scenario::new(&initial, vec![put(&[(1, 11), (3, 1)], "writer")]);
    scenario.plant = plant;
    let jury = Jury::lenient();
    trial(&scenario, &jury);
    jury.found().map(|violation| violation.kind)
}

/// The clean engine passes the trial, the other one fails it in this way.
fn convicts(plant: Plant, trial: Trial, of: Kind) {
    assert_eq!(found(|engine| engine, trial), None, "the clean engine");
    assert_eq!(found(plant, trial), Some(of), "the planted bug");
}

fn alone(scenario: &Scenario, jury: &Jury) {
    scenario.alone(1, jury);
}

fn crowded(scenario: &Scenario, jury: &Jury) {
    for seed in SEEDS.take(2) {
        scenario.crowded(seed, jury);
    }
}

/// JF-1: the state file is replaced by the rename of a temporary that was synced.
#[test]
fn no_file_sync_is_caught() {
    convicts(|engine| engine.with(Bug::NoFileSync), alone, Kind::Unreadable);
}

/// JF-3: a result is reported when the state is durable under the file's name.
#[test]
fn no_directory_sync_is_caught() {
    convicts(|engine| engine.with(Bug::NoDirectorySync), alone, Kind::Lost);
}

/// JF-1: the state file is only ever replaced, never written in place.
#[test]
fn in_place_is_caught() {
    convicts(|engine| engine.with(Bug::InPlace), Scenario::kills_alone, Kind::Unreadable);
}

/// JF-2: from the comparison to the directory sync the writer holds the lock.
#[test]
fn no_lock_is_caught() {
    convicts(|engine| engine.with(Bug::NoLock), Scenario::switched, Kind::Lost);
}

/// L-1: a lock is held only on the file that the path leads to.
#[test]
fn no_lock_recheck_is_caught() {
    let clean = race_for_a_lock_file_that_is_replaced(|engine| engine, SEEDS);
    assert!(clean.is_none(), "the clean engine: {clean:?}");
    let planted =
        |engine: tidemark_core::checkpoint::JsonFileEngine| engine.with(Bug::NoLockRecheck);
    let caught = race_for_a_lock_file_that_is_replaced(planted, SEEDS);
    assert_eq!(caught.map(|(_, violation)| violation.kind), Some(Kind::Lost));
}

/// JF-11: right before the rename a writer looks again whether its lock still counts.
#[test]
fn no_last_look_is_caught() {
    let planted = |engine: tidemark_core::checkpoint::JsonFileEngine| engine.with(Bug::NoLastLook);
    let places = places_where_an_intruder_costs_a_value(planted);
    for site in [Site::TempCreate, Site::TempWrite, Site::JsonSync, Site::JsonRename] {
        assert!(places.contains(&site), "{site:?} is not among {places:?}");
    }
    let caught = race_with_an_intruder(planted, SEEDS);
    assert_eq!(caught.map(|(_, violation)| violation.kind), Some(Kind::Lost));
}

/// GC-5: nothing is settled before what it reports is true on the medium.
#[test]
fn acknowledge_before_sync_is_caught() {
    convicts(|engine| engine.with(Bug::AcknowledgeBeforeSync), Scenario::kills_alone, Kind::Lost);
}

/// JF-3: a value is shown to a reader only when it is durable.
#[test]
fn publish_before_sync_is_caught() {
    convicts(|engine| engine.with(Bug::PublishBeforeSync), crowded, Kind::Backward);
}

/// The trials tell the bugs apart: what only a power cut reveals is not found by looking at what
/// a kill leaves, nor is what only readers suffer found where nobody reads.
#[test]
fn a_trial_finds_nothing_but_what_it_is_for() {
    assert_eq!(found(|engine| engine.with(Bug::PublishBeforeSync), alone), None);
    assert_eq!(found(|engine| engine.with(Bug::NoLock), alone), None);
    assert_eq!(found(|engine| engine.with(Bug::NoLockRecheck), alone), None);
}
