//! The log engine, stopped at every call: SG-1 to SG-10, C1 to C3 and C9 of the log, D5, D6, D14.
//!
//! What was synced is there after a power cut, what was written after a kill; what else is there
//! are exactly the frames that came next, each as a whole. `SEED=n` repeats one run of choices.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod segment_support;
#[cfg(test)]
mod support;

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use segment_support::{
    Client, Known, LOG, Told, Toy, empty_disk, is_a_prefix, judge, open, options, read_all, told,
};
use support::Hooked;
use tidemark_core::segment::{Cursor, Io, Log, LogOptions, Opened, Position, Reach, Window};
use tidemark_core::{ErrorKind, LockMode, Result};
use tidemark_sim::{Actor, Choice, CrashState, Disk, Explore, Fault, FaultKind, World};
use tidemark_storage::{Open, OsError, Site};

/// What a process does with its log.
type Script = fn(&mut Client) -> Result<()>;

fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Opens a log, does something, and closes it; after a failure, once more from the start.
fn process(
    world: &World,
    known: &Known,
    options: LogOptions,
    script: Script,
) -> (Vec<Actor>, Told) {
    let known = Arc::new(Mutex::new(known.clone()));
    let tell = Arc::clone(&known);
    let process = world.process();
    let storage = process.storage();
    let actor = Actor::new(&process, "writer", move || {
        let all = || {
            let mut client = Client::open(&storage, &options, &tell)?;
            script(&mut client)?;
            client.close()
        };
        if all().is_err() {
            // A fault of the test's. What is acknowledged from here on counts as ever (C9).
            let _second = all();
        }
    });
    (vec![actor], known)
}

/// Every power cut and every kill; after some of them every power cut in the recovery.
fn survives(
    (start, before): (&Disk, &Known),
    options: LogOptions,
    faults: &[Fault],
    disks: usize,
    script: Script,
) {
    let (judged, again) = (Cell::new(0_usize), Cell::new(0_usize));
    let seen = std::cell::RefCell::new(HashSet::new());
    let mut explore = Explore::new(start, disks, seed());
    explore.faults = faults.to_vec();
    let check = |state: &CrashState, known: &Told| {
        let known = told(known).clone();
        let must = if state.killed.is_some() { known.written } else { known.synced };
        judge(&state.disk, &options, &known, must);
        judged.set(judged.get() + 1);
        // A second stop, in the recovery: once for each site that the first one hit.
        if faults.is_empty() && seen.borrow_mut().insert((state.site, state.killed)) {
            again.set(again.get() + stopped_again(&state.disk, options, &known, must));
        }
    };
    explore.power_cuts(|world| process(world, before, options, script), check);
    explore.kills(|world| process(world, before, options, script), check);
    eprintln!("{} states, {} after a second stop", judged.get(), again.get());
    assert!(judged.get() > 40, "{judged:?}");
}

fn stopped_again(disk: &Disk, options: LogOptions, known: &Known, must: u64) -> usize {
    let body = |world: &World| {
        let process = world.process();
        let storage = process.storage();
        let opens = move || drop(open(&storage, &options).unwrap());
        (vec![Actor::new(&process, "recovery", opens)], ())
    };
    let check = |state: &CrashState, (): &()| {
        let must = if state.killed.is_some() { must } else { known.synced };
        judge(&state.disk, &options, known, must);
    };
    let explore = Explore::new(disk, 3, seed());
    explore.power_cuts(body, check) + explore.kills(body, check)
}

fn appends(client: &mut Client) -> Result<()> {
    client.stage()?;
    client.sync()?;
    client.stage()?;
    client.stage()?;
    client.write()?;
    client.stage()?;
    client.sync()
}

/// Fills more than a segment, purges, and goes on in recycled files.
fn rolls(client: &mut Client) -> Result<()> {
    for _ in 0..8 {
        client.stage()?;
    }
    client.sync()?;
    client.roll()?;
    client.stage()?;
    client.remove()?;
    client.stage()?;
    client.write()?;
    client.roll()?;
    client.stage()?;
    client.sync()
}

/// A log that was closed with frames in it.
fn closed_log(options: LogOptions) -> (Disk, Known) {
    let world = World::new(empty_disk(), seed());
    let storage = world.process().storage();
    let known = Told::default();
    let mut client = Client::open(&storage, &options, &known).unwrap();
    appends(&mut client).unwrap();
    client.close().unwrap();
    let known = told(&known).clone();
    (world.disk().after_power_cut(&Choice::Nothing), known)
}

