//! The log on the simulated disk, with the power cut and the process killed at every call, losses
//! and tears of what was not synced, and a second stop in the recovery.
//!
//! C1, C2, C3, C4, C6 and C7 of `docs/durability.md`. `SEED=n` repeats one choice of losses,
//! `TORTURE=n` tries n times as many.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod wal_support;

use std::sync::Mutex;

use tidemark_core::wal::{SyncLevel, WalOp, WalOptions};
use tidemark_sim::{CrashState, Disk, Explore};
use wal_support::{
    LOG, Model, Progress, Script, append, append_many, found_on, hard_state, record,
};

/// Variants of what each power cut leaves.
const LIMIT: usize = 24;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn torture() -> usize {
    usize::try_from(number("TORTURE", 1)).unwrap()
}

/// C1, C2, C3, C7: what is found is the log as it was after some operation, and none that was
/// acknowledged is missing.
fn judge(state: &CrashState, script: &Script, start: &Model, progress: &Mutex<Progress>) {
    let progress = progress.lock().unwrap();
    let found = found_on(&state.disk, script.options)
        .unwrap_or_else(|error| panic!("cannot be opened: {error:?}"));
    let states = script.states(start);
    let least = if state.killed.is_some() { progress.written } else { progress.durable };
    let allowed = &states[least..=progress.begun.max(least)];
    assert!(
        allowed.contains(&found),
        "found {} entries from {}, hard state {:?}; acknowledged up to operation {least} of {}, \
         which has {} from {}",
        found.entries.len(),
        found.first,
        found.hard_state,
        progress.begun,
        states[least].entries.len(),
        states[least].first,
    );
}

fn survives(script: &Script) {
    survives_from(&Disk::new(), &Model::default(), script, LIMIT);
}

fn survives_from(start: &Disk, model: &Model, script: &Script, limit: usize) {
    let explore = Explore::new(start, limit * torture(), number("SEED", 1));
    let body = |world: &tidemark_sim::World| script.actor(world);
    let check = |state: &CrashState, progress: &std::sync::Arc<Mutex<Progress>>| {
        judge(state, script, model, progress);
    };
    let judged = explore.power_cuts(body, check) + explore.kills(body, check);
    eprintln!("{judged} states");
    assert!(judged > 100, "{judged} states only");
}

#[test]
fn c1_an_acknowledged_append_survives_every_stop() {
    let groups = (1..=4).map(|number| vec![append(number, 100)]).collect();
    survives(&Script::new(groups));
}

#[test]
fn c2_a_batch_is_there_as_a_whole_or_not_at_all() {
    let groups = vec![vec![append_many(1..4, 1500)], vec![append_many(4..6, 3000), append(6, 10)]];
    survives(&Script::new(groups));
}

/// Five segments' worth of entries, so that segments are prepared, sealed and begun.
#[test]
fn c1_holds_across_rolls() {
    let groups = (1..=9).map(|number| vec![append(number, 5000)]).collect();
    survives(&Script::new(groups));
}

#[test]
fn c7_truncates_purges_and_hard_states_are_old_or_new() {
    let groups = vec![
        vec![append_many(1..6, 300)],
        vec![WalOp::SetHardState(hard_state("term 1"))],
        vec![WalOp::Truncate { after: 3 }, append(40, 700)],
        vec![WalOp::Purge { before: 2 }],
        vec![WalOp::Append {
            records: std::sync::Arc::new([record(50, 20)].iter().collect()),
            expect: Some(5),
            hard_state: Some(hard_state("term 2")),
            sync: None,
        }],
        vec![WalOp::Purge { before: 100 }, append(100, 50)],
        vec![WalOp::SetHardState(None)],
    ];
    survives(&Script::new(groups));
}

/// Purges free segments, which are recycled and written again: no entry of an earlier life of a
/// file comes back (C3, SG-5).
#[test]
fn c3_recycled_segments_never_show_what_they_held() {
    let mut groups = Vec::new();
    for number in 1..=12 {
        groups.push(vec![append(number, 5000)]);
        if number.is_multiple_of(3) {
            groups.push(vec![WalOp::Purge { before: u64::from(number) }]);
        }
    }
    survives(&Script::new(groups));
}

/// C4: written and told; a kill loses nothing of it, a power cut its end at most.
#[test]
fn c4_what_is_only_written_survives_a_kill() {
    let sync = SyncLevel::ImmediateAsync;
    let mut script = Script::new((1..=4).map(|number| vec![append(number, 900)]).collect());
    script.options = WalOptions { sync, ..script.options };
    survives(&script);
}

/// C6: a barrier makes durable what was only written.
#[test]
fn c6_a_sync_covers_everything_before_it() {
    let sync = SyncLevel::Interval(std::num::NonZeroU64::new(60_000).unwrap());
    let mut script = Script::new(vec![
        vec![append(1, 900)],
        vec![append(2, 900)],
        vec![WalOp::Sync],
        vec![append(3, 900)],
    ]);
    script.options = WalOptions { sync, ..script.options };
    survives(&script);
}

/// A log that was closed, and one that was cut off, opened again and written to: the recovery
/// itself is stopped at every call.
#[test]
fn a_second_stop_in_the_recovery_loses_nothing() {
    for closes in [true, false] {
        let mut first =
            Script::new(vec![vec![append(1, 5000)], vec![append(2, 6000), append(3, 9)]]);
        first.closes = closes;
        let world = tidemark_sim::World::new(Disk::new(), 3);
        let (actors, _) = first.actor(&world);
        let report = world.run(actors, &tidemark_sim::Plan::default());
        assert!(report.deadlock.is_none());
        let model = first.states(&Model::default()).last().cloned().unwrap();
        assert!(world.disk().stat(format!("{LOG}/00000001.segment")).is_some());
        let second = Script::new(vec![vec![append(4, 2000)], vec![append(5, 7000)]]);
        for disk in world.disk().power_cuts(4, 5) {
            // Many disks instead of many variants of each.
            survives_from(&disk, &model, &second, 6);
        }
    }
}
