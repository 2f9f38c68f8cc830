//! Every call of a script of commits fails once, in every way; then the power goes, the log is
//! opened, and the power goes again.
//!
//! E-3: a write or a sync that fails is final: what was on its way is of unknown outcome, nothing
//! that was acknowledged is lost, the durable end freezes. E-4 and C10: what could not be prepared
//! is a definite error, and work goes on.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tidemark_core::event::Event;
use tidemark_core::group_commit::{commit_inline, due_inline, finish_inline};
use tidemark_core::wal::{Visibility, WalOp, WalParts};
use tidemark_core::{Error, ErrorKind};
use tidemark_sim::{Disk, Fault, FaultKind, World};
use tidemark_storage::{OsError, Site};

use super::rig::Watcher;
use super::wal_support::{LOG, Model, append, append_many, found_on, hard_state, small};

/// Disks that are looked at after each fault.
const CUTS: usize = 3;
/// Calls of each site that fail, spread over its calls. `TORTURE=n` takes n times as many.
const CALLS_MAX: u64 = 3;

/// Commits over rolls, with every kind of operation.
fn script() -> Vec<Vec<WalOp>> {
    vec![
        vec![append(1, 5000), append(2, 3000)],
        vec![append(3, 9000)],
        vec![WalOp::SetHardState(hard_state("term 1")), append(4, 6000)],
        vec![append(5, 9000)],
        vec![WalOp::Truncate { after: 4 }, append(50, 2000)],
        vec![WalOp::Purge { before: 4 }],
        vec![append_many(60..63, 3000)],
        vec![append(70, 9000), WalOp::Purge { before: 7 }],
        vec![append(80, 9000)],
    ]
}

/// Which states the log may be found in: each operation that is in doubt may have been done or
/// not, but of those in one group only a prefix.
struct Judge {
    states: Vec<Model>,
}

impl Judge {
    fn new() -> Self {
        Self { states: vec![Model::default()] }
    }

    fn model(&self) -> &Model {
        &self.states[0]
    }

    fn acknowledged(&mut self, op: &WalOp) {
        assert_eq!(self.states.len(), 1, "nothing succeeds after what is in doubt");
        self.states[0].apply(op);
    }

    fn in_doubt(&mut self, op: &WalOp) {
        let mut next = self.states.last().cloned().unwrap();
        next.apply(op);
        self.states.push(next);
    }

    fn allows(&self, found: &Model, what: &dyn std::fmt::Display) {
        let stands = self.states.contains(found);
        let (entries, first) = (found.entries.len(), found.first);
        assert!(stands, "{what}: {entries} entries from {first}, {} states", self.states.len());
    }
}

/// What a run with a fault came to.
struct Outcome {
    world: World,
    judge: Judge,
    watcher: Watcher,
    poisoned: bool,
    refused: usize,
}

/// Runs the script, and goes on after a definite refusal.
fn run(fault: Option<Fault>) -> Outcome {
    let world = World::new(Disk::new(), 1);
    let storage = world.process().storage();
    if let Some(fault) = fault {
        world.inject(fault);
    }
    let (judge, watcher) = (Judge::new(), Watcher::new());
    let mut outcome = Outcome { world, judge, watcher, poisoned: false, refused: 0 };
    let open = || WalParts::open_inline(&storage, Path::new(LOG), small());
    let mut parts = match open() {
        Ok(parts) => parts,
        // Opening failed; nothing is lost, and the next one succeeds.
        Err(error) => {
            check_io(&error, fault);
            outcome.refused += 1;
            open().unwrap_or_else(|error| panic!("{fault:?}: opened again: {error:?}"))
        }
    };
    parts.subscribe(&outcome.watcher.ears);
    for group in script() {
        outcome.commit(&mut parts, &group, fault);
    }
    if outcome.poisoned {
        let durable = parts.ends(Visibility::Durable).1;
        assert!(durable <= outcome.judge.model().next(), "{fault:?}: the durable end froze");
    } else {
        assert_eq!(&Model::of(&parts).unwrap(), outcome.judge.model(), "{fault:?}");
    }
    finish_inline(parts.engine);
    outcome
}

impl Outcome {
    fn commit(&mut self, parts: &mut WalParts, group: &[WalOp], fault: Option<Fault>) {
        // A truncate that follows a refused append may be beyond the end.
        let fits = |op: &WalOp, model: &Model| match op {
            WalOp::Truncate { after } => (model.first - 1..model.next()).contains(after),
            _ => true,
        };
        let mut model = self.judge.model().clone();
        let mut fitting = Vec::new();
        for op in group {
            if fits(op, &model) {
                model.apply(op);
                fitting.push(op.clone());
            }
        }
        let results = commit_inline(&mut parts.engine, fitting.clone(), |_, _| ()).unwrap();
        for (op, result) in fitting.iter().zip(results) {
            match result {
                Ok(_) => {
                    assert!(!self.poisoned, "{fault:?}: nothing succeeds any more");
                    self.judge.acknowledged(op);
                }
                Err(error) if error.is_indeterminate() => {
                    check_io(&error, fault);
                    self.poisoned = true;
                    self.judge.in_doubt(op);
                }
                Err(error) if error.kind() == ErrorKind::Poisoned => {
                    assert!(self.poisoned, "{fault:?}: {error:?}");
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Expired) => {
                    assert!(self.refused > 0, "{fault:?}: {error:?}");
                }
                Err(error) => {
                    check_io(&error, fault);
                    self.refused += 1;
                }
            }
        }
        for _ in 0..20 {
            if !due_inline(&mut parts.engine) {
                // The mark after a purge is nobody's operation; whoever listens hears of it.
                let told = self.watcher.told();
                self.poisoned |= told.iter().any(|event| matches!(event, Event::Poisoned { .. }));
                return;
            }
        }
        panic!("{fault:?}: something is due for ever");
    }

