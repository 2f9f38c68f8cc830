//! The log on devices that are full or fail, made of loop devices, and behind limits of the
//! process: C1, C8 to C10. Whoever cannot make such a device (root can, in most places) is told
//! what was not tested, and why.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

#[cfg(test)]
#[path = "fault_support/mod.rs"]
mod fault_support;
#[cfg(test)]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use fault_support::{Mounted, Tmpfs, fill, skip};
use support::{Hooked, Watch, again_in_a_process_of_its_own, eventually, real};
use tidemark_core::event::{Event, Observer};
use tidemark_core::wal::{Io, Visibility, Wal, WalOp, WalOptions, WalOutcome, WalRegistry};
use tidemark_core::{Error, ErrorKind, Result};
use tidemark_storage::{FileSystem, Site};

const SEGMENT_BYTES: u32 = 64 << 10;
/// Some of these fill a segment.
const RECORD_BYTES: usize = 3000;

fn options(io: Io) -> WalOptions {
    WalOptions { segment_bytes: SEGMENT_BYTES, io, ..WalOptions::default() }
}

fn open(log: &Path, options: WalOptions) -> Result<Wal> {
    Wal::open(&WalRegistry::default(), &real(), log, options)
}

fn record(lsn: u64) -> Vec<u8> {
    lsn.to_le_bytes().into_iter().cycle().take(RECORD_BYTES).collect()
}

/// Appends the record of the next LSN.
fn append(wal: &Wal, lsn: u64) -> Result<u64, Error> {
    match wal.call(&WalOp::append(record(lsn)))? {
        WalOutcome::Appended { first, .. } => Ok(first),
        other => panic!("an append came to {other:?}"),
    }
}

/// Appends until that fails; the last LSN that was acknowledged, and why no more were.
fn append_until_it_fails(wal: &Wal, from: u64) -> (u64, Error) {
    const LSN_MAX: u64 = 100_000;
    for lsn in from..LSN_MAX {
        match append(wal, lsn) {
            Ok(got) => assert_eq!(got, lsn),
            Err(error) => return (lsn - 1, error),
        }
    }
    panic!("there is always room");
}

/// Every record from one LSN to another is what was appended.
fn check(wal: &Wal, from: u64, to: u64) {
    for lsn in from..=to {
        let entries = wal.read(lsn, lsn, RECORD_BYTES, Visibility::Durable).unwrap();
        assert!(entries.records.get(0).unwrap() == record(lsn), "LSN {lsn}");
    }
}

struct Ears(std::sync::mpsc::Sender<Event>);

impl Observer for Ears {
    fn notify(&self, event: &Event) {
        let _nobody_listens = self.0.send(event.clone());
    }
}

fn listen(wal: &Wal) -> (Arc<dyn Observer>, Receiver<Event>) {
    let (tell, events) = channel();
    let ears: Arc<dyn Observer> = Arc::new(Ears(tell));
    wal.subscribe(&ears);
    (ears, events)
}

/// C10: appends that do not fit are refused, which is definite and told once; nothing that was
/// accepted is lost; a purge makes room, and work goes on, with the same handle.
#[test]
fn c10_a_full_file_system_refuses_and_a_purge_makes_room() {
    for io in [Io::Positional, Io::Mapped] {
        let mounted = match Mounted::new(16 << 20) {
            Ok(mounted) => mounted,
            Err(why) => return skip("a full file system", &why),
        };
        let log = mounted.path().join("log");
        let wal = open(&log, options(io)).unwrap();
        let (_ears, events) = listen(&wal);
        for lsn in 1..=40 {
            append(&wal, lsn).unwrap();
        }
        let ballast = fill(mounted.path());
        let (last, error) = append_until_it_fails(&wal, 41);
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{io:?}: {error:?}");
        assert!(!error.is_indeterminate(), "nothing was written: {error:?}");
        // It is refused again, without being told again.
        let again = append(&wal, last + 1).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NoSpace, "{again:?}");
        let told: Vec<Event> = events.try_iter().collect();
        assert!(matches!(told[..], [Event::NoSpace { .. }]), "{told:?}");
        check(&wal, 1, last);
        // There is room for a purge itself. What it gives up is there a moment later.
        wal.call(&WalOp::Purge { before: last }).unwrap();
        eventually("a purge makes room", || append(&wal, last + 1).is_ok());
        let more = last + 60;
        for lsn in last + 2..=more {
            eventually("there is room", || append(&wal, lsn).is_ok());
            if lsn % 10 == 0 {
                wal.call(&WalOp::Purge { before: lsn - 1 }).unwrap();
            }
        }
        check(&wal, wal.first_lsn().unwrap(), more);
        drop(ballast);
        wal.close_blocking();
        let wal = open(&log, options(io)).unwrap();
        assert!(wal.recovery().was_closed);
        assert_eq!(wal.last_lsn(Visibility::Durable).unwrap(), more);
        check(&wal, wal.first_lsn().unwrap(), more);
        wal.close_blocking();
    }
}

