//! A reader in another process (R-1, R-4, F-1, F-2): beside a living writer, over its death and
//! its successor, and without any writer.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_core::group_commit::{commit_inline, due_inline, finish_inline};
use tidemark_core::wal::{Follower, SyncLevel, Visibility, WalOp, WalOptions, WalParts, WalTrail};
use tidemark_core::{ErrorKind, Result};
use tidemark_sim::{Actor, Disk, Plan, Stop, World};

use super::rig::{ended, given};
use super::sim::{Desk, seen, trail};
use super::wal_support::{LOG, Model, append, append_many, hard_state, record, small};

use Visibility::{Durable, Written};

/// Everything that a follower has for now.
fn drain(follower: &Arc<Follower>) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut all = Vec::new();
    while let Some(entries) = given_now(follower)? {
        all.extend(entries.iter().map(|(lsn, data)| (lsn, data.to_vec())));
    }
    Ok(all)
}

fn given_now(follower: &Arc<Follower>) -> Result<Option<tidemark_core::wal::Entries>> {
    given(follower, false)
}

fn interval() -> WalOptions {
    let sync = SyncLevel::Interval(NonZeroU64::new(3_600_000).unwrap());
    WalOptions { sync, ..small() }
}

/// What a model holds, from an LSN on, as a follower gives it.
fn from(model: &Model, lsn: u64) -> Vec<(u64, Vec<u8>)> {
    let all = (model.first..).zip(model.entries.iter().cloned());
    all.filter(|(at, _)| *at >= lsn).collect()
}

#[test]
fn r1_a_reader_sees_what_is_published_and_no_more() {
    let mut desk = Desk::new(interval());
    let mut trail = desk.trail();
    desk.try_commit(&[append_many(1..4, 500)]);
    trail.advance().unwrap();
    assert_eq!(trail.handle.last_lsn(Written).unwrap(), 3);
    assert_eq!(trail.handle.last_lsn(Durable).unwrap(), 0, "nothing was synced");
    assert_eq!(seen(&trail, Written).unwrap(), desk.model);
    desk.commit(&[WalOp::Sync]);
    assert_eq!(trail.handle.last_lsn(Durable).unwrap(), 0, "it has not looked again");
    assert_eq!(trail.handle.read(3, 3, 1, Durable).unwrap().first, 3, "R-6: now it has");
    assert_eq!(trail.handle.last_lsn(Durable).unwrap(), 3);
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
}

#[test]
fn r1_a_reader_follows_over_rolls_truncates_and_hard_states() {
    let mut desk = Desk::small();
    let mut trail = desk.trail();
    let groups = [
        vec![append_many(1..6, 4000)],
        vec![append_many(6..11, 4000), WalOp::SetHardState(hard_state("term 1"))],
        vec![WalOp::Truncate { after: 7 }, append(80, 9000), append(90, 9000)],
        vec![WalOp::Purge { before: 5 }],
        vec![append_many(100..104, 5000)],
        vec![WalOp::SetHardState(None)],
        vec![WalOp::Purge { before: 50 }, append(50, 10)],
    ];
    for group in groups {
        desk.commit(&group);
        trail.advance().unwrap();
        assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
    }
    let (world, model) = desk.close();
    trail.advance().unwrap();
    assert_eq!(seen(&trail, Durable).unwrap(), model, "the writer is gone");
    let late = self::trail(&world);
    assert_eq!(seen(&late, Durable).unwrap(), model, "and for who comes then, all is proven");
    assert_eq!(late.handle.recovery().proven_last, Some(50));
}

/// The last group of a writer that was killed is not proven by any frame.
#[test]
fn r1_without_a_writer_only_what_is_proven_is_seen_and_recovery_says_so() {
    let mut desk = Desk::small();
    for number in 1..=3 {
        desk.commit(&[append(number, 100)]);
    }
    let (world, model) = desk.kill();
    let mut trail = self::trail(&world);
    assert_eq!(trail.handle.recovery().proven_last, Some(2));
    assert_eq!(seen(&trail, Written).unwrap().entries, model.entries[..2]);
    let desk = Desk::on(&world, small(), model);
    trail.advance().unwrap();
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model, "the next writer brings it back");
}

