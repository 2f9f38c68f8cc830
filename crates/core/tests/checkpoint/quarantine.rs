//! JF-10: a file that cannot be decoded moves aside, if that was asked for.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemark_core::checkpoint::{
    Condition, DeleteOutcome, JsonFileOptions, JsonFileStore, Recover, Store,
};
use tidemark_core::event::Event;
use tidemark_core::{ErrorKind, Result};
use tidemark_storage::{OsError, Site};

use super::support::{Hold, Hooked, Process, Scratch, Watcher, applied, at, disk, expected, key};

const REPAIRING: JsonFileOptions = JsonFileOptions {
    lock_timeout: Duration::from_secs(10),
    mode: 0o600,
    recover: Recover::Quarantine,
    allow_network_fs: false,
};

fn open(scratch: &Scratch) -> Result<Store> {
    Process::new().try_open(&scratch.state(), REPAIRING)
}

/// The files in quarantine.
fn quarantine(scratch: &Scratch) -> Vec<PathBuf> {
    let names = scratch.names().into_iter();
    names.filter(|name| name.starts_with("state.json.corrupt-")).map(|n| scratch.path(&n)).collect()
}

/// JF-10: at open; bytes and mode of what moves are untouched, and the report says where it is.
#[test]
fn opening_moves_a_damaged_file_aside() {
    for damage in [
        "",
        "garbage",
        "{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {\"zzz\": {}}}",
    ] {
        let scratch = Scratch::new();
        fs::write(scratch.state(), damage).unwrap();
        let store = open(&scratch).unwrap();
        let moved = quarantine(&scratch);
        assert_eq!(moved.len(), 1);
        assert_eq!(fs::read(&moved[0]).unwrap(), damage.as_bytes());
        assert_eq!(store.recovery().quarantined, moved);
        assert!(!scratch.state().exists(), "nothing is known that could be written");
        assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)));
        assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
    }
}

/// The name is the state file's, `.corrupt-` and milliseconds since 1970.
#[test]
fn a_file_in_quarantine_is_named_after_the_time() {
    let scratch = Scratch::new();
    fs::write(scratch.state(), "garbage").unwrap();
    let _store = open(&scratch).unwrap();
    let name = quarantine(&scratch)[0].file_name().unwrap().to_str().unwrap().to_owned();
    let millis: u64 = name.strip_prefix("state.json.corrupt-").unwrap().parse().unwrap();
    assert!(millis > 1_600_000_000_000, "{millis}: after 2020");
}

/// JF-10: at a put on a live handle; what this process knows is written back, and it is told.
#[test]
fn a_put_moves_a_damaged_file_aside_and_restores_what_is_known() {
    let scratch = Scratch::new();
    let store = open(&scratch).unwrap();
    store.put(&key(1), at(10)).unwrap();
    let watcher = Watcher::of(&store);
    fs::write(scratch.state(), "garbage").unwrap();
    assert_eq!(store.put(&key(2), at(20)).unwrap(), applied(at(20)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(10)), (key(2), at(20))]));
    let moved = quarantine(&scratch);
    assert_eq!(store.recovery().quarantined, moved);
    match watcher.next() {
        Event::Quarantined { path, quarantine } => {
            assert_eq!((path, vec![quarantine]), (scratch.state(), moved));
        }
        other => panic!("another event came: {other:?}"),
    }
    assert!(watcher.is_silent());
}