/// The spares of a log.
fn spares(log: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "spare")).collect()
}

/// C10: a recovery needs the room of a segment, and takes it from the spares, which go after an
/// unclean end in any case.
#[test]
fn c10_a_log_that_was_not_closed_opens_on_a_full_file_system_that_has_its_spares() {
    for io in [Io::Positional, Io::Mapped] {
        let mounted = match Mounted::new(16 << 20) {
            Ok(mounted) => mounted,
            Err(why) => return skip("a full file system", &why),
        };
        let (written, log) = (mounted.path().join("written"), mounted.path().join("log"));
        let wal = open(&written, options(io)).unwrap();
        for lsn in 1..=100 {
            append(&wal, lsn).unwrap();
        }
        wal.call(&WalOp::Purge { before: 90 }).unwrap();
        eventually("spares are there", || spares(&written).len() >= 2);
        append(&wal, 101).unwrap();
        // As a kill leaves it: nothing says that it was closed.
        std::fs::create_dir(&log).unwrap();
        for entry in std::fs::read_dir(&written).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.extension().is_none_or(|it| it != "tmp") {
                std::fs::copy(&path, log.join(path.file_name().unwrap())).unwrap();
            }
        }
        let before = spares(&log);
        assert!(before.len() >= 2, "{before:?}");
        let ballast = fill(mounted.path());
        let wal = open(&log, options(io)).unwrap();
        assert!(!wal.recovery().was_closed);
        assert!(!before.iter().any(|spare| spare.exists()), "they gave their room");
        assert_eq!(wal.last_lsn(Visibility::Durable).unwrap(), 101);
        check(&wal, 90, 101);
        append(&wal, 102).unwrap();
        wal.close_blocking();
        drop(ballast);
    }
}

/// Tells of a file system that it does not write in place: segments get their length only, as on
/// Btrfs.
struct Sparse;

impl Watch for Sparse {
    fn before(&self, _site: Site) -> Option<i32> {
        None
    }

    fn file_system(&self, found: FileSystem) -> FileSystem {
        FileSystem { overwrites_in_place: false, ..found }
    }
}

/// C9, C10: where blocks cannot be had ahead, a full disk fails a write. Through a map the kernel
/// raises SIGBUS for it, which is an error like the other: the log gives up, the process lives, and
/// nothing that was acknowledged is lost.
#[test]
fn c10_a_write_that_finds_no_block_is_an_error_in_both_modes_and_loses_nothing() {
    for io in [Io::Positional, Io::Mapped] {
        let mounted = match Mounted::new(16 << 20) {
            Ok(mounted) => mounted,
            Err(why) => return skip("a full file system", &why),
        };
        let log = mounted.path().join("log");
        let large = WalOptions { segment_bytes: 1 << 20, ..options(io) };
        let sparse = Hooked::watched(Arc::new(Sparse));
        let wal = Wal::open(&WalRegistry::default(), &sparse, &log, large).unwrap();
        for lsn in 1..=10 {
            append(&wal, lsn).unwrap();
        }
        let ballast = fill(mounted.path());
        let (last, error) = append_until_it_fails(&wal, 11);
        let expected = match io {
            Io::Positional => (ErrorKind::NoSpace, Some(28)),
            Io::Mapped => (ErrorKind::Io, Some(5)),
        };
        let found = (error.kind(), error.os_error().map(|os| os.errno));
        assert_eq!(found, expected, "ENOSPC or EIO: {io:?}: {error:?}");
        assert!(error.is_indeterminate(), "{io:?}: {error:?}");
        println!("{io:?}: after {last} appends: {error}");
        let later = append(&wal, last + 1).unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Poisoned, "{io:?}");
        assert_eq!(wal.last_lsn(Visibility::Durable).unwrap(), last, "durable stands still");
        wal.close_blocking();
        drop((wal, ballast));
        // As after a restart: what the medium has is all there is.
        let mounted = mounted.again().unwrap();
        let wal = open(&mounted.path().join("log"), large).unwrap();
        let kept = wal.last_lsn(Visibility::Durable).unwrap();
        assert!((last..=last + 1).contains(&kept), "{io:?}: {last} acknowledged, {kept} found");
        check(&wal, 1, last);
        append(&wal, kept + 1).unwrap();
        wal.close_blocking();
    }
}

