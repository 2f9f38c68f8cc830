//! Kill-fuzz: processes that share a JSON store are killed at random moments and in every phase of
//! a commit, and what they were told is held against what is found. Section by section:
//!
//! - `writer`: a process that puts and deletes; `plan`: what it does, and when it dies
//! - `phase`: where in a commit it was killed
//! - `observer`: a round: starts, kills; `look`: what is on disk; `tally`: what was hit
//! - `kill_support`: what all kill tests share, the pipe into which all tell among it
//! - `history`, `verdict`: what must be so; `verdict_tests` hold the judge to that
//!
//! This program is its own writer, so that it has its own `main`: with the argument `--writer` it
//! is one, else it behaves as a test binary does. `SEED=` repeats the plans of a round, as far as
//! processes that race repeat anything; `TIDEMARK_TORTURE_MINUTES=` goes on for so long.

#[cfg(test)]
mod history;
#[cfg(test)]
#[path = "../kill_support/mod.rs"]
mod kill_support;
#[cfg(test)]
mod look;
#[cfg(test)]
mod observer;
#[cfg(test)]
mod phase;
#[cfg(test)]
mod plan;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tally;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod verdict;
#[cfg(test)]
mod verdict_tests;
#[cfg(test)]
mod writer;

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        // Not a bare word: that would be a filter of tests.
        Some((role, orders)) if role == "--writer" => writer::start(orders),
        _ => kill_support::run(tests::TESTS, &args),
    }
}