/// A writer that is killed or closes, and the next one, at every kind of end: the follower goes on
/// without a hole, without a repeat, and without a false conflict (R-4, F-1).
#[test]
fn r4_a_follower_goes_on_when_another_writer_takes_over() {
    let endings: [(&str, Vec<Vec<WalOp>>); 6] = [
        ("one group", vec![vec![append_many(1..4, 300)]]),
        ("several groups", (1..5).map(|number| vec![append(number, 300)]).collect()),
        ("rolls", (1..9).map(|number| vec![append(number, 5000)]).collect()),
        (
            "a truncate in the last group",
            vec![vec![append_many(1..6, 50)], vec![WalOp::Truncate { after: 3 }, append(9, 70)]],
        ),
        (
            "a truncate in the only group",
            vec![vec![append_many(1..6, 50), WalOp::Truncate { after: 3 }, append(9, 70)]],
        ),
        (
            "a purge in the last group",
            vec![vec![append_many(1..6, 50)], vec![WalOp::Purge { before: 3 }, append(9, 70)]],
        ),
    ];
    for (what, groups) in endings {
        for closes in [true, false] {
            for looks in [true, false] {
                goes_on(&format!("{what}, closes {closes}, looks {looks}"), &groups, closes, looks);
            }
        }
    }
}

fn goes_on(what: &str, groups: &[Vec<WalOp>], closes: bool, looks: bool) {
    let mut desk = Desk::small();
    for group in groups {
        // Without marks: what is due is left undone, as by a kill right after the group.
        let results = desk.try_commit(group);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    let mut trail = desk.trail();
    let next = desk.model.next();
    let follower = trail.handle.follow(desk.model.first, Durable).unwrap();
    assert_eq!(drain(&follower).unwrap(), from(&desk.model, 0), "{what}");
    let (world, model) = if closes { desk.close() } else { desk.kill() };
    if looks {
        trail.advance().unwrap();
        assert_eq!(seen(&trail, Durable).unwrap(), model, "{what}: nothing is taken back");
    }
    let mut desk = Desk::on(&world, small(), model);
    if looks {
        trail.advance().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(seen(&trail, Durable).unwrap(), desk.model, "{what}: after the take-over");
    }
    for number in 0..3 {
        desk.commit(&[append(1000 + number, 600)]);
    }
    trail.advance().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let more = drain(&follower).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(more, from(&desk.model, next), "{what}: each once, in order");
    let all = seen(&trail, Durable).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(all, desk.model, "{what}");
}

/// As above, where the dead writer had not synced: what was written is what a kill leaves.
#[test]
fn r4_who_asks_for_what_is_written_goes_on_over_a_kill() {
    let mut desk = Desk::new(interval());
    let mut trail = desk.trail();
    desk.try_commit(&[append_many(1..4, 200)]);
    desk.try_commit(&[append(4, 200)]);
    trail.advance().unwrap();
    let follower = trail.handle.follow(1, Written).unwrap();
    assert_eq!(drain(&follower).unwrap(), from(&desk.model, 0));
    let (world, model) = desk.kill();
    let mut desk = Desk::on(&world, interval(), model);
    trail.advance().unwrap();
    desk.try_commit(&[append(5, 200)]);
    trail.advance().unwrap();
    assert_eq!(drain(&follower).unwrap(), from(&desk.model, 5));
    assert_eq!(seen(&trail, Written).unwrap(), desk.model);
}

/// D21 for readers in other processes: a segment that a recovery made again under its number is
/// read from the new file, though the old one is still open here.
#[test]
fn d21_a_segment_that_a_recovery_made_again_is_read_anew() {
    let mut desk = Desk::small();
    desk.commit(&[append_many(1..4, 300)]);
    let mut trail = desk.trail();
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model, "from the file");
    let (world, model) = desk.kill();
    let mut desk = Desk::on(&world, small(), model);
    desk.commit(&[append_many(4..7, 400)]);
    desk.commit(&[append_many(7..9, 50)]);
    trail.advance().unwrap();
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
}

#[test]
fn f2_a_truncate_while_the_reader_is_behind_is_a_conflict() {
    for rolls in [false, true] {
        let mut desk = Desk::small();
        desk.commit(&[append_many(1..6, 100)]);
        let mut trail = desk.trail();
        let [read, behind] = [1, 3].map(|lsn| trail.handle.follow(lsn, Durable).unwrap());
        assert_eq!(drain(&read).unwrap().len(), 5);
        desk.commit(&[WalOp::Truncate { after: 3 }, append_many(60..65, 100)]);
        if rolls {
            for number in 70..80 {
                desk.commit(&[append(number, 6000)]);
            }
        }
        trail.advance().unwrap();
        assert_eq!(ended(&read), ErrorKind::Conflict, "it had 4 and 5, which are gone");
        assert_eq!(drain(&behind).unwrap(), from(&desk.model, 3), "it had not");
        assert_eq!(seen(&trail, Durable).unwrap(), desk.model, "the handle stays usable");
        let again = trail.handle.follow(4, Durable).unwrap();
        assert_eq!(drain(&again).unwrap(), from(&desk.model, 4));
    }
}