/// C1, C9: the device fails a sync. What was acknowledged is there when the log is opened again on
/// a device that works; what was not may be. Nothing more is taken before that.
#[test]
fn c9_a_failed_sync_poisons_the_log_and_loses_nothing_that_was_acknowledged() {
    for io in [Io::Positional, Io::Mapped] {
        let tmpfs = match Tmpfs::new(24 << 20) {
            Ok(tmpfs) => tmpfs,
            Err(why) => return skip("a device that fails", &why),
        };
        let mounted = match Mounted::within(tmpfs.path(), 64 << 20) {
            Ok(mounted) => mounted,
            Err(why) => return skip("a device that fails", &why),
        };
        let log = mounted.path().join("log");
        let wal = open(&log, options(io)).unwrap();
        let (_ears, events) = listen(&wal);
        for lsn in 1..=10 {
            append(&wal, lsn).unwrap();
        }
        // Blocks of zeros, such as a prepared segment has, have no room on the device any more.
        let limit = match mounted.one_block_at_a_time() {
            Ok(limit) => limit,
            Err(why) => return skip("a device that fails", &why),
        };
        mounted.dig_holes().unwrap();
        let ballast = fill(tmpfs.path());
        let (last, error) = append_until_it_fails(&wal, 11);
        // A loop device on a full file system says ENOSPC, others EIO.
        assert!([ErrorKind::Io, ErrorKind::NoSpace].contains(&error.kind()), "{io:?}: {error:?}");
        let errno = error.os_error().map(|os| os.errno);
        assert!([Some(5), Some(28)].contains(&errno), "EIO or ENOSPC: {io:?}: {error:?}");
        assert!(error.is_indeterminate(), "{io:?}: {error:?}");
        let told: Vec<Event> = events.try_iter().collect();
        assert!(matches!(told[..], [Event::Poisoned { .. }]), "{told:?}");
        for _ in 0..3 {
            let later = append(&wal, last + 1).unwrap_err();
            assert_eq!(later.kind(), ErrorKind::Poisoned, "nothing is retried");
            assert_eq!(wal.last_lsn(Visibility::Durable).unwrap(), last, "durable stands still");
        }
        println!("{io:?}: after {last} appends: {error}");
        wal.close_blocking();
        drop(wal);
        drop(ballast);
        drop(limit);
        // As after a restart: nothing is left in the cache that the device does not have.
        let mounted = mounted.again().unwrap();
        let wal = open(&mounted.path().join("log"), options(io)).unwrap();
        let kept = wal.last_lsn(Visibility::Durable).unwrap();
        assert!((last..=last + 1).contains(&kept), "{io:?}: {last} acknowledged, {kept} found");
        check(&wal, 1, last);
        append(&wal, kept + 1).unwrap();
        wal.close_blocking();
    }
}

/// A read-only mount: nothing is written, everything proven is read; to write is refused.
#[test]
fn a_log_on_a_read_only_mount_is_read() {
    let mounted = match Mounted::new(16 << 20) {
        Ok(mounted) => mounted,
        Err(why) => return skip("a read-only mount", &why),
    };
    let log = mounted.path().join("log");
    let wal = open(&log, options(Io::Positional)).unwrap();
    for lsn in 1..=40 {
        append(&wal, lsn).unwrap();
    }
    wal.close_blocking();
    drop(wal);
    mounted.remount_read_only().unwrap();
    for io in [Io::Positional, Io::Mapped] {
        let reader = open(&log, WalOptions { read_only: true, ..options(io) }).unwrap();
        assert_eq!(reader.recovery().proven_last, Some(40));
        check(&reader, 1, 40);
        let refused = reader.call(&WalOp::append(vec![0])).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        reader.close_blocking();
        let error = open(&log, options(io)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
    }
}

/// A limit on the size of files, smaller than a segment: refused at once, and nothing is left. The
/// signal that comes with it is ignored by who sets such a limit and lives.
#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    // 32 blocks of 512 bytes, or of 1024, as shells differ.
    let prelude = "trap '' XFSZ; ulimit -f 32";
    let own = "a_limit_on_the_size_of_files_is_an_error";
    if !again_in_a_process_of_its_own(own, prelude, true) {
        return;
    }
    let scratch = support::Scratch::new();
    let log = scratch.path("log");
    for io in [Io::Positional, Io::Mapped] {
        let error = open(&log, options(io)).unwrap_err();
        assert_eq!(error.os_error().map(|os| os.errno), Some(27), "EFBIG: {error:?}");
        assert!(!error.is_indeterminate(), "{error:?}");
    }
    let left: Vec<_> = std::fs::read_dir(&log).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
