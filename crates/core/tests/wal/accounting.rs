//! What a log tells of its syncs: each one counts, and a slow one is told, wherever it comes from.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemark_core::Storage;
use tidemark_core::event::Event;
use tidemark_core::wal::{Io, WalOp, WalOptions};
use tidemark_sim::{Disk, World};
use tidemark_storage::Site;

use super::rig::{Machine, Watcher, metric, put};
use super::support::{Hooked, eventually};
use super::wal_support::{LOG, record, small};

/// What one slow sync takes.
const SLOW: Duration = Duration::from_millis(1500);

/// A simulated disk that counts the syncs of the log's tail, and takes its time where it is told.
#[derive(Clone, Default)]
struct Medium {
    syncs: Arc<AtomicU64>,
    /// The site whose next calls are slow, and how many quick ones come before.
    slow: Arc<Mutex<Option<(Site, u64)>>>,
}

impl Medium {
    fn storage(&self) -> Arc<dyn Storage> {
        let world = World::new(Disk::new(), 1);
        let (own, clock) = (self.clone(), world.clone());
        Hooked::over(world.process().storage(), move |site| {
            if [Site::SegmentSync, Site::SegmentSealSync].contains(&site) {
                own.syncs.fetch_add(1, Ordering::SeqCst);
            }
            if own.is_slow(site) {
                clock.with_disk(|disk| disk.advance(SLOW));
            }
            None
        })
    }

    fn is_slow(&self, now: Site) -> bool {
        let mut slow = self.slow.lock().unwrap();
        match *slow {
            Some((site, 0)) if site == now => {
                *slow = None;
                true
            }
            Some((site, left)) if site == now => {
                *slow = Some((site, left - 1));
                false
            }
            _ => false,
        }
    }

    /// Makes a call of this site slow: the next one, or one behind it.
    fn be_slow(&self, site: Site, behind: u64) {
        *self.slow.lock().unwrap() = Some((site, behind));
    }

    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

/// Commits, rolls, a purge with its mark, the mark of the close: no sync of the log's is left out.
#[test]
fn every_sync_of_a_log_is_counted() {
    for io in [Io::Positional, Io::Mapped] {
        let medium = Medium::default();
        let wal = Machine::on(medium.storage())
            .try_open(Path::new(LOG), WalOptions { io, ..small() })
            .unwrap();
        let opening = medium.syncs();
        for number in 1..=9 {
            put(&wal, record(number, 9000));
        }
        let rolls = metric(&wal, "rolls");
        assert!(rolls >= 2, "{rolls}");
        assert_eq!(metric(&wal, "syncs"), 9 + rolls, "one a commit, one a seal");
        wal.call(&WalOp::Purge { before: 9 }).unwrap();
        // Its mark comes behind its result.
        eventually("the purge is proven", || metric(&wal, "segments") == 1);
        wal.close_blocking();
        assert_eq!(metric(&wal, "syncs"), medium.syncs() - opening, "{io:?}");
        assert!(metric(&wal, "syncs") >= 9 + rolls + 2, "the purge, and the mark after it");
        assert_eq!(metric(&wal, "syncUs"), metric(&wal, "syncs"), "{io:?}");
    }
}

/// A slow sync is told once, with what it took, and those beside it are not.
#[test]
fn a_slow_sync_is_told_whether_it_is_of_a_commit_a_seal_or_a_mark() {
    let medium = Medium::default();
    let wal = Machine::on(medium.storage()).open(Path::new(LOG));
    let watcher = Watcher::of(&wal);
    let told_once = |what: &str| {
        let Event::SlowSync { duration } = watcher.next() else { panic!("{what}: another event") };
        assert!(duration >= SLOW, "{what}: {duration:?}");
        assert!(watcher.told().is_empty(), "{what}: once");
    };
    put(&wal, record(0, 9000));
    assert!(watcher.told().is_empty(), "that was quick");
    medium.be_slow(Site::SegmentSync, 0);
    put(&wal, record(1, 100));
    told_once("a commit");
    medium.be_slow(Site::SegmentSealSync, 0);
    for number in 2..=9 {
        put(&wal, record(number, 9000));
    }
    assert!(metric(&wal, "rolls") >= 2);
    told_once("a seal");
    medium.be_slow(Site::SegmentSync, 1);
    wal.call(&WalOp::Purge { before: 9 }).unwrap();
    told_once("the mark after a purge");
    put(&wal, record(10, 100));
    assert!(watcher.told().is_empty());
    medium.be_slow(Site::SegmentSync, 0);
    wal.close_blocking();
    told_once("the mark of the close");
}
