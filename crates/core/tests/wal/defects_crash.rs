//! The defects of the log that this one equals that a power cut or a failing disk shows: D1, D2,
//! D12, D14, D15, D25, D26, D27. Each test says what the original does.

use std::num::NonZeroU64;

use tidemark_core::ErrorKind;
use tidemark_core::wal::{Io, SyncLevel, WalOp, WalOptions};
use tidemark_sim::{Fault, World};
use tidemark_storage::{OsError, Site};

use super::sim::Desk;
use super::wal_support::{LOG, append, append_many, found_on, hard_state, small};

/// D1: the original acknowledges before anything is flushed, and its callback reports success even
/// if the append failed.
#[test]
fn d1_nothing_is_acknowledged_before_its_sync_or_after_one_that_failed() {
    for site in [Site::SegmentWrite, Site::SegmentSync] {
        let mut desk = Desk::small();
        desk.commit(&[append(1, 700)]);
        desk.survives_a_power_cut(small(), "acknowledged");
        desk.world.inject(Fault::fail(site, 0, OsError::EIO));
        let results = desk.try_commit(&[append(2, 700), append(3, 700)]);
        for result in results {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, true), "{site:?}");
        }
    }
}

/// D2: a roll of the original leaves the old segment unsynced for ever: what was acknowledged in
/// it may be gone after a power cut.
#[test]
fn d2_what_is_acknowledged_around_a_roll_survives_a_power_cut() {
    let mut desk = Desk::small();
    for number in 1..=8 {
        // Two at a time: the second may be the first in the next segment.
        desk.commit(&[append(number, 5500), append(100 + number, 5500)]);
        desk.survives_a_power_cut(small(), &format!("group {number}"));
    }
    assert!(desk.world.count(Site::SegmentSealSync) > 3, "it has rolled");
}

/// D12: the original replaces its metadata by unlink and create, unsynced: after a power cut the
/// vote is gone, and the node votes twice.
#[test]
fn d12_a_hard_state_is_never_lost() {
    let mut desk = Desk::small();
    for term in 1..=30 {
        desk.commit(&[WalOp::SetHardState(hard_state(&format!("term {term}")))]);
        desk.survives_a_power_cut(small(), "acknowledged");
        if term % 7 == 0 {
            // Over rolls, it is in the preamble alone.
            desk.commit(&[append(1, 6000), append(2, 6000), append(3, 6000), append(4, 6000)]);
            desk.survives_a_power_cut(small(), "after a roll");
        }
    }
}

/// D14: the original deletes files before it persists the frontier: a power cut leaves a hole.
#[test]
fn d14_a_purge_leaves_no_hole_wherever_it_is_cut_off() {
    let mut sites_reached = Vec::new();
    for nth in 0.. {
        let mut desk = Desk::small();
        for number in 1..=9 {
            desk.commit(&[append(number, 5000)]);
        }
        let before = desk.model.clone();
        let called = |world: &World| Site::ALL.iter().map(|site| world.count(*site)).sum::<u64>();
        let start = called(&desk.world);
        desk.commit(&[WalOp::Purge { before: 8 }]);
        if start + nth > called(&desk.world) {
            break;
        }
        // The same again, cut off at this call.
        let world = World::new(tidemark_sim::Disk::new(), 1);
        let mut again = Desk::on(&world, small(), super::wal_support::Model::default());
        for number in 1..=9 {
            again.commit(&[append(number, 5000)]);
        }
        let after = desk.model.clone();
        let plan = tidemark_sim::Plan {
            stop: Some(tidemark_sim::Stop::PowerCut { at_call: nth }),
            ..tidemark_sim::Plan::default()
        };
        let (world, report) = again.run(&[WalOp::Purge { before: 8 }], &plan);
        sites_reached.extend(report.trace.last().map(|call| call.site));
        for (choice, disk) in world.disk().crashes(16, nth) {
            let found =
                found_on(&disk, small()).unwrap_or_else(|error| panic!("{choice}: {error}"));
            assert!(found == before || found == after, "call {nth}, {choice}: {}", found.first);
        }
    }
    for site in [Site::SegmentWrite, Site::SegmentSync, Site::RecycleSyncDir] {
        assert!(sites_reached.contains(&site), "{site:?} was not reached: {sites_reached:?}");
    }
}

