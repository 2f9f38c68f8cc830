//! Kill-fuzz of the log: its writer is killed at random moments and in every phase of a commit, of
//! a roll, of the preparation of segments and of a recovery; what callers and a reader in another
//! process were told is held against what the next writer finds. Section by section:
//!
//! - `writer`: a process that appends, truncates and purges; `plan`: how it lives, and when it dies
//! - `reader`: a process that follows; `record`: bytes that tell which operation wrote them
//! - `phase`: where a writer was killed; `kill_support`: what all kill tests share
//! - `observer`: a round: starts, kills; `look`: what a third process sees; `tally`: what was hit
//! - `model`: what operations come to; `history`: what must be so; `history_tests` hold it to that
//!
//! This program is its own writer and reader: with `--writer` or `--reader` it is one, else it
//! behaves as a test binary does. `SEED=` repeats the plans of a round;
//! `TIDEMARK_TORTURE_MINUTES=` goes on for so long.

#[cfg(test)]
mod history;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
#[path = "../kill_support/mod.rs"]
mod kill_support;
#[cfg(test)]
mod look;
#[cfg(test)]
mod model;
#[cfg(test)]
mod observer;
#[cfg(test)]
mod phase;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod reader;
#[cfg(test)]
mod record;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tally;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer;

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        // Not a bare word: that would be a filter of tests.
        Some((role, orders)) if role == "--writer" => writer::start(orders),
        Some((role, orders)) if role == "--reader" => reader::start(orders),
        _ => kill_support::run(tests::TESTS, &args),
    }
}
