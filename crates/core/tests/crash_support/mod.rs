//! What the crash tests share: an observer that knows the promise, processes that tell it what
//! they do, and scenarios that try an operation with every stop.
#![allow(dead_code, unused_imports, reason = "each test uses its part of this")]

mod client;
mod observer;
mod rules;
mod scenario;
mod verdict;
mod workload;

pub(crate) use client::{Client, LOCK, Plant, STATE, reader, writer, writer_in};
pub(crate) use observer::{Entries, Observer, checkpoint, key};
pub(crate) use scenario::{Company, Scenario};
pub(crate) use verdict::{Jury, Kind, Verdict, Violation};
pub(crate) use workload::{delete, disk_with, entries, put, race_for_a_lock_file_that_is_replaced};

/// The seeds to try: `SEED` alone if it is set, and many more if `TORTURE` is.
pub(crate) fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let torture = number("TORTURE").map_or(1, |times| times.max(1));
    let (first, count) = number("SEED").map_or((1, count * torture), |seed| (seed, 1));
    first..first + count
}
