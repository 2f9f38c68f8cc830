//! Somebody who replaces the lock file without asking, while writers hold it.

use std::collections::BTreeSet;
use std::path::Path;

use tidemark_core::checkpoint::JsonFileOptions;
use tidemark_sim::{Actor, Call, Plan, Report, Schedule, World};
use tidemark_storage::{Open, Site};

use super::client::{LOCK, Plant, writer_in};
use super::observer::{Entries, Observer};
use super::scenario::Scenario;
use super::verdict::{Kind, Verdict, Violation};
use super::workload::{entries, put};

fn one_key() -> Entries {
    entries(&[(1, 10)])
}

/// Takes the lock file away, whoever holds it, and puts another one there; now and then.
fn intruder(world: &World, times: usize) -> Actor {
    let process = world.process();
    let storage = process.storage();
    Actor::new(&process, "intruder", move || {
        for round in 0..times {
            for _ in 0..round {
                let _others_run = storage.stat(Site::Test, Path::new("/data"));
            }
            let _there_may_be_none = storage.remove(Site::Test, Path::new(LOCK));
            let _may_be_made_meanwhile =
                storage.open(Site::Test, Path::new(LOCK), Open::new_file(0o600));
        }
    })
}

/// Runs two writers, each with a key of its own, and an intruder. What is lost is lost to the
/// other one.
fn run(plant: Plant, schedule: Schedule, puts: u64, times: usize, seed: u64) -> (Report, Verdict) {
    let scenario = Scenario::new(&one_key(), Vec::new());
    let world = World::new(scenario.start.clone(), seed);
    let observer = Observer::new(&one_key());
    let writer = |name, of| {
        let groups = (1..=puts).map(|sequence| vec![put(&[(of, sequence)], name)]).collect();
        writer_in(&world.process(), name, &observer, JsonFileOptions::default(), groups, plant)
    };
    let first = writer("first", 3);
    let actors = vec![first, intruder(&world, times), writer("second", 4)];
    let report = world.run(actors, &Plan { schedule, ..Plan::default() });
    assert_eq!(report.deadlock, None, "SEED={seed} {schedule:?}");
    let verdict = scenario.recovers(&world.disk(), &observer, seed);
    (report, verdict)
}

/// The calls before which the first writer loses a value, or makes the other one lose it, if it
/// is held up there while the lock file is replaced and the other one writes.
pub(crate) fn places_where_an_intruder_costs_a_value(plant: Plant) -> BTreeSet<Site> {
    let mut places = BTreeSet::new();
    for switch in 0.. {
        let (report, verdict) = run(plant, Schedule::SwitchAt(switch), 1, 1, 1);
        let index = usize::try_from(switch).unwrap_or(usize::MAX);
        if report.trace.get(..index).is_none_or(|calls| calls.iter().any(|c| c.actor != "first")) {
            break;
        }
        let after = report.trace.iter().skip(index).find(|call| call.actor == "first");
        let Some(site) = after.map(|call| call.site) else { break };
        match verdict {
            Err(Violation { kind: Kind::Lost | Kind::Backward, .. }) => drop(places.insert(site)),
            Err(violation) => panic!("held up at {site:?}: {violation}"),
            Ok(()) => {}
        }
    }
    places
}

/// Many puts of both, and an intruder who does not stop, interleaved as the seeds say. Returns
/// what is wrong, unless a writer was overtaken between its last look and its rename.
pub(crate) fn race_with_an_intruder(
    plant: Plant,
    seeds: impl Iterator<Item = u64>,
) -> Option<(u64, Violation)> {
    for seed in seeds {
        let (report, verdict) = run(plant, Schedule::Random, 3, 12, seed);
        if let Err(violation) = verdict
            && !is_overtaken(&report.trace)
        {
            return Some((seed, violation));
        }
    }
    None
}

/// Whether a writer took its lock, and looked for the last time, all between two adjacent calls of
/// the other one: its last look and its rename.
fn is_overtaken(trace: &[Call]) -> bool {
    let renames = trace.iter().enumerate().filter(|(_, call)| call.site == Site::JsonRename);
    renames.into_iter().any(|(rename, by)| {
        let before = trace.iter().take(rename);
        let Some(look) = before.clone().rposition(|call| call.pid == by.pid) else { return false };
        let between = before.skip(look).filter(|call| call.pid != by.pid);
        let locked = between.clone().any(|call| call.site == Site::LockAcquire);
        locked && between.into_iter().any(|call| call.site == Site::JsonRecheck)
    })
}