/// C1, C2, SG-2, SG-4: from an empty directory to a log that was closed.
#[test]
fn a_new_log_survives_every_stop() {
    survives((&empty_disk(), &Known::default()), options(), &[], 12, appends);
}

/// SG-10: a log that goes on behind a mark.
#[test]
fn a_log_that_was_closed_survives_every_stop_in_its_next_life() {
    let (disk, known) = closed_log(options());
    survives((&disk, &known), options(), &[], 12, appends);
}

/// The same through a map.
#[test]
fn a_mapped_log_survives_every_stop() {
    let options = LogOptions { io: Io::Mapped, ..options() };
    survives((&empty_disk(), &Known::default()), options, &[], 8, appends);
}

/// SG-3, SG-5, SG-7: rolling, removing and recycling (D5, D6, D14).
#[test]
fn rolls_and_recycled_segments_survive_every_stop() {
    survives((&empty_disk(), &Known::default()), options(), &[], 6, rolls);
}

/// SG-8, C9: a sync that fails, and the same process opens the log again; then any stop. What the
/// failed sync lost is not believed because a later one succeeds.
#[test]
fn after_a_failed_sync_nothing_is_believed_that_was_not_copied() {
    let sites = [
        Site::SegmentSync,
        Site::SegmentSealSync,
        Site::SegmentWrite,
        Site::PrepareSyncDir,
        Site::RecycleSyncDir,
    ];
    for site in sites {
        for nth in 0..2 {
            let fault = Fault::fail(site, nth, OsError::EIO);
            let half = Fault::fail(site, nth, OsError::EIO).with(FaultKind::FailAfterEffect);
            for fault in [fault, half] {
                survives((&empty_disk(), &Known::default()), options(), &[fault], 1, rolls);
            }
        }
    }
}