    /// The power goes; what is found is allowed. It goes again after a recovery.
    fn survives(&self, what: &dyn std::fmt::Debug) {
        for (choice, disk) in self.world.disk().crashes(CUTS, 1) {
            let found = found_on(&disk, small())
                .unwrap_or_else(|error| panic!("{what:?}, {choice}: {error:?}"));
            self.judge.allows(&found, &format_args!("{what:?}, {choice}"));
        }
        // The cache stays, with pages that are marked clean and are not on the medium: what the
        // next opening shows has to be on the medium.
        let mut kept = World::new(self.world.disk(), 3);
        let parts = open_on(&mut kept, what);
        let found = Model::of(&parts).unwrap();
        self.judge.allows(&found, &format_args!("{what:?}, opened in the same cache"));
        for (choice, disk) in kept.disk().crashes(CUTS, 5) {
            let again = found_on(&disk, small())
                .unwrap_or_else(|error| panic!("{what:?}, second {choice}: {error:?}"));
            assert_eq!(again, found, "{what:?}, second {choice}: shown, and then lost");
        }
        drop(parts);
    }
}

fn open_on(world: &mut World, what: &dyn std::fmt::Debug) -> WalParts {
    WalParts::open_inline(&world.process().storage(), Path::new(LOG), small())
        .unwrap_or_else(|error| panic!("{what:?}: opened again: {error:?}"))
}

/// A fault is told by its code and errno.
fn check_io(error: &Error, fault: Option<Fault>) {
    let Some(fault) = fault else { panic!("nothing fails here: {error:?}") };
    if error.os_error().is_none() {
        // Randomness has no path, and no device that could be full.
        let random = [Site::TempName, Site::SegmentRandom, Site::StateOpen];
        assert!(random.contains(&fault.site), "{fault:?}: {error:?}");
        return;
    }
    let kind = if fault.errno == OsError::ENOSPC { ErrorKind::NoSpace } else { ErrorKind::Io };
    assert!(matches!(error.kind(), found if found == kind), "{fault:?}: {error:?}");
    assert_eq!(error.os_error().map(|os| os.errno), Some(fault.errno), "{fault:?}: {error:?}");
}

