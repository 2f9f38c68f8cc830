//! A directory that cannot be opened, for want of permission or of descriptors: JF-7 ("a failure
//! before the rename is definite"), AW-3. It used to be noticed after the rename only.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_core::atomic_write::{AtomicWriteOptions, write_file_atomic};
use tidemark_core::checkpoint::{Condition, JsonFileOptions, Recover};
use tidemark_core::{Error, ErrorKind, Result, Storage};
use tidemark_storage::{OsError, Site};

use super::support::{Hooked, Process, Scratch, at, disk, inode, key, write_as_another_program};

/// No descriptor is left.
const EMFILE: i32 = 24;
const ERRNOS: [i32; 2] = [OsError::EACCES, EMFILE];

/// Storage whose directories cannot be opened while the flag is up.
fn closed(errno: i32) -> (Arc<AtomicBool>, Arc<dyn Storage>) {
    let flag = Arc::new(AtomicBool::new(false));
    let shut = Arc::clone(&flag);
    let storage = Hooked::storage(move |site| {
        (site == Site::DirectoryOpen && shut.load(Ordering::SeqCst)).then_some(errno)
    });
    (flag, storage)
}

#[track_caller]
fn is_definite<T: std::fmt::Debug>(result: Result<T>, errno: i32) {
    let error: Error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(error.os_error().map(|os| os.errno), Some(errno));
    assert!(!error.is_indeterminate(), "{error}");
}

#[test]
fn a_put_that_cannot_open_the_directory_changes_nothing_and_does_not_poison() {
    for errno in ERRNOS {
        let scratch = Scratch::new();
        let (shut, storage) = closed(errno);
        let store = Process::on(storage).open(&scratch.state());
        store.put(&key(1), at(1)).unwrap();
        let (names, file) = (scratch.names(), inode(&scratch.state()));
        shut.store(true, Ordering::SeqCst);
        is_definite(store.put(&key(1), at(2)), errno);
        is_definite(store.delete(&key(1), Condition::Always), errno);
        assert_eq!((scratch.names(), inode(&scratch.state())), (names, file));
        assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
        shut.store(false, Ordering::SeqCst);
        assert!(store.put(&key(1), at(2)).unwrap().applied, "the store goes on");
    }
}

#[test]
fn what_cannot_be_proven_for_want_of_the_directory_is_not_shown_and_does_not_poison() {
    for errno in ERRNOS {
        let scratch = Scratch::new();
        let (shut, storage) = closed(errno);
        let store = Process::on(storage).open(&scratch.state());
        store.put(&key(1), at(1)).unwrap();
        write_as_another_program(&scratch.state(), [(key(1), at(7))]);
        shut.store(true, Ordering::SeqCst);
        is_definite(store.refresh(), errno);
        is_definite(store.put(&key(1), at(5)), errno);
        assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)), "what was known");
        shut.store(false, Ordering::SeqCst);
        store.refresh().unwrap();
        assert_eq!(store.get(&key(1)).unwrap(), Some(at(7)));
    }
}

#[test]
fn that_a_file_is_missing_is_not_reported_without_the_directory() {
    let scratch = Scratch::new();
    let (shut, storage) = closed(OsError::EACCES);
    let store = Process::on(storage).open(&scratch.state());
    shut.store(true, Ordering::SeqCst);
    is_definite(store.delete(&key(1), Condition::Always), OsError::EACCES);
    shut.store(false, Ordering::SeqCst);
    store.delete(&key(1), Condition::Always).unwrap();
}

#[test]
fn a_damaged_file_stays_where_it_is_if_its_move_could_not_be_synced() {
    let scratch = Scratch::new();
    let (shut, storage) = closed(OsError::EACCES);
    let repairing = JsonFileOptions { recover: Recover::Quarantine, ..JsonFileOptions::default() };
    let store = Process::on(storage).try_open(&scratch.state(), repairing).unwrap();
    store.put(&key(1), at(1)).unwrap();
    fs::write(scratch.state(), "garbage").unwrap();
    shut.store(true, Ordering::SeqCst);
    is_definite(store.put(&key(1), at(2)), OsError::EACCES);
    assert_eq!(fs::read(scratch.state()).unwrap(), b"garbage");
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"]);
    shut.store(false, Ordering::SeqCst);
    store.put(&key(1), at(2)).unwrap();
    assert_eq!(disk(&scratch.state()).len(), 1);
    assert_eq!(scratch.names().len(), 3, "the damaged file lies beside it");
}

#[test]
fn an_atomic_write_that_cannot_open_the_directory_changes_nothing() {
    let scratch = Scratch::new();
    let (shut, storage) = closed(OsError::EACCES);
    let path = scratch.path("file");
    fs::write(&path, "old").unwrap();
    shut.store(true, Ordering::SeqCst);
    let durable = AtomicWriteOptions::default();
    is_definite(write_file_atomic(&storage, &path, b"new", durable), OsError::EACCES);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(scratch.names(), ["file"]);
    let careless = AtomicWriteOptions { durable: false, ..durable };
    write_file_atomic(&storage, &path, b"new", careless).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new", "without a sync there is no need of it");
}

/// JF-3, JF-7: no sync was tried, so that none has failed. A scanner has the file open (Windows).
#[test]
fn what_a_sync_needs_and_cannot_have_is_a_definite_failure_and_does_not_poison() {
    for errno in ERRNOS {
        let scratch = Scratch::new();
        let flag = Arc::new(AtomicBool::new(false));
        let shut = Arc::clone(&flag);
        let storage = Hooked::storage(move |site| {
            (site == Site::SyncPrepare && shut.load(Ordering::SeqCst)).then_some(errno)
        });
        let store = Process::on(Arc::clone(&storage)).open(&scratch.state());
        write_as_another_program(&scratch.state(), [(key(1), at(7))]);
        let inode_before = inode(&scratch.state());
        flag.store(true, Ordering::SeqCst);
        is_definite(store.refresh(), errno);
        is_definite(store.put(&key(1), at(5)), errno);
        is_definite(store.put(&key(1), at(9)), errno);
        let options = AtomicWriteOptions { durable: true, mode: None };
        is_definite(write_file_atomic(&storage, &scratch.state(), b"new", options), errno);
        assert_eq!(store.get(&key(1)).unwrap(), None, "unproven, and not shown");
        assert_eq!(inode(&scratch.state()), inode_before);
        flag.store(false, Ordering::SeqCst);
        store.refresh().unwrap();
        assert_eq!(store.get(&key(1)).unwrap(), Some(at(7)), "the store goes on");
    }
}

/// JF-3: a file system that was written to and lost its journal cannot sync any more (EROFS), and
/// one that has no sync (EINVAL) may still be written to: what they show may never have reached the
/// medium. Only one that is never written to, a squashfs, is read all the same.
#[test]
fn a_file_system_that_cannot_sync_proves_nothing() {
    for errno in [OsError::EROFS, OsError::EINVAL] {
        let scratch = Scratch::new();
        write_as_another_program(&scratch.state(), [(key(1), at(7))]);
        let process = Process::on(never_synced(errno));
        let refused = process.try_open(&scratch.state(), JsonFileOptions::default());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Io);
    }
}

/// Storage on which no sync of what others wrote succeeds.
fn never_synced(errno: i32) -> Arc<dyn Storage> {
    Hooked::storage(move |site| {
        matches!(site, Site::JsonTrust | Site::JsonTrustDir).then_some(errno)
    })
}