/// SG-8: a recovery whose syncs fail is done again by the next opener.
#[test]
fn a_recovery_that_fails_is_done_again() {
    let known = Told::default();
    let world = World::new(empty_disk(), seed());
    let process = world.process();
    let mut client = Client::open(&process.storage(), &options(), &known).unwrap();
    appends(&mut client).unwrap();
    process.kill();
    let unclean = world.disk();
    let sites = [
        Site::RecoverWrite,
        Site::RecoverSync,
        Site::SegmentSync,
        Site::RecoverRename,
        Site::RecoverSyncDir,
        Site::RecoverSeal,
        Site::RecoverSealSync,
        Site::RecoverTrim,
    ];
    for site in sites {
        for what in [FaultKind::Fail, FaultKind::FailAfterEffect] {
            let world = World::new(unclean.clone(), seed());
            let storage = world.process().storage();
            world.inject(Fault::fail(site, 0, OsError::EIO).with(what));
            let error = open(&storage, &options()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{site:?}: {error:?}");
            let disk = world.disk();
            let known = told(&known).clone();
            judge(&disk, &options(), &known, known.written);
            for disk in disk.power_cuts(16, seed()) {
                judge(&disk, &options(), &known, known.synced);
            }
        }
    }
}

/// SG-4: without room nothing is left behind, the log goes on where there is room, and the next
/// try succeeds once there is some.
#[test]
fn a_full_disk_costs_nothing_but_the_roll() {
    let world = World::new(empty_disk(), seed());
    let storage = world.process().storage();
    let mut client = Client::open(&storage, &options(), &Told::default()).unwrap();
    client.stage().unwrap();
    client.sync().unwrap();
    let names = world.disk().names(LOG);
    let used = world.disk().used();
    world.with_disk(|disk| disk.set_capacity(used + 8192));
    let error = client.roll().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(world.disk().names(LOG), names);
    client.stage().unwrap();
    client.sync().unwrap();
    world.with_disk(|disk| disk.set_capacity(None));
    client.roll().unwrap();
    client.stage().unwrap();
    client.close().unwrap();
    let (Opened { log, writer, .. }, _) = open(&storage, &options()).unwrap();
    let found = read_all(storage.as_ref(), &log, writer.written()).unwrap();
    assert_eq!(found, [0, 1, 2]);
}

/// SG-4: a preparation that is given up because the log is closed, before each of its calls; then
/// any stop. What is half made is removed, or swept by the next opener, and never believed.
#[test]
fn a_preparation_that_is_given_up_survives_every_stop() {
    let (start, before) = closed_log(options());
    // Two pieces.
    let larger = LogOptions { segment_bytes: 2 << 20, ..options() };
    let (judged, given_up) = (Cell::new(0_usize), Cell::new(0_usize));
    for at in [Site::PrepareFill, Site::PrepareHeader, Site::PrepareSync, Site::PrepareRename] {
        let body = |world: &World| {
            let (process, log) = (world.process(), Arc::<OnceLock<Log>>::default());
            let ending = Arc::clone(&log);
            let storage = Hooked::over(process.storage(), move |site| {
                if let Some(log) = ending.get().filter(|_| site == at) {
                    log.stop_preparing();
                }
                None
            });
            let known = Arc::new(Mutex::new(before.clone()));
            let told = Arc::clone(&known);
            let actor = Actor::new(&process, "writer", move || {
                let mut client = Client::open(&storage, &larger, &told).unwrap();
                assert!(log.set(client.log.clone()).is_ok(), "it is the first");
                client.stage().unwrap();
                client.sync().unwrap();
                let prepared = client.log.prepare(2);
                // Its name is the point of no return.
                let kind = prepared.map(drop).map_err(|error| error.kind());
                let expected =
                    if at == Site::PrepareRename { Ok(()) } else { Err(ErrorKind::Closed) };
                assert_eq!(kind, expected, "{at:?}");
                let names = storage.read_dir(Site::Test, Path::new(LOG)).unwrap();
                assert_eq!(names.len(), 1 + usize::from(kind.is_ok()), "{at:?}: {names:?}");
                client.close().unwrap();
            });
            (vec![actor], known)
        };
        let check = |state: &CrashState, known: &Told| {
            let known = told(known).clone();
            let must = if state.killed.is_some() { known.written } else { known.synced };
            judge(&state.disk, &options(), &known, must);
            let names = state.disk.names(LOG);
            let left = names.iter().filter(|name| name.contains(".tmp")).count();
            given_up.set(given_up.get() + left);
            judged.set(judged.get() + 1);
        };
        let explore = Explore::new(&start, 2, seed());
        explore.power_cuts(body, check);
        explore.kills(body, check);
    }
    eprintln!("{} states, {} with a file that was half made", judged.get(), given_up.get());
    assert!(judged.get() > 200 && given_up.get() > 10, "{judged:?}, {given_up:?}");
}

/// What two processes share: the page of positions that the next store will have.
#[derive(Debug, Default)]
struct Page {
    written: Position,
    synced: Position,
}

/// A process that takes turns under a lock: it catches up, writes a frame, syncs, hands back.
fn turns(world: &World, name: &str, page: &Arc<Mutex<Page>>, known: &Told) -> Actor {
    let process = world.process();
    let (storage, page, known) = (process.storage(), Arc::clone(page), Arc::clone(known));
    Actor::new(&process, name, move || {
        let lock = storage.open_dir(Site::LockOpen, Path::new(LOG)).unwrap();
        let mut held: Option<(Log, Cursor, u64)> = None;
        for _ in 0..3 {
            lock.lock(Site::LockAcquire, LockMode::Exclusive).unwrap();
            let (written, synced) = {
                let page = page.lock().unwrap();
                (page.written, page.synced)
            };
            let (log, mut cursor, mut next) = held.take().unwrap_or_else(|| {
                let limit = (&storage, Path::new(LOG), &options());
                let joined = Log::join(limit.0, limit.1, limit.2, written, Toy::default).unwrap();
                (joined.log, joined.cursor, joined.replay.next)
            });
            while cursor.position() < written {
                match cursor.next(written).unwrap() {
                    Some(frame) if frame.kind() >= 16 => next = frame.number() + 1,
                    Some(_) => {}
                    None => {
                        let number = cursor.position().segment() + 1;
                        cursor.go_on(&log.open_segment(number).unwrap()).unwrap();
                    }
                }
            }
            let writer = cursor.into_writer(&log, synced, &next.to_le_bytes()).unwrap();
            let mut client = Client { log, writer, next, first: 0, known: Arc::clone(&known) };
            client.stage().unwrap();
            client.write().unwrap();
            page.lock().unwrap().written = client.writer.written();
            client.sync().unwrap();
            page.lock().unwrap().synced = client.writer.synced();
            let Client { log, writer, next, .. } = client;
            held = Some((log, writer.into_cursor().unwrap(), next));
            lock.unlock(Site::LockRelease).unwrap();
        }
    })
}

/// SG-1: two processes write in turn, whoever of them is killed wherever; then the power goes.
#[test]
fn processes_that_take_turns_lose_nothing_whoever_is_killed() {
    let start = {
        let world = World::new(empty_disk(), seed());
        let storage = world.process().storage();
        let (Opened { mut writer, .. }, _) = open(&storage, &options()).unwrap();
        writer.write().unwrap();
        writer.sync().unwrap();
        (world.disk().after_power_cut(&Choice::Nothing), writer.synced())
    };
    let judged = Cell::new(0_usize);
    let body = |world: &World| {
        let page = Page { written: start.1, synced: start.1 };
        let (page, known) = (Arc::new(Mutex::new(page)), Told::default());
        let actors = vec![turns(world, "one", &page, &known), turns(world, "other", &page, &known)];
        (actors, known)
    };
    let check = |state: &CrashState, known: &Told| {
        let known = told(known).clone();
        let must = if state.killed.is_some() { known.written } else { known.synced };
        judge(&state.disk, &options(), &known, must);
        judged.set(judged.get() + 1);
    };
    for seed in [seed(), seed() + 1] {
        let explore = Explore::new(&start.0, 2, seed);
        explore.kills(body, check);
        explore.power_cuts(body, check);
    }
    eprintln!("{} states", judged.get());
    assert!(judged.get() > 200, "{judged:?}");
}

/// SG-7: a segment that somebody reads is not recycled, and the reader keeps reading it; without a
/// reader it becomes a spare.
#[test]
fn a_segment_that_is_read_elsewhere_is_not_recycled() {
    let world = World::new(empty_disk(), seed());
    let (own, other) = (world.process().storage(), world.process().storage());
    let known = Told::default();
    let mut client = Client::open(&own, &options(), &known).unwrap();
    client.stage().unwrap();
    client.roll().unwrap();
    client.stage().unwrap();
    client.roll().unwrap();
    client.stage().unwrap();
    client.sync().unwrap();
    let limit = Some(client.writer.synced());
    let reader = Log::inspect(&other, Path::new(LOG), &options(), limit, Toy::default).unwrap();
    assert_eq!(reader.replay.next, 3);
    let first = reader.log.open_segment(1).unwrap();
    client.remove().unwrap();
    let spares = || {
        let names = world.disk().names(LOG);
        names.iter().filter(|name| name.contains(".spare")).count()
    };
    assert_eq!(spares(), 1, "the second one is recycled, the first one is not");
    let link = first.read_frame(4096).unwrap();
    let reach = Reach { limit: first.frames_end(), ahead: 0 };
    let offset = Window::default().next_offset(&first, link.end().offset(), reach).unwrap();
    assert_eq!(first.read_frame(offset).unwrap().number(), 0);
    assert_eq!(reader.log.open_segment(2).unwrap_err().kind(), ErrorKind::Expired);
    let found = read_all(own.as_ref(), &client.log, client.writer.written()).unwrap();
    is_a_prefix(&found, 3, &told(&known), 3);
    // The spare lives again, and says so.
    client.roll().unwrap();
    assert_eq!(spares(), 0);
    drop(own.open(Site::Test, client.writer.segment().path(), Open::READ).unwrap());
}

/// A reader that was slow to open a segment which the log is past does not keep it open: who lets
/// go of it last closes it, and its file can be used again.
#[test]
fn a_segment_that_a_reader_is_past_is_kept_open_by_nobody() {
    let world = World::new(empty_disk(), seed());
    let (own, other) = (world.process().storage(), world.process().storage());
    let known = Told::default();
    let mut client = Client::open(&own, &options(), &known).unwrap();
    for _ in 0..2 {
        client.stage().unwrap();
        client.roll().unwrap();
    }
    client.stage().unwrap();
    client.sync().unwrap();
    let limit = Some(client.writer.synced());
    let reader = Log::inspect(&other, Path::new(LOG), &options(), limit, Toy::default).unwrap();
    drop(reader.log.open_segment(1).unwrap());
    reader.log.close_before(3);
    drop(reader.log.open_segment(2).unwrap());
    client.remove().unwrap();
    let names = world.disk().names(LOG);
    assert_eq!(names.iter().filter(|name| name.contains(".spare")).count(), 2, "{names:?}");
}
