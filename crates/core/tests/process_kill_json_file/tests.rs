//! The tests.

use super::kill_support::{Test, say, torture};
use super::look;
use super::observer::round;
use super::tally::Tally;
use super::verdict_tests;

/// Rounds of the short form, of 40 kills each.
const ROUNDS: usize = 6;
const KILLS_MIN: usize = 40 * ROUNDS;

pub(crate) const TESTS: &[Test] = &[
    ("a_history_that_keeps_the_promise_is_acquitted", verdict_tests::clean),
    ("a_lost_put_is_convicted", verdict_tests::lost),
    ("a_put_that_applied_over_more_is_convicted", verdict_tests::applied_over_more),
    ("a_vanished_key_is_convicted", verdict_tests::vanished),
    ("a_value_that_went_back_is_convicted", verdict_tests::backward),
    ("a_deleted_value_that_is_back_is_convicted", verdict_tests::resurrected),
    ("an_invented_value_is_convicted", verdict_tests::invented),
    ("a_delete_excuses_only_what_it_can", verdict_tests::excuses),
    ("a_death_ends_what_was_not_answered", verdict_tests::deaths),
    ("a_lower_value_that_supersedes_is_convicted", verdict_tests::superseded_by_less),
    ("a_torn_file_is_convicted", look::torn_files_are_convicted),
    ("what_is_left_behind_is_convicted", look::leftovers_are_convicted),
    ("what_killed_writers_were_told_is_found", what_killed_writers_were_told_is_found),
    #[cfg(feature = "planted-bugs")]
    ("no_lock_is_caught_by_kills", planted::no_lock),
    #[cfg(feature = "planted-bugs")]
    ("acknowledge_before_sync_is_caught_by_kills", planted::acknowledge_before_sync),
    #[cfg(feature = "planted-bugs")]
    ("in_place_is_caught_by_kills", planted::in_place),
];

/// JF-1 to JF-4, JF-6: what was acknowledged is found, nothing goes backward, nothing vanishes
/// that nobody deleted, and nothing is left behind, whenever and wherever writers are killed.
fn what_killed_writers_were_told_is_found() {
    let mut all = Tally::default();
    torture("kill-fuzz", ROUNDS, |seed| {
        let tally = round(seed, None).unwrap_or_else(|conviction| panic!("{conviction}"));
        all.add(&tally);
        tally.line()
    });
    say(&all.to_string());
    all.assert_thorough(KILLS_MIN);
}

#[cfg(feature = "planted-bugs")]
mod planted {
    //! Bugs that are planted in the writers: what acquits the clean store must convict these.

    use std::path::Path;

    use tidemark_core::checkpoint::Bug;

    use crate::kill_support;
    use crate::observer::round;
    use crate::verdict::Kind;

    /// Something acknowledged is gone, or there again. Which of these shows first is a matter of
    /// when who is killed.
    const GONE_BACK: [Kind; 4] = [Kind::Lost, Kind::Vanished, Kind::Backward, Kind::Resurrected];

    fn convicts(bug: Bug, of: &[Kind]) {
        let store = Path::new("store/state.json");
        kill_support::convicts(&bug, of, store, |seed| round(seed, Some(bug)));
    }

    /// JF-2: from the comparison to the directory sync the writer holds the lock.
    pub(super) fn no_lock() {
        convicts(Bug::NoLock, &GONE_BACK);
    }

    /// GC-5: nothing is settled before what it reports is true on the medium.
    pub(super) fn acknowledge_before_sync() {
        convicts(Bug::AcknowledgeBeforeSync, &GONE_BACK);
    }

    /// JF-1: the state file is only ever replaced, never written in place.
    pub(super) fn in_place() {
        convicts(Bug::InPlace, &[Kind::Unreadable]);
    }
}
