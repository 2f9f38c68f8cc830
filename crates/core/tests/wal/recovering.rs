//! What a recovery needs: room on the disk, which it takes from what nobody believes, and memory,
//! which does not grow with what it moves aside.

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidemark_core::ErrorKind;
use tidemark_core::wal::{RecoveryMode, SyncLevel, Visibility, WalOp, WalOptions, WalParts};
use tidemark_sim::{Disk, World};
use tidemark_storage::Site;

use super::rig::{Machine, killed_copy, put, segments, texts};
use super::sim::Desk;
use super::support::{Hooked, Scratch, Watch};
use super::wal_support::{LOG, Model, append, record, small};

/// How many files of the log end so.
fn ending(disk: &Disk, end: &str) -> usize {
    disk.names(LOG).iter().filter(|name| name.ends_with(end)).count()
}

/// Opens the log on a disk that is full to the last byte; what it holds, and what was cut off.
fn found_on_a_full(disk: &Disk) -> tidemark_core::Result<(Model, u64)> {
    let world = World::new(disk.clone(), 7);
    let used = world.disk().used();
    world.with_disk(|disk| disk.set_capacity(used));
    let storage = world.process().storage();
    let parts = WalParts::open_inline(&storage, Path::new(LOG), small())?;
    assert_eq!(ending(&world.disk(), ".spare"), 0, "after an unclean end none is believed");
    Ok((Model::of(&parts)?, parts.recovery().cut_bytes))
}

/// A log with spares and a sync far away.
fn with_spares() -> Desk {
    let hour = NonZeroU64::new(3_600_000).expect("not zero");
    let mut desk = Desk::new(WalOptions { sync: SyncLevel::Interval(hour), ..small() });
    for number in 1..=8 {
        desk.commit(&[append(number, 9000)]);
    }
    desk.commit(&[WalOp::Purge { before: 8 }]);
    desk.commit(&[append(9, 100)]);
    desk
}

/// Writes what is not synced.
fn write(desk: &mut Desk, number: u32, size_bytes: usize) {
    desk.try_commit(&[append(number, size_bytes)]).remove(0).unwrap();
}

/// C10: a recovery needs a segment's room, and a file more for a torn tail. On a full disk there is
/// just that: spares, which go after an unclean end in any case.
#[test]
fn c10_a_recovery_on_a_full_disk_takes_the_room_of_the_spares() {
    let mut desk = with_spares();
    let acknowledged = desk.model.clone();
    write(&mut desk, 10, 1500);
    write(&mut desk, 11, 700);
    write(&mut desk, 12, 1500);
    let all = desk.model.clone();
    let (world, _) = desk.kill();
    assert!(ending(&world.disk(), ".spare") >= 2, "{:?}", world.disk().names(LOG));
    assert_eq!(found_on_a_full(&world.disk()).unwrap(), (all.clone(), 0), "after a kill");
    let (mut torn, mut judged) = (0, 0);
    for (choice, disk) in world.disk().crashes(400, 1) {
        let (found, cut_bytes) =
            found_on_a_full(&disk).unwrap_or_else(|error| panic!("{choice}: {error:?}"));
        let is_whole = all.entries.starts_with(&found.entries);
        assert!(is_whole && found.entries.starts_with(&acknowledged.entries), "{choice}");
        torn += usize::from(cut_bytes > 0);
        judged += 1;
    }
    assert!(judged > 10 && torn > 0, "{judged} states, {torn} of them torn");
}

/// The same with a segment that is prepared: of a log that was never purged it is all there is.
#[test]
fn c10_a_recovery_on_a_full_disk_takes_the_room_of_a_prepared_segment() {
    let mut desk = Desk::small();
    desk.commit(&[append(1, 9000)]);
    desk.commit(&[append(2, 4000)]);
    let (world, model) = desk.kill();
    let names = world.disk().names(LOG);
    assert_eq!((ending(&world.disk(), ".segment"), ending(&world.disk(), ".spare")), (2, 0));
    assert_eq!(found_on_a_full(&world.disk()).unwrap().0, model, "{names:?}");
    for (choice, disk) in world.disk().crashes(32, 1) {
        let found = found_on_a_full(&disk).unwrap_or_else(|error| panic!("{choice}: {error:?}"));
        assert_eq!(found.0, model, "{choice}");
    }
}

/// In strict mode nothing is changed: also no spare goes.
#[test]
fn a_torn_tail_that_is_refused_costs_no_spare() {
    let mut desk = with_spares();
    write(&mut desk, 10, 1500);
    write(&mut desk, 11, 700);
    write(&mut desk, 12, 1500);
    let (world, _) = desk.kill();
    let strict = WalOptions { recovery: RecoveryMode::Strict, ..small() };
    let mut refused = 0;
    for (choice, disk) in world.disk().crashes(400, 1) {
        let world = World::new(disk, 7);
        let before = world.disk().names(LOG);
        let storage = world.process().storage();
        if let Err(error) = WalParts::open_inline(&storage, Path::new(LOG), strict) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{choice}: {error:?}");
            assert_eq!(world.disk().names(LOG), before, "{choice}");
            refused += 1;
        }
    }
    assert!(refused > 0, "nothing was torn");
}

/// Watches what is written into quarantine.
#[derive(Default)]
struct Sizes {
    largest: AtomicUsize,
    total: AtomicUsize,
}

impl Watch for Sizes {
    fn before(&self, _site: Site) -> Option<i32> {
        None
    }

    fn tear(&self, site: Site, bytes: &[u8]) -> Option<usize> {
        if site == Site::TempWrite {
            self.largest.fetch_max(bytes.len(), Ordering::SeqCst);
            self.total.fetch_add(bytes.len(), Ordering::SeqCst);
        }
        None
    }
}

/// SG-9: a torn tail of nearly a whole segment is moved aside by pieces, and to the byte.
#[test]
fn sg9_a_large_torn_tail_is_copied_by_pieces() {
    const FROM: u64 = 8192;
    const TO: u64 = 7 << 20;
    let scratch = Scratch::new();
    let options = WalOptions { segment_bytes: 8 << 20, ..WalOptions::default() };
    let log = scratch.path("log");
    let wal = Machine::new().try_open(&log, options).unwrap();
    put(&wal, "acknowledged");
    let left = killed_copy(&scratch, &log, "left");
    wal.close_blocking();
    let path = segments(&left).remove(0);
    let file = fs::File::options().write(true).open(&path).unwrap();
    let garbage: Vec<u8> = record(7, usize::try_from(TO - FROM).unwrap());
    file.write_all_at(&garbage, FROM).unwrap();
    drop(file);
    let sizes = Arc::<Sizes>::default();
    let watch: Arc<dyn Watch> = Arc::clone(&sizes) as _;
    let wal = Machine::on(Hooked::watched(watch)).try_open(&left, options).unwrap();
    assert_eq!(wal.last_lsn(Visibility::Durable).unwrap(), 1);
    assert_eq!(texts(&wal), ["acknowledged"]);
    let [quarantined] = &wal.recovery().quarantined[..] else { panic!("one file") };
    assert!(fs::read(quarantined).unwrap() == garbage, "to the byte");
    assert_eq!(wal.recovery().cut_bytes, TO - FROM);
    assert_eq!(sizes.total.load(Ordering::SeqCst), garbage.len());
    assert!(sizes.largest.load(Ordering::SeqCst) <= 1 << 20, "not in one piece: {sizes:?}");
}

impl std::fmt::Debug for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at most, {:?} in all", self.largest, self.total)
    }
}
