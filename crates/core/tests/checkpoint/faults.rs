//! JF-7 on the real disk: each call of an operation fails in turn. (Power cuts and kills are the
//! simulator's.)

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tidemark_core::checkpoint::{JsonFileOptions, Store};
use tidemark_core::event::Event;
use tidemark_core::{ErrorKind, Storage};
use tidemark_storage::{OsError, Site};

use super::support::{
    Hold, Hooked, Process, Scratch, Watcher, applied, at, disk, expected, key,
    write_as_another_program,
};

/// Fails the call that is so many calls away.
#[derive(Clone)]
struct Fuse {
    left: Arc<AtomicUsize>,
    errno: i32,
    /// Where it burnt.
    burnt: Arc<Mutex<Option<Site>>>,
}

impl Fuse {
    fn new(errno: i32) -> (Self, Arc<dyn Storage>) {
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let fuse = Self { left, errno, burnt: Arc::default() };
        let own = fuse.clone();
        (fuse, Hooked::storage(move |site| own.burn(site)))
    }

    fn burn(&self, site: Site) -> Option<i32> {
        if self.left.load(Ordering::SeqCst) == usize::MAX {
            return None;
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return None;
        }
        // It has burnt: the counter has wrapped around, which disarms it.
        *self.burnt.lock().unwrap() = Some(site);
        Some(self.errno)
    }

    fn arm(&self, calls: usize) {
        self.left.store(calls, Ordering::SeqCst);
    }

    /// Where it burnt, if it did; it does no more.
    fn disarm(&self) -> Option<Site> {
        self.left.store(usize::MAX, Ordering::SeqCst);
        self.burnt.lock().unwrap().take()
    }
}

/// Sites whose failure leaves the outcome unknown: they come after the rename.
const AFTER_THE_RENAME: [Site; 2] = [Site::JsonSyncDir, Site::JsonStat];

/// Fails each call of a put in turn. Returns the sites in the order in which they failed.
fn fail_each_call_of_a_put(errno: i32, kind: ErrorKind, prepare: fn(&Scratch)) -> Vec<Site> {
    let mut sites = Vec::new();
    for calls in 0.. {
        let scratch = Scratch::new();
        let (fuse, storage) = Fuse::new(errno);
        let process = Process::on(storage);
        let store = process.open(&scratch.state());
        store.put(&key(1), at(1)).unwrap();
        prepare(&scratch);
        let before = disk(&scratch.state());
        fuse.arm(calls);
        let result = store.put(&key(1), at(2));
        let Some(site) = fuse.disarm() else {
            assert!(result.unwrap().applied, "nothing failed any more");
            return sites;
        };
        sites.push(site);
        assert!(!Hold::is_taken(&scratch.lock()), "{site:?} leaves the lock behind");
        match result {
            Ok(outcome) => {
                assert!(outcome.applied, "{site:?}");
                assert_eq!(store.get(&key(1)).unwrap(), Some(at(2)), "{site:?}");
                assert_eq!(disk(&scratch.state())[&key(1).hex()].0, 2, "{site:?}");
            }
            Err(error) if error.is_indeterminate() => {
                assert!(AFTER_THE_RENAME.contains(&site), "{site:?}: {error:?}");
                assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)), "{site:?}: nothing is shown");
                let later = store.put(&key(2), at(1)).unwrap_err();
                assert_eq!(later.kind(), ErrorKind::Poisoned, "{site:?}");
                assert_eq!(store.refresh().unwrap_err().kind(), ErrorKind::Poisoned, "{site:?}");
            }
            Err(error) => {
                if site != Site::TempName {
                    // Randomness has no path, and no device that could be full.
                    assert_eq!(error.kind(), kind, "{site:?}: {error:?}");
                    assert_eq!(error.os_error().map(|os| os.errno), Some(errno), "{site:?}");
                }
                assert_eq!(disk(&scratch.state()), before, "{site:?}: definite");
                assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)), "{site:?}");
                assert!(store.put(&key(1), at(3)).unwrap().applied, "{site:?}: usable");
            }
        }
        // Opening again heals everything, also beside the poisoned handle.
        let again = process.open(&scratch.state());
        assert!(again.put(&key(1), at(9)).unwrap().applied, "{site:?}");
        assert_eq!(scratch.names(), ["state.json", "state.json.lock"], "{site:?}: no stray");
    }
    unreachable!("a put makes finitely many calls")
}