/// A delete repairs as well, and acts on what was restored.
#[test]
fn a_delete_moves_a_damaged_file_aside() {
    let scratch = Scratch::new();
    let store = open(&scratch).unwrap();
    store.put(&key(1), at(1)).unwrap();
    store.put(&key(2), at(2)).unwrap();
    fs::write(scratch.state(), "garbage").unwrap();
    assert_eq!(store.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(disk(&scratch.state()), expected([(key(2), at(2))]));
}

/// JF-8: a refresh reports the damage and moves nothing: that takes the lock.
#[test]
fn a_refresh_moves_nothing() {
    let scratch = Scratch::new();
    let store = open(&scratch).unwrap();
    store.put(&key(1), at(1)).unwrap();
    fs::write(scratch.state(), "garbage").unwrap();
    assert_eq!(store.refresh().unwrap_err().kind(), ErrorKind::Decode);
    assert!(quarantine(&scratch).is_empty());
    store.call(&JsonFileStore::repair()).unwrap();
    store.refresh().unwrap();
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
}

/// A file of a later version is not damaged, nor is one that is too large: they stay.
#[test]
fn only_damage_is_moved() {
    let later = "{\"version\": 2}";
    let keys = "{\"version\": 1, \"key_format_version\": 2, \"checkpoints\": {}}";
    for (text, kind) in
        [(later, ErrorKind::UnsupportedFileVersion), (keys, ErrorKind::UnsupportedKeyFormatVersion)]
    {
        let scratch = Scratch::new();
        fs::write(scratch.state(), text).unwrap();
        assert_eq!(open(&scratch).unwrap_err().kind(), kind);
        assert_eq!(scratch.names(), ["state.json"]);
    }
    let scratch = Scratch::new();
    fs::File::create(scratch.state()).unwrap().set_len((1 << 30) + 1).unwrap();
    assert_eq!(open(&scratch).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(scratch.names(), ["state.json"]);
}

/// "Quarantine is bounded: with 16 files there, repair refuses", and the file stays.
#[test]
fn a_full_quarantine_takes_no_more() {
    let scratch = Scratch::new();
    for number in 0..15 {
        fs::write(scratch.path(&format!("state.json.corrupt-{number}")), "old").unwrap();
    }
    fs::write(scratch.path("other.json.corrupt-1"), "another store's").unwrap();
    fs::write(scratch.state(), "garbage").unwrap();
    let store = open(&scratch).unwrap();
    assert_eq!(quarantine(&scratch).len(), 16, "the sixteenth is taken");
    store.put(&key(1), at(1)).unwrap();
    fs::write(scratch.state(), "garbage again").unwrap();
    let error = store.put(&key(1), at(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.message().contains("16 files"), "it says what to do: {}", error.message());
    assert_eq!(fs::read(scratch.state()).unwrap(), b"garbage again");
    fs::remove_file(scratch.path("state.json.corrupt-3")).unwrap();
    assert_eq!(store.put(&key(1), at(2)).unwrap(), applied(at(2)), "once there is room");
}

/// Two that are moved within a millisecond do not overwrite each other.
#[test]
fn files_in_quarantine_never_replace_each_other() {
    let scratch = Scratch::new();
    let store = open(&scratch).unwrap();
    for number in 0..10 {
        fs::write(scratch.state(), format!("garbage {number}")).unwrap();
        store.call(&JsonFileStore::repair()).unwrap();
    }
    let mut contents: Vec<String> =
        quarantine(&scratch).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    contents.sort();
    let expected: Vec<String> = (0..10).map(|number| format!("garbage {number}")).collect();
    assert_eq!(contents, expected);
}

/// Moving aside takes the lock: a writer that just replaces the file is not disturbed.
#[test]
fn a_damaged_file_is_not_moved_without_the_lock() {
    let scratch = Scratch::new();
    let _hold = Hold::take(&scratch.lock());
    fs::write(scratch.state(), "garbage").unwrap();
    let options = JsonFileOptions { lock_timeout: Duration::from_millis(30), ..REPAIRING };
    let opened = Process::new().try_open(&scratch.state(), options);
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::LockTimeout);
    assert_eq!(fs::read(scratch.state()).unwrap(), b"garbage");
}

/// What another process has repaired meanwhile is not moved: the lock is taken first, and then
/// the file is looked at again.
#[test]
fn a_file_that_was_mended_meanwhile_stays() {
    let scratch = Scratch::new();
    fs::write(scratch.state(), "garbage").unwrap();
    let process = Process::new();
    let (store, damage) =
        JsonFileStore::attach(&process.registry, &process.storage, &scratch.state(), REPAIRING)
            .unwrap();
    assert_eq!(damage.unwrap().kind(), ErrorKind::Decode);
    super::support::write_as_another_program(&scratch.state(), [(key(1), at(1))]);
    store.call(&JsonFileStore::repair()).unwrap();
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
    assert!(quarantine(&scratch).is_empty());
}

/// The move is made durable before anything takes the file's place; if it cannot be, the store
/// is poisoned and nothing is written.
#[test]
fn a_move_that_cannot_be_made_durable_poisons() {
    let scratch = Scratch::new();
    let armed = Arc::new(AtomicBool::new(false));
    let (fail, calls) = (Arc::clone(&armed), std::sync::atomic::AtomicUsize::new(0));
    let storage = Hooked::storage(move |site| {
        // Listing, renaming, syncing: the third call of that site.
        let due = site == Site::JsonQuarantine && fail.load(Ordering::SeqCst);
        (due && calls.fetch_add(1, Ordering::SeqCst) == 2).then_some(OsError::EIO)
    });
    let store = Process::on(storage).try_open(&scratch.state(), REPAIRING).unwrap();
    store.put(&key(1), at(1)).unwrap();
    fs::write(scratch.state(), "garbage").unwrap();
    armed.store(true, Ordering::SeqCst);
    assert_eq!(store.put(&key(1), at(2)).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(store.put(&key(1), at(3)).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(fs::read(&quarantine(&scratch)[0]).unwrap(), b"garbage");
    assert!(!scratch.state().exists());
}
