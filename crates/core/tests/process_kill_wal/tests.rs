//! The tests.

use super::history_tests;
use super::kill_support::{Test, say, torture};
use super::observer::round;
use super::plan::{Deck, LIVES};
use super::tally::Tally;

/// Rounds of the short form: each way of input and output with each level of syncs.
const ROUNDS: usize = 6;
const KILLS_MIN: usize = (LIVES - 1) * ROUNDS;

pub(crate) const TESTS: &[Test] = &[
    ("a_history_that_keeps_the_promise_is_acquitted", history_tests::clean),
    ("what_is_lost_is_convicted", history_tests::lost),
    ("a_part_of_a_batch_is_convicted", history_tests::torn),
    ("what_comes_back_is_convicted", history_tests::resurrected),
    ("what_nobody_wrote_is_convicted", history_tests::invented),
    ("what_is_left_out_is_convicted", history_tests::holes),
    ("what_is_seen_before_it_is_durable_is_convicted", history_tests::early),
    ("a_truncate_that_a_reader_is_not_told_of_is_convicted", history_tests::papered_over),
    ("a_record_tells_what_it_is", history_tests::records),
    ("what_killed_writers_of_a_log_told_is_found", what_killed_writers_of_a_log_told_is_found),
    #[cfg(feature = "planted-bugs")]
    ("acknowledge_before_write_is_caught_by_kills", planted::acknowledge_before_write),
    #[cfg(feature = "planted-bugs")]
    ("publish_before_sync_is_caught_by_kills", planted::publish_before_sync),
    #[cfg(feature = "planted-bugs")]
    ("forget_truncate_is_caught_by_kills", planted::forget_truncate),
];

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

#[cfg(feature = "planted-bugs")]
mod planted {
    //! Bugs that are planted in the writers: what acquits the clean log must convict these.

    use std::path::Path;

    use tidemark_core::wal::Bug;

    use crate::history::Kind;
    use crate::kill_support;
    use crate::observer::round;
    use crate::plan::Deck;

    fn convicts(bug: Bug, of: &[Kind]) {
        let mut deck = Deck::default();
        let round = |seed| round(seed, &mut deck, Some(bug));
        kill_support::convicts(&bug, of, Path::new("log"), round);
    }

    /// E-2, C4: what was asked to be written is reported after the write.
    pub(super) fn acknowledge_before_write() {
        convicts(Bug::AcknowledgeBeforeWrite, &[Kind::Lost, Kind::Resurrected]);
    }

    /// P-1: `durable` is told after the sync.
    pub(super) fn publish_before_sync() {
        convicts(Bug::PublishBeforeSync, &[Kind::Early]);
    }

    /// C7: a truncate is on the medium when it is reported. Without it, entries are back, or what
    /// follows them does not continue the log. A reader elsewhere has only the frames: it is not
    /// told of the truncate (F-2), or finds an LSN twice and hears of one that nobody asked for.
    pub(super) fn forget_truncate() {
        let lost = [Kind::Lost, Kind::Resurrected, Kind::Torn, Kind::Unreadable];
        let any = [&lost[..], &[Kind::PaperedOver, Kind::Wrong]].concat();
        convicts(Bug::ForgetTruncate, &any);
    }
}