/// JF-7: before the rename definite and usable, after it indeterminate and poisoned.
#[test]
fn each_call_of_a_put_may_fail_without_harm() {
    let sites = fail_each_call_of_a_put(OsError::EIO, ErrorKind::Io, |_| ());
    for site in [
        Site::LockAcquire,
        Site::LockVerify,
        Site::SweepList,
        Site::JsonStat,
        Site::TempName,
        Site::TempCreate,
        Site::TempLock,
        Site::TempWrite,
        Site::JsonSync,
        Site::JsonRename,
        Site::JsonSyncDir,
        Site::LockRelease,
    ] {
        assert!(sites.contains(&site), "{site:?} was not reached: {sites:?}");
    }
}

/// As above, where another process wrote the file and left a stray behind.
#[test]
fn each_call_of_a_put_on_a_file_of_another_process_may_fail_without_harm() {
    let sites = fail_each_call_of_a_put(OsError::EIO, ErrorKind::Io, |scratch| {
        write_as_another_program(&scratch.state(), [(key(1), at(1)), (key(7), at(7))]);
        let stray = format!(".tidemark-{}.tmp", "0".repeat(32));
        fs::write(scratch.path(&stray), "half a").unwrap();
    });
    for site in [Site::JsonOpen, Site::JsonRead, Site::SweepLock, Site::SweepRemove] {
        assert!(sites.contains(&site), "{site:?} was not reached: {sites:?}");
    }
}

/// docs/errors.md: a full device has a code of its own, and frees nothing for itself.
#[test]
fn a_full_device_at_each_call_is_told_as_such() {
    fail_each_call_of_a_put(OsError::ENOSPC, ErrorKind::NoSpace, |_| ());
}

/// JF-7: the failed sync of the directory after the rename is told to observers as well.
#[test]
fn a_failed_directory_sync_poisons_until_the_store_is_opened_again() {
    let scratch = Scratch::new();
    let fail = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fail);
    let storage = Hooked::storage(move |site| {
        let due = site == Site::JsonSyncDir && count.load(Ordering::SeqCst) > 0;
        due.then_some(OsError::EIO)
    });
    let process = Process::on(storage);
    let store = process.open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    let watcher = Watcher::of(&store);
    fail.store(1, Ordering::SeqCst);
    let error = store.put(&key(1), at(2)).unwrap_err();
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, true));
    assert!(matches!(watcher.next(), Event::Poisoned { error } if error.is_indeterminate()));
    fail.store(0, Ordering::SeqCst);
    let later = store.put(&key(1), at(3)).unwrap_err();
    assert_eq!(later.kind(), ErrorKind::Poisoned, "although it would succeed now");
    assert!(std::error::Error::source(&later).is_some(), "it names its cause");
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)), "memory still answers");
    let again = process.open(&scratch.state());
    assert_eq!(again.get(&key(1)).unwrap(), Some(at(2)), "the rename had happened");
    assert_eq!(again.put(&key(1), at(3)).unwrap(), applied(at(3)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(3))]));
}

/// Opens a store that knows nothing yet, lets another program write, and fails a site.
fn store_with_a_failing(site: Site) -> (Scratch, Process, Store) {
    let scratch = Scratch::new();
    let process = Process::on(Hooked::storage(move |now| (now == site).then_some(OsError::EIO)));
    let store = process.open(&scratch.state());
    write_as_another_program(&scratch.state(), [(key(1), at(1))]);
    (scratch, process, store)
}

/// JF-3: what could not be made durable is not shown, and a second sync would prove nothing.
#[test]
fn a_file_of_another_process_that_cannot_be_synced_is_not_shown() {
    for site in [Site::JsonTrust, Site::JsonTrustDir] {
        let (_scratch, _process, store) = store_with_a_failing(site);
        assert_eq!(store.refresh().unwrap_err().kind(), ErrorKind::Io, "{site:?}");
        assert_eq!(store.get(&key(1)).unwrap(), None, "{site:?}");
        assert_eq!(store.put(&key(2), at(1)).unwrap_err().kind(), ErrorKind::Poisoned, "{site:?}");
    }
}

/// JF-3: a put that writes nothing resolves only after what superseded it is durable.
#[test]
fn a_superseded_put_syncs_what_superseded_it() {
    for site in [Site::JsonTrust, Site::JsonTrustDir] {
        let (_scratch, _process, store) = store_with_a_failing(site);
        assert_eq!(store.put(&key(1), at(0)).unwrap_err().kind(), ErrorKind::Io, "{site:?}");
        assert_eq!(store.get(&key(1)).unwrap(), None, "{site:?}");
    }
}

/// Opening reads as well: it shows nothing that is not durable.
#[test]
fn opening_fails_if_the_file_cannot_be_made_durable() {
    let scratch = Scratch::new();
    write_as_another_program(&scratch.state(), [(key(1), at(1))]);
    let storage = Hooked::storage(|site| (site == Site::JsonTrustDir).then_some(OsError::EIO));
    let opened = Process::on(storage).try_open(&scratch.state(), JsonFileOptions::default());
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Io);
}
