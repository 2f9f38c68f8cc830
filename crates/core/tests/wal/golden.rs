//! The golden logs of `__test__/fixtures/segment`, which the encoder in Python wrote from the
//! document alone, read by the Rust side: the same entries, or the same error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidemark_core::Result;
use tidemark_core::wal::{WalOptions, WalRecovery};

use super::rig::{Machine, contents, copy_log};
use super::support::Scratch;
use super::wal_support::{Model, small};

/// So many fixtures there are at least, so that an empty directory proves nothing.
const FIXTURES_MIN: usize = 30;
/// Damage that is found when it is read, perhaps not when the log is opened.
const FOUND_WHEN_READ: [&str; 1] = ["damaged-in-a-sealed-segment"];
/// What a clean opening does not look for: the hard state is in no summary, so that a preamble
/// after a sealed segment is taken at its word.
const TAKEN_AT_ITS_WORD: &str = "preamble-of-another-state";
/// A reader without a writer serves what is proven. Here what is not proven does not fit, which it
/// does not read: a writer refuses the log, and it serves the beginning.
const BEGINNING_SERVED: [&str; 1] = ["lsn-left-out"];

fn fixtures() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures/segment");
    let found: BTreeMap<_, _> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    assert!(found.len() >= FIXTURES_MIN, "{}", found.len());
    found
}

fn expected(fixture: &Path) -> Value {
    serde_json::from_slice(&fs::read(fixture.join("expected.json")).unwrap()).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
}

/// What one of the two pictures says that the log holds.
fn model(picture: &Value) -> Model {
    let entries = picture["entries"].as_array().unwrap();
    let model = Model {
        first: picture["first"].as_u64().unwrap(),
        entries: entries.iter().map(|entry| hex(entry.as_str().unwrap())).collect(),
        hard_state: picture["hardState"].as_str().map(|text| hex(text).into()),
    };
    assert_eq!(model.next(), picture["next"].as_u64().unwrap(), "the fixture is consistent");
    model
}

/// Opens a log and reads everything.
fn read(log: &Path, read_only: bool) -> Result<(Model, WalRecovery)> {
    let options = WalOptions { read_only, ..small() };
    let wal = Machine::new().try_open(log, options)?;
    let found = contents(&wal);
    wal.close_blocking();
    Ok((found?, wal.recovery().clone()))
}

#[test]
fn a_writer_finds_in_every_golden_log_what_its_recovery_brings_back() {
    for (name, fixture) in fixtures() {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        copy_log(&fixture.join("log"), &log);
        let expected = expected(&fixture);
        match (read(&log, false), expected["error"].as_str()) {
            (Ok((found, recovery)), None) => {
                assert_eq!(found, model(&expected["recovered"]), "{name}");
                assert_eq!(Some(recovery.was_closed), expected["closed"].as_bool(), "{name}");
                let torn = expected["tornTail"].as_bool();
                assert_eq!(Some(recovery.cut_bytes > 0), torn, "{name}: {recovery:?}");
                // What it wrote is read again, by a writer and by a reader.
                let again = read(&log, false).unwrap_or_else(|error| panic!("{name}: {error:?}"));
                assert_eq!(again.0, found, "{name}: opened again");
                assert_eq!(read(&log, true).unwrap().0, found, "{name}: read again");
            }
            (Err(error), Some(code)) => {
                assert_eq!(error.kind().code(), code, "{name}: {error:?}");
                assert!(error.path().is_some(), "{name}: it says where");
            }
            (Ok(_), Some(_)) if name == TAKEN_AT_ITS_WORD => {}
            (found, code) => panic!("{name}: {code:?} is expected, not {found:?}"),
        }
    }
}

#[test]
fn a_reader_finds_in_every_golden_log_what_is_proven() {
    let mut served = Vec::new();
    for (name, fixture) in fixtures() {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        copy_log(&fixture.join("log"), &log);
        let before = files(&log);
        let expected = expected(&fixture);
        match (read(&log, true), expected["error"].as_str()) {
            (Ok((found, recovery)), None) => {
                assert_eq!(found, model(&expected["proven"]), "{name}");
                assert_eq!(recovery.proven_last, Some(found.next() - 1), "{name}");
            }
            (Err(error), Some(code)) => assert_eq!(error.kind().code(), code, "{name}: {error:?}"),
            (Ok(_), Some(_)) if name == TAKEN_AT_ITS_WORD => {}
            (Ok((found, recovery)), Some(_)) => {
                assert_eq!(recovery.proven_last, Some(found.next() - 1), "{name}");
                served.push(name.clone());
            }
            (Err(error), None) => panic!("{name}: {error:?}"),
        }
        assert_eq!(files(&log), before, "R-2, {name}: a reader writes nothing");
    }
    assert_eq!(served, BEGINNING_SERVED);
}

#[test]
fn damage_in_a_sealed_segment_does_not_keep_the_rest_from_its_readers() {
    for name in FOUND_WHEN_READ {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        copy_log(&fixtures()[name].join("log"), &log);
        let wal = Machine::new().open(&log);
        assert!(contents(&wal).is_err());
    }
}

fn files(log: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