/// The truncate came with a writer that took over: the reader saw nothing of the change.
#[test]
fn f2_a_truncate_by_the_next_writer_is_a_conflict_too() {
    for closes in [true, false] {
        let mut desk = Desk::small();
        desk.commit(&[append_many(1..6, 100)]);
        let mut trail = desk.trail();
        let follower = trail.handle.follow(1, Durable).unwrap();
        assert_eq!(drain(&follower).unwrap().len(), 5);
        let (world, model) = if closes { desk.close() } else { desk.kill() };
        let mut desk = Desk::on(&world, small(), model);
        desk.commit(&[WalOp::Truncate { after: 2 }, append_many(30..40, 100)]);
        trail.advance().unwrap();
        assert_eq!(ended(&follower), ErrorKind::Conflict, "closes {closes}");
        assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
    }
}

#[test]
fn f2_a_purge_while_the_reader_is_behind_is_told_and_the_handle_stays_usable() {
    let mut desk = Desk::small();
    desk.commit(&[append_many(1..3, 3000)]);
    let mut trail = desk.trail();
    let follower = trail.handle.follow(1, Durable).unwrap();
    let mut ahead = 3;
    for number in 3..30 {
        desk.commit(&[append(number, 5000)]);
        ahead += 1;
        if number % 9 == 0 {
            desk.commit(&[WalOp::Purge { before: ahead - 2 }]);
        }
    }
    trail.advance().unwrap();
    let error = given(&follower, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert_eq!(error.sequence(), Some(desk.model.first), "it says what is left");
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
    let again = trail.handle.follow(desk.model.first, Durable).unwrap();
    assert_eq!(drain(&again).unwrap(), from(&desk.model, 0));
}

/// The segments with the truncate went before the reader looked again.
#[test]
fn f2_a_truncate_that_a_purge_has_removed_is_still_a_conflict() {
    let mut desk = Desk::small();
    desk.commit(&[append_many(1..11, 100)]);
    let mut trail = desk.trail();
    let [read, beginning] = [1, 1].map(|lsn| trail.handle.follow(lsn, Durable).unwrap());
    assert_eq!(drain(&read).unwrap().len(), 10);
    desk.commit(&[WalOp::Truncate { after: 3 }]);
    for number in 40..60 {
        desk.commit(&[append(number, 6000)]);
    }
    desk.commit(&[WalOp::Purge { before: 9 }]);
    let segments = desk.world.disk().names(LOG);
    assert!(!segments.contains(&"00000001.segment".to_owned()), "{segments:?}");
    trail.advance().unwrap();
    assert_eq!(ended(&read), ErrorKind::Conflict, "it had another 9 and 10");
    assert_eq!(ended(&beginning), ErrorKind::Expired);
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
}

#[test]
fn a_writer_that_gave_up_leaves_what_was_durable_to_readers() {
    let mut desk = Desk::small();
    desk.commit(&[append_many(1..4, 100)]);
    let mut trail = desk.trail();
    desk.world.inject(tidemark_sim::Fault::fail(
        tidemark_storage::Site::SegmentSync,
        0,
        tidemark_storage::OsError::EIO,
    ));
    assert!(desk.try_commit(&[append(4, 100)])[0].is_err());
    trail.advance().unwrap();
    assert_eq!(trail.handle.last_lsn(Durable).unwrap(), 3, "the durable end froze");
    assert_eq!(seen(&trail, Durable).unwrap(), desk.model);
}

/// What a reader has been given: consecutive LSNs, and what each was.
#[derive(Default)]
struct Notes {
    given: Vec<(u64, Vec<u8>)>,
}

impl Notes {
    /// Takes what the follower has, which must go on where it was (F-1).
    fn take(&mut self, follower: &Arc<Follower>) {
        for (lsn, data) in drain(follower).unwrap_or_else(|error| panic!("a false end: {error:?}"))
        {
            let next = self.given.last().map_or(1, |(last, _)| last + 1);
            assert_eq!(lsn, next, "F-1");
            assert_eq!(data, record(u32::try_from(lsn).unwrap(), size_of_record(lsn)), "LSN {lsn}");
            self.given.push((lsn, data));
        }
    }
}

fn size_of_record(lsn: u64) -> usize {
    // Of different sizes, so that blocks, rolls and single frames meet.
    usize::try_from(lsn * 977 % 5000).unwrap() + 1
}

/// A writer: opens the log, appends so many entries, one group each, and closes it or is killed.
fn writer(world: &World, count: u64, done: &Arc<AtomicBool>) -> (Actor, u32) {
    let process = world.process();
    let storage = process.storage();
    let done = Arc::clone(done);
    let actor = Actor::new(&process, "writer", move || {
        let mut parts = match WalParts::open_inline(&storage, LOG.as_ref(), small()) {
            Ok(parts) => parts,
            Err(error) => panic!("{error:?}"),
        };
        for _ in 0..count {
            let (_, lsn) = parts.ends(Written);
            let op = append(u32::try_from(lsn).unwrap(), size_of_record(lsn));
            let settled = commit_inline(&mut parts.engine, vec![op], |_, _| ()).unwrap();
            assert!(settled[0].is_ok(), "{settled:?}");
            while due_inline(&mut parts.engine) {}
        }
        finish_inline(parts.engine);
        done.store(true, Ordering::SeqCst);
    });
    (actor, process.pid())
}

/// A reader that looks until the writer is done, or so often.
fn reader(world: &World, done: &Arc<AtomicBool>) -> (Actor, Arc<std::sync::Mutex<Notes>>) {
    let process = world.process();
    let storage = process.storage();
    let (done, notes) = (Arc::clone(done), Arc::<std::sync::Mutex<Notes>>::default());
    let own = Arc::clone(&notes);
    let actor = Actor::new(&process, "reader", move || {
        let options = WalOptions { read_only: true, ..small() };
        let mut trail = WalTrail::open_inline(&storage, LOG.as_ref(), options).unwrap();
        let follower = trail.handle.follow(1, Durable).unwrap();
        for _ in 0..60 {
            let over = done.load(Ordering::SeqCst);
            trail.advance().unwrap_or_else(|error| panic!("{error:?}"));
            own.lock().unwrap().take(&follower);
            if over {
                break;
            }
        }
    });
    (actor, notes)
}

/// `SEED=` chooses the interleavings.
fn seed() -> u64 {
    std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"))
}

/// a reader looks at any time while one writer is killed at some call and the next one
/// takes over.
#[test]
fn r4_readers_at_any_moment_of_a_hand_over_see_a_growing_log() {
    println!("SEED={}", seed());
    for round in 0..60 {
        let world = World::new(Disk::new(), seed() * 1000 + round);
        let done = Arc::new(AtomicBool::new(false));
        let (first, pid) = writer(&world, 6, &done);
        let open = WalParts::open_inline(&world.process().storage(), LOG.as_ref(), small());
        finish_inline(open.unwrap().engine);
        let (looker, notes) = reader(&world, &done);
        let stop = Stop::Kill { process: pid, at_call: 20 + round * 5 };
        let plan = Plan { stop: Some(stop), ..Plan::default() };
        let report = world.run(vec![first, looker], &plan);
        assert!(report.deadlock.is_none(), "{:?}", report.deadlock);
        let left = Desk::on_any(&world);
        let given = notes.lock().unwrap().given.len();
        assert!(given <= left.model.entries.len(), "round {round}: it saw what is not there");
        let (_, model) = left.close();
        assert!(model.entries.len() <= 6);
    }
}

/// A follower that lives through three writers, of which two are killed anywhere.
#[test]
fn r4_a_follower_outlives_its_writers() {
    println!("SEED={}", seed());
    for round in 0..40 {
        let world = World::new(Disk::new(), seed() * 2000 + round);
        let mut trail = Desk::on(&world, small(), Model::default()).trail_and_kill();
        let follower = trail.handle.follow(1, Durable).unwrap();
        let mut notes = Notes::default();
        for turn in 0..3 {
            let done = Arc::new(AtomicBool::new(false));
            let (actor, pid) = writer(&world, 5, &done);
            let at_call = 30 + (round * 7 + turn * 31) % 120;
            let stop = (turn < 2).then_some(Stop::Kill { process: pid, at_call });
            let report = world.run(vec![actor], &Plan { stop, ..Plan::default() });
            assert!(report.deadlock.is_none());
            if (round + turn) % 3 != 0 {
                trail.advance().unwrap_or_else(|error| panic!("round {round}: {error:?}"));
                notes.take(&follower);
            }
        }
        let left = Desk::on_any(&world);
        trail.advance().unwrap();
        notes.take(&follower);
        assert_eq!(notes.given, from(&left.model, 1), "round {round}");
    }
}
