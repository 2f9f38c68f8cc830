//! What the kill tests share: a program that is its own processes, the pipe into which they tell,
//! the phases in which they are killed, numbers from a seed, and the runner of the tests.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part of this")]
#![allow(clippy::disallowed_methods, reason = "these tests look at the disk from outside")]

mod conviction;
mod hits;
mod journal;
mod phase;
mod random;
mod runner;

pub(crate) use conviction::{Conviction, Violation, convicts};
pub(crate) use hits::Hits;
pub(crate) use journal::Journal;
pub(crate) use phase::{Aim, Phased, Phases};
pub(crate) use random::Random;
pub(crate) use runner::{Test, first_seed, run, say, torture};

/// What a process that was killed ends with.
pub(crate) const SIGKILL: i32 = 9;
