//! The tests, and what cargo expects of a program that runs them.

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Duration;

use tidemark_core::{RealStorage, Storage};

use super::look;
use super::observer::round;
use super::plan::Random;
use super::tally::Tally;
use super::verdict_tests;

/// Rounds of the short form, of 40 kills each.
const ROUNDS: usize = 6;
const KILLS_MIN: usize = 40 * ROUNDS;

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
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

/// Options of cargo's own test programs that take a value.
const WITH_VALUE: &[&str] =
    &["--test-threads", "--skip", "--format", "--color", "--logfile", "--shuffle-seed", "-Z"];

/// Runs the tests whose names hold a filter, if there is one, and sums up as cargo's own do.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut filters = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if WITH_VALUE.contains(&arg.as_str()) {
            args.next();
        } else if arg == "--list" {
            for (name, _) in TESTS {
                say(&format!("{name}: test"));
            }
            return ExitCode::SUCCESS;
        } else if !arg.starts_with('-') {
            filters.push(arg);
        }
    }
    let wanted = |(name, _): &&Test| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let wanted: Vec<&Test> = TESTS.iter().filter(wanted).collect();
    say(&format!("\nrunning {} tests", wanted.len()));
    let began = RealStorage.monotonic();
    let mut passed = 0;
    for (name, test) in &wanted {
        let ok = catch_unwind(test).is_ok();
        passed += usize::from(ok);
        say(&format!("test {name} ... {}", if ok { "ok" } else { "FAILED" }));
    }
    let failed = wanted.len() - passed;
    let filtered_out = TESTS.len() - wanted.len();
    let took = RealStorage.monotonic().saturating_sub(began).as_secs_f64();
    say(&format!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {filtered_out} filtered out; finished in {took:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" }
    ));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody listens");
}

/// `SEED`, or another one each time.
fn first_seed() -> u64 {
    let given = std::env::var("SEED").ok();
    given.map_or_else(
        || Random::new(u64::try_from(RealStorage.unix_time().as_nanos()).unwrap_or(0)).next() >> 20,
        |seed| seed.parse().expect("SEED is a number"),
    )
}

/// JF-1 to JF-4, JF-6: what was acknowledged is found, nothing goes backward, nothing vanishes
/// that nobody deleted, and nothing is left behind, whenever and wherever writers are killed.
fn what_killed_writers_were_told_is_found() {
    let minutes = std::env::var("TIDEMARK_TORTURE_MINUTES").ok();
    let minutes: Option<f64> = minutes.map(|text| text.parse().expect("a number of minutes"));
    let until = RealStorage.monotonic() + Duration::from_secs_f64(minutes.unwrap_or(0.0) * 60.0);
    let seed = first_seed();
    say(&format!("kill-fuzz: SEED={seed}"));
    let mut all = Tally::default();
    while all.rounds < ROUNDS || RealStorage.monotonic() < until {
        let seed = seed + all.rounds as u64;
        let tally = round(seed, None).unwrap_or_else(|conviction| panic!("{conviction}"));
        if minutes.is_some() {
            say(&format!("round {} (SEED={seed}): {}", all.rounds + 1, tally.line()));
        }
        all.add(&tally);
    }
    say(&all.to_string());
    all.assert_thorough(KILLS_MIN);
}

#[cfg(feature = "planted-bugs")]
mod planted {
    //! Bugs that are planted in the writers: what acquits the clean store must convict these.

    #![allow(clippy::disallowed_methods, reason = "what is kept is looked at from outside")]

    use tidemark_core::checkpoint::Bug;

    use super::first_seed;
    use crate::observer::round;
    use crate::verdict::Kind;

    /// Rounds in which a bug must show. One is enough, nearly always.
    const ROUNDS_MAX: u64 = 20;

    /// Something acknowledged is gone, or there again. Which of these shows first is a matter of
    /// when who is killed.
    const GONE_BACK: [Kind; 4] = [Kind::Lost, Kind::Vanished, Kind::Backward, Kind::Resurrected];

    fn convicts(bug: Bug, of: &[Kind]) {
        let seed = first_seed();
        let found = (seed..seed + ROUNDS_MAX)
            .find_map(|seed| round(seed, Some(bug)).err())
            .unwrap_or_else(|| panic!("SEED={seed}: {bug:?} was not found"));
        assert!(of.contains(&found.violation.kind), "found something else: {found}");
        // Who is convicted can be looked into: the store and all that was told are still there.
        let journal = std::fs::read_to_string(found.kept.join("journal.txt")).expect("it is kept");
        assert!(journal.contains("\nok "), "nobody was told anything: {journal}");
        assert!(found.kept.join("store/state.json").exists(), "the state file is kept");
        std::fs::remove_dir_all(&found.kept).expect("it is ours");
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