/// The sites that are called in a run without a fault, and how often.
fn calls() -> Vec<(Site, u64)> {
    let dry = run(None);
    assert!(!dry.poisoned && dry.refused == 0);
    let counts = Site::ALL.iter().map(|site| (*site, dry.world.count(*site)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// The first, the last and some calls between.
fn spread(calls: u64) -> impl Iterator<Item = u64> {
    let torture = std::env::var("TORTURE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let count = calls.min(CALLS_MAX * torture);
    (0..count).map(move |index| if count == 1 { 0 } else { index * (calls - 1) / (count - 1) })
}

/// Fails calls of each site in this way. Returns the sites at which that poisoned and at which
/// something was refused.
fn fail_each_call(errno: i32, what: FaultKind) -> [BTreeSet<Site>; 2] {
    let [mut poisoned, mut refused] = [BTreeSet::new(), BTreeSet::new()];
    let mut count = 0;
    for (site, calls) in calls() {
        for nth in spread(calls) {
            let fault = Fault::fail(site, nth, errno).with(what);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let outcome = run(Some(fault));
                outcome.survives(&fault);
                outcome
            }));
            let Ok(outcome) = outcome else { panic!("{fault:?}") };
            if outcome.poisoned {
                poisoned.insert(site);
            }
            if outcome.refused > 0 {
                refused.insert(site);
            }
            count += 1;
        }
    }
    println!("{count} faults");
    assert!(count > 60, "{count} faults");
    [poisoned, refused]
}

#[test]
fn e3_each_call_may_fail_and_nothing_acknowledged_is_lost() {
    let [poisoned, refused] = fail_each_call(OsError::EIO, FaultKind::Fail);
    for site in [Site::SegmentWrite, Site::SegmentSync, Site::SegmentSeal, Site::SegmentSealSync] {
        assert!(poisoned.contains(&site), "{site:?}: {poisoned:?}");
    }
    for site in [Site::PrepareHeader, Site::PrepareSync, Site::PrepareSyncDir] {
        assert!(!poisoned.contains(&site), "{site:?} prepares only");
    }
    assert!(refused.contains(&Site::LockOpen), "{refused:?}");
}

#[test]
fn c10_a_full_disk_at_each_call_loses_nothing() {
    let [poisoned, _] = fail_each_call(OsError::ENOSPC, FaultKind::Fail);
    for site in [Site::PrepareFill, Site::PrepareHeader, Site::PrepareRename] {
        assert!(!poisoned.contains(&site), "{site:?} prepares only");
    }
}

#[test]
fn e3_each_call_may_have_been_done_although_it_failed() {
    fail_each_call(OsError::EIO, FaultKind::FailAfterEffect);
}

#[test]
fn e3_a_short_write_is_gone_on_with() {
    for bytes in [1, 512, 4095] {
        for (site, calls) in calls() {
            for nth in spread(calls) {
                let fault = Fault::fail(site, nth, OsError::EIO).with(FaultKind::ShortWrite(bytes));
                if !matches!(
                    site,
                    Site::SegmentWrite | Site::SegmentSeal | Site::PrepareHeader | Site::StateOpen
                ) {
                    continue;
                }
                let outcome = run(Some(fault));
                outcome.survives(&fault);
            }
        }
    }
}

/// C10: a disk that stays full refuses what does not fit, tells so, and work goes on when there is
/// room; what a purge gives back is room.
#[test]
fn c10_a_purge_makes_room_on_a_full_disk() {
    let mut desk = super::sim::Desk::small();
    for number in 1..=3 {
        desk.commit(&[append(number, 9000)]);
    }
    let used = desk.world.disk().used();
    desk.world.with_disk(|disk| disk.set_capacity(used));
    while desk.try_commit(&[append(9, 3000)])[0].is_ok() {}
    let last = desk.model.next() - 1;
    desk.commit(&[WalOp::Purge { before: last }]);
    desk.commit(&[append(10, 9000)]);
    desk.world.with_disk(|disk| disk.set_capacity(None));
    desk.survives_a_power_cut(small(), "after a purge");
}

/// E-5: purge after purge on a full disk ends in a definite refusal, and nothing is due for ever
/// when the reserve is used up.
#[test]
fn e5_the_reserve_ends_in_a_refusal_and_not_in_a_busy_loop() {
    let mut desk = super::sim::Desk::small();
    for number in 1..=200 {
        desk.commit(&[append(number, 1)]);
    }
    while desk.try_commit(&[append(9, 500)])[0].is_ok() {
        let used = desk.world.disk().used();
        desk.world.with_disk(|disk| disk.set_capacity(used));
    }
    let mut refused = None;
    for before in 2..=200 {
        let result = desk.try_commit(&[WalOp::Purge { before }]).remove(0);
        desk.settle();
        if let Err(error) = result {
            refused = Some(error);
            break;
        }
    }
    let error = refused.expect("the reserve has an end");
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::NoSpace, false));
    assert_eq!(desk.found(), desk.model);
    desk.world.with_disk(|disk| disk.set_capacity(None));
    desk.commit(&[WalOp::Purge { before: 199 }, append(1, 100)]);
    desk.survives_a_power_cut(small(), "after there was room");
}

/// E-3: what helps after a write or a sync for which there was no room is not to try again, and the
/// error says so; where nothing was appended it is.
#[test]
fn an_error_for_want_of_room_says_what_helps() {
    let sites = [Site::SegmentWrite, Site::SegmentSync, Site::SegmentSeal, Site::SegmentSealSync];
    for site in sites {
        let mut desk = super::sim::Desk::small();
        desk.commit(&[append(1, 9000)]);
        desk.world.inject(Fault::fail(site, 0, OsError::ENOSPC));
        // It rolls first.
        let error = desk.try_commit(&[append(2, 9000)]).remove(0).unwrap_err();
        assert_eq!(
            (error.kind(), error.is_indeterminate()),
            (ErrorKind::NoSpace, true),
            "{site:?}"
        );
        let message = error.message();
        assert!(message.ends_with("free some space, then close it and open it again"), "{message}");
        assert!(!message.contains("try again"), "{message}");
        let later = desk.try_commit(&[append(4, 10)]).remove(0).unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Poisoned, "{site:?}: it did not help to try again");
        let (world, model) = desk.kill();
        let process = world.process();
        let parts = WalParts::open_inline(&process.storage(), Path::new(LOG), small()).unwrap();
        let found = Model::of(&parts).unwrap();
        assert!(found.entries.starts_with(&model.entries), "{site:?}: it helped to open it again");
    }
    let mut desk = super::sim::Desk::small();
    desk.commit(&[append(1, 9000)]);
    desk.world.inject(Fault::fail(Site::PrepareFill, 0, OsError::ENOSPC));
    desk.world.inject(Fault::fail(Site::PrepareFill, 1, OsError::ENOSPC));
    let results = desk.try_commit(&[append(2, 9000), append(3, 9000), append(4, 9000)]);
    let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for error in refused {
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::NoSpace, false));
        assert!(error.message().ends_with("free some space and try again"), "{error:?}");
    }
    desk.commit(&[append(5, 9000)]);
}
