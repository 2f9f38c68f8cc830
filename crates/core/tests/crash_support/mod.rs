//! What the crash tests share: an observer that knows the promise, processes that tell it what
//! they do, and scenarios that try an operation with every stop.
#![allow(dead_code, unused_imports, reason = "each test uses its part of this")]

mod client;
mod intruder;
mod observer;
mod rules;
mod scenario;
mod stops;
mod verdict;
mod workload;

pub(crate) use client::{Client, LOCK, Plant, STATE, reader, writer, writer_in};
pub(crate) use intruder::{places_where_an_intruder_costs_a_value, race_with_an_intruder};
pub(crate) use observer::{Entries, Observer, checkpoint, key};
pub(crate) use scenario::{Company, Scenario};
pub(crate) use verdict::{Jury, Kind, Verdict, Violation};
pub(crate) use workload::{delete, disk_with, entries, put, race_for_a_lock_file_that_is_replaced};

/// Tries everything, and sees that this was not nothing.
pub(crate) fn survives(scenario: &Scenario) {
    let judged_count = scenario.survives_everything(seeds(2));
    eprintln!("{judged_count} states");
    assert!(judged_count > 500 || std::env::var("SEED").is_ok(), "{judged_count} states only");
}

/// The seeds to try: `SEED` alone if it is set, and many more if `TORTURE` is.
pub(crate) fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let (first, count) = number("SEED").map_or((1, count * torture()), |seed| (seed, 1));
    first..first + count
}

/// How many times as much to try as is tried each time: `TORTURE`, or 1.
pub(crate) fn torture() -> u64 {
    number("TORTURE").map_or(1, |times| times.max(1))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