/// D15: the original's flush before a removal hangs on a flag that its default mode never sets.
#[test]
fn d15_a_purge_makes_durable_what_it_keeps_though_nobody_had_synced_it() {
    let sync = SyncLevel::Interval(NonZeroU64::new(3_600_000).unwrap());
    let options = WalOptions { sync, ..small() };
    for op in [WalOp::Purge { before: 3 }, WalOp::Truncate { after: 4 }] {
        let mut desk = Desk::new(options);
        desk.try_commit(&[append_many(1..6, 3000)]);
        desk.try_commit(&[op]).remove(0).unwrap();
        desk.survives_a_power_cut(options, "acknowledged");
    }
}

/// D25: the original never syncs a directory: a new segment may have no name after a power cut.
#[test]
fn d25_every_name_is_on_the_medium_once_it_counts() {
    let mut desk = Desk::small();
    for number in 1..=9 {
        desk.commit(&[append(number, 6000)]);
        for (choice, disk) in desk.world.disk().crashes(16, 1) {
            let names = disk.names(LOG);
            let begun = desk.world.count(Site::SegmentSealSync) + 1;
            for number in 1..=begun {
                let name = format!("{number:08x}.segment");
                assert!(names.contains(&name), "{choice}: {name} of {names:?}");
            }
        }
    }
}

/// D25: a directory whose maker was killed, or whose name could not be synced, gets a durable name
/// before anything is acknowledged in it.
#[test]
fn d25_the_logs_own_name_is_on_the_medium_whoever_made_the_directory() {
    let world = World::new(tidemark_sim::Disk::new(), 1);
    let storage = world.process().storage();
    storage.make_dir(Site::Test, LOG.as_ref(), 0o700).unwrap();
    let mut desk = Desk::on_any(&world);
    desk.commit(&[append(1, 100)]);
    desk.survives_a_power_cut(small(), "in a directory that somebody else made");
}

/// D26: on a full disk a store into the original's sparse map kills the process (SIGBUS). Here the
/// blocks exist before they are used, and a segment that cannot be made is a definite error.
#[test]
fn d26_a_full_disk_is_an_error_and_no_fault_and_work_goes_on_when_there_is_room() {
    for io in [Io::Positional, Io::Mapped] {
        let options = WalOptions { io, ..small() };
        let mut desk = Desk::new(options);
        desk.commit(&[append(1, 5000)]);
        let used = desk.world.disk().used();
        desk.world.with_disk(|disk| disk.set_capacity(used));
        let mut refused = 0;
        for number in 2..=20 {
            match desk.try_commit(&[append(number, 5000)]).remove(0) {
                Ok(_) => assert_eq!(refused, 0, "the segment was full"),
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::NoSpace, "{io:?}: {error:?}");
                    assert!(!error.is_indeterminate(), "nothing was done");
                }
            }
        }
        assert!(refused > 10, "{refused} were refused");
        desk.commit(&[append(21, 10), WalOp::Purge { before: 2 }]);
        assert_eq!(desk.found(), desk.model, "{io:?}: nothing is lost");
        desk.world.with_disk(|disk| disk.set_capacity(None));
        desk.commit(&[append(22, 5000)]);
        desk.survives_a_power_cut(options, "after there was room");
    }
}

/// D27: a failed fsync ends the original's writer thread silently, and the next start trusts the
/// page cache, which shows what the medium has lost.
#[test]
fn d27_a_failed_sync_poisons_and_the_next_opening_trusts_nothing() {
    let mut desk = Desk::small();
    desk.commit(&[append(1, 700)]);
    desk.world.inject(Fault::fail(Site::SegmentSync, 0, OsError::EIO));
    assert!(desk.try_commit(&[append(2, 700)])[0].is_err());
    for op in [append(3, 1), WalOp::Sync, WalOp::Purge { before: 1 }] {
        let error = desk.try_commit(&[op]).remove(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "for good");
        assert!(!error.is_indeterminate(), "it was never begun");
    }
    let (world, acknowledged) = desk.kill();
    let again = Desk::on_any(&world);
    assert_eq!(again.model.entries[..1], acknowledged.entries);
    // Whatever was found is proven now, though the pages were marked clean.
    again.survives_a_power_cut(small(), "after the recovery");
}
