//! What cargo expects of a program that runs its tests by itself.

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Duration;

use tidemark_core::{RealStorage, Storage};

use super::Random;

pub(crate) type Test = (&'static str, fn());

/// Options of cargo's own test programs that take a value.
const WITH_VALUE: &[&str] =
    &["--test-threads", "--skip", "--format", "--color", "--logfile", "--shuffle-seed", "-Z"];

/// Runs the tests whose names hold a filter, if there is one, and sums up as cargo's own do.
pub(crate) fn run(tests: &[Test], args: &[String]) -> ExitCode {
    let mut filters = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if WITH_VALUE.contains(&arg.as_str()) {
            args.next();
        } else if arg == "--list" {
            for (name, _) in tests {
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
    let wanted: Vec<&Test> = tests.iter().filter(wanted).collect();
    say(&format!("\nrunning {} tests", wanted.len()));
    let began = RealStorage.monotonic();
    let mut passed = 0;
    for (name, test) in &wanted {
        let ok = catch_unwind(test).is_ok();
        passed += usize::from(ok);
        say(&format!("test {name} ... {}", if ok { "ok" } else { "FAILED" }));
    }
    let failed = wanted.len() - passed;
    let filtered_out = tests.len() - wanted.len();
    let took = RealStorage.monotonic().saturating_sub(began).as_secs_f64();
    say(&format!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {filtered_out} filtered out; finished in {took:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" }
    ));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody listens");
}

/// `SEED`, or another one each time.
pub(crate) fn first_seed() -> u64 {
    let given = std::env::var("SEED").ok();
    given.map_or_else(
        || Random::new(u64::try_from(RealStorage.unix_time().as_nanos()).unwrap_or(0)).next() >> 20,
        |seed| seed.parse().expect("SEED is a number"),
    )
}

/// Runs rounds, a number of them or for as long as `TIDEMARK_TORTURE_MINUTES` says. A round gets
/// its number and its seed, and says what it did.
pub(crate) fn torture(name: &str, rounds: usize, mut round: impl FnMut(u64) -> String) {
    let minutes = std::env::var("TIDEMARK_TORTURE_MINUTES").ok();
    let minutes: Option<f64> = minutes.map(|text| text.parse().expect("a number of minutes"));
    let until = RealStorage.monotonic() + Duration::from_secs_f64(minutes.unwrap_or(0.0) * 60.0);
    let seed = first_seed();
    say(&format!("{name}: SEED={seed}"));
    let mut done = 0;
    while done < rounds || RealStorage.monotonic() < until {
        let seed = seed + done as u64;
        let line = round(seed);
        done += 1;
        if minutes.is_some() {
            say(&format!("round {done} (SEED={seed}): {line}"));
        }
    }
}
