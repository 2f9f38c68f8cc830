//! The tests.

use super::kill_support::{Test, say, torture};
use super::observer::round;
use super::plan::{Deck, LIVES};
use super::tally::Tally;

/// Rounds of the short form: each way of input and output with each level of syncs.
const ROUNDS: usize = 6;
const KILLS_MIN: usize = (LIVES - 1) * ROUNDS;

pub(crate) const TESTS: &[Test] =
    &[("what_killed_writers_of_a_log_told_is_found", what_killed_writers_of_a_log_told_is_found)];

/// C1 to C4, C6, C7, C11, C12: what was acknowledged or read is found, batches whole and hard
/// states with them, nothing comes back, and readers see what is durable, each entry once,
/// wherever and whenever the writer is killed.
fn what_killed_writers_of_a_log_told_is_found() {
    let (mut all, mut deck) = (Tally::default(), Deck::default());
    torture("kill-fuzz of the log", ROUNDS, |seed| {
        let done = round(seed, &mut deck, None);
        let tally = done.unwrap_or_else(|conviction| panic!("{conviction}"));
        all.add(&tally);
        tally.line()
    });
    say(&all.to_string());
    all.assert_thorough(KILLS_MIN);
}
