//! Property tests of the log against a plain vector: on the real disk with threads, and on the
//! simulated one with a kill or a power cut at a random call (C1 to C7, F-1, F-2).

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tidemark_core::ErrorKind;
use tidemark_core::wal::{Follower, Records, SyncOverride, Visibility, Wal, WalOp, WalOutcome};
use tidemark_sim::{Disk, Plan, Stop, World};
use tidemark_storage::Site;

use super::rig::{Machine, contents, given};
use super::support::{Scratch, real};
use super::wal_support::{Model, Script, found_on, record, small};

/// `SEED=` chooses the seed; without it each run has its own, which is printed.
fn config(cases: u32) -> Config {
    let mut random = [0; 8];
    real().random(Site::Test, &mut random).unwrap();
    let seed = std::env::var("SEED")
        .map_or(u64::from_le_bytes(random), |seed| seed.parse().expect("SEED is a number"));
    println!("SEED={seed}");
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}

/// A new hard state, or none any more.
#[derive(Clone, Copy, Debug)]
struct Hard(Option<u8>);

/// One step. Places are relative to the log's ends, so that they meet them.
#[derive(Clone, Debug)]
enum Step {
    /// Sizes of the records, an expectation that is off by so much, a hard state, a level.
    Append {
        sizes: Vec<usize>,
        off_by: Option<i8>,
        hard: Option<Hard>,
        sync: u8,
    },
    /// After the last LSN plus this.
    Truncate(i64),
    /// Before the first LSN plus this.
    Purge(i64),
    HardState(Option<u8>),
    Sync,
    Reopen,
    Read {
        from: u64,
        len: u64,
        bytes_max: usize,
    },
    Follow,
}

fn appends() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 0..200_usize, 3 => 200..5000_usize, 1 => 5000..9000_usize];
    let sizes = prop_oneof![
        6 => size.prop_map(|size| vec![size]),
        2 => proptest::collection::vec(0..300_usize, 1..8),
    ];
    let off_by = prop_oneof![6 => Just(None), 3 => Just(Some(0)), 1 => (-2..3_i8).prop_map(Some)];
    let hard =
        prop_oneof![8 => Just(None), 2 => any::<Option<u8>>().prop_map(|state| Some(Hard(state)))];
    (sizes, off_by, hard, 0..4_u8).prop_map(|(sizes, off_by, hard, sync)| Step::Append {
        sizes,
        off_by,
        hard,
        sync,
    })
}

fn changes() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => appends(),
        2 => (-6..2_i64).prop_map(Step::Truncate),
        2 => prop_oneof![4 => -1..6_i64, 1 => 0..40_i64].prop_map(Step::Purge),
        1 => any::<Option<u8>>().prop_map(Step::HardState),
        1 => Just(Step::Sync),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let look = prop_oneof![
        2 => Just(Step::Reopen),
        3 => (0..20_u64, 0..9_u64, 0..12_000_usize)
            .prop_map(|(from, len, bytes_max)| Step::Read { from, len, bytes_max }),
        2 => Just(Step::Follow),
    ];
    proptest::collection::vec(prop_oneof![3 => changes(), 1 => look], 0..60)
}

fn hard(byte: Option<u8>) -> Option<Arc<[u8]>> {
    byte.map(|byte| vec![byte; usize::from(byte) * 8].into())
}

/// The operation that a step is on a log like the model; nothing if it only looks.
fn operation(step: &Step, model: &Model, number: &mut u32) -> Option<WalOp> {
    let offset = |base: u64, by: i64| base.saturating_add_signed(by);
    Some(match step {
        Step::Append { sizes, off_by, hard: state, sync } => {
            let mut one = |size: &usize| {
                *number += 1;
                record(*number, *size)
            };
            let records: Records = sizes.iter().map(&mut one).collect();
            WalOp::Append {
                records: Arc::new(records),
                expect: off_by.map(|by| offset(model.next(), by.into()).max(1)),
                hard_state: state.map(|Hard(state)| hard(state)),
                sync: match sync {
                    0 => Some(SyncOverride::ImmediateAsync),
                    1 => Some(SyncOverride::Immediate),
                    _ => None,
                },
            }
        }
        Step::Truncate(by) => WalOp::Truncate { after: offset(model.next() - 1, *by) },
        Step::Purge(by) => WalOp::Purge { before: offset(model.first, *by).max(1) },
        Step::HardState(state) => WalOp::SetHardState(hard(*state)),
        Step::Sync => WalOp::Sync,
        Step::Reopen | Step::Read { .. } | Step::Follow => return None,
    })
}

/// What an operation should be refused with.
fn refusal(op: &WalOp, model: &Model) -> Option<ErrorKind> {
    match op {
        WalOp::Append { expect: Some(expect), .. } if *expect != model.next() => {
            Some(ErrorKind::Conflict)
        }
        WalOp::Truncate { after } if *after >= model.next() => Some(ErrorKind::NotFound),
        WalOp::Truncate { after } if after + 1 < model.first => Some(ErrorKind::Expired),
        _ => None,
    }
}

/// A log, its model, and a follower.
struct Run {
    model: Model,
    follower: Arc<Follower>,
    /// What the follower gets next, and whether it heard of everything since.
    at: u64,
    cut: bool,
}

impl Run {
    fn new(wal: &Wal, model: Model) -> Self {
        let at = model.first;
        let follower = wal.follow(at, Visibility::Durable).unwrap();
        Self { model, follower, at, cut: false }
    }

    fn change(&mut self, wal: &Wal, op: &WalOp) {
        let outcome = wal.call(op);
        if let Some(kind) = refusal(op, &self.model) {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.is_indeterminate()), (kind, false), "{op:?}");
            return;
        }
        let first = self.model.next();
        self.model.apply(op);
        if let WalOp::Truncate { .. } = op {
            self.cut |= self.model.next() < self.at;
        }
        let last = self.model.next() - 1;
        match outcome.unwrap() {
            WalOutcome::Appended { first: got, last: to } => assert_eq!((got, to), (first, last)),
            WalOutcome::Synced(lsn) => assert_eq!(lsn, last),
            WalOutcome::Done => {}
        }
        assert_eq!(wal.first_lsn().unwrap(), self.model.first);
        assert_eq!(wal.last_lsn(Visibility::Written).unwrap(), last);
    }

    fn read(&self, wal: &Wal, from: u64, to: u64, bytes_max: usize) {
        let model = &self.model;
        match wal.read(from, to, bytes_max, Visibility::Written) {
            Ok(entries) => {
                assert!(from >= model.first && from < model.next());
                assert!(!entries.records.is_empty(), "at least one");
                let index = usize::try_from(from - model.first).unwrap();
                let rest = &model.entries[index..];
                let found: Vec<_> = entries.records.iter().map(<[u8]>::to_vec).collect();
                assert_eq!(found, rest[..found.len()]);
                assert!(entries.first + found.len() as u64 <= to.saturating_add(1));
                assert!(found.len() == 1 || entries.records.size_bytes() <= bytes_max);
            }
            Err(error) => {
                let kind = if from == 0 || to < from {
                    ErrorKind::InvalidArgument
                } else if from < model.first {
                    ErrorKind::Expired
                } else {
                    assert!(from >= model.next(), "{error:?}");
                    ErrorKind::NotFound
                };
                assert_eq!(error.kind(), kind, "{from} to {to}");
            }
        }
    }

    /// Takes everything that the follower has, after a sync.
    fn follow(&mut self, wal: &Wal) {
        wal.call(&WalOp::Sync).unwrap();
        loop {
            match given(&self.follower, false) {
                Ok(None) => break,
                Ok(Some(entries)) => {
                    assert!(!self.cut, "F-2: it was cut");
                    assert_eq!(entries.first, self.at, "F-1");
                    let index = usize::try_from(self.at - self.model.first).unwrap();
                    let found: Vec<_> = entries.records.iter().map(<[u8]>::to_vec).collect();
                    assert_eq!(found, self.model.entries[index..index + found.len()]);
                    self.at += found.len() as u64;
                }
                Err(error) => {
                    let expired = self.at < self.model.first;
                    match error.kind() {
                        ErrorKind::Conflict => assert!(self.cut, "{error:?}"),
                        ErrorKind::Expired => assert!(expired, "{error:?}"),
                        _ => panic!("{error:?}"),
                    }
                    *self = Self::new(wal, self.model.clone());
                }
            }
        }
        assert!(!self.cut, "F-2: a cut below what was given is told");
        assert_eq!(self.at, self.model.next(), "everything was given");
    }
}

#[test]
fn a_log_on_the_real_disk_is_a_vector() {
    proptest!(config(40), |(steps in steps())| {
        let scratch = Scratch::new();
        let machine = Machine::new();
        let log = scratch.path("log");
        let mut wal = machine.open(&log);
        let mut run = Run::new(&wal, Model::default());
        let mut number = 0;
        for step in &steps {
            match step {
                Step::Reopen => {
                    wal.close_blocking();
                    wal = machine.open(&log);
                    assert!(wal.recovery().was_closed, "{:?}", wal.recovery());
                    assert_eq!(contents(&wal).unwrap(), run.model);
                    run = Run::new(&wal, run.model);
                }
                Step::Read { from, len, bytes_max } => {
                    let from = (run.model.first + from).saturating_sub(3);
                    run.read(&wal, from, from + len, *bytes_max);
                }
                Step::Follow => run.follow(&wal),
                change => {
                    let op = operation(change, &run.model, &mut number);
                    run.change(&wal, &op.expect("it is a change"));
                }
            }
        }
        run.follow(&wal);
        assert_eq!(contents(&wal).unwrap(), run.model);
        wal.close_blocking();
        assert_eq!(contents(&machine.open(&log)).unwrap(), run.model);
    });
}

/// Operations that all succeed, some of them in one group.
fn script(steps: &[(Step, bool)]) -> Script {
    let (mut model, mut number, mut groups) = (Model::default(), 0, vec![Vec::new()]);
    for (step, ends_group) in steps {
        let op = operation(step, &model, &mut number).expect("it is a change");
        if refusal(&op, &model).is_some() {
            continue;
        }
        model.apply(&op);
        groups.last_mut().unwrap().push(op);
        if *ends_group {
            groups.push(Vec::new());
        }
    }
    groups.retain(|group| !group.is_empty());
    Script::new(groups)
}

#[test]
fn what_a_stop_at_any_call_leaves_is_a_prefix_with_all_that_was_acknowledged() {
    let script_steps = proptest::collection::vec((changes(), any::<bool>()), 1..30);
    proptest!(config(40), |(steps in script_steps, at in any::<u64>(), kills in any::<bool>())| {
        let script = script(&steps);
        let run = |stop: Option<Stop>| {
            let world = World::new(Disk::new(), 1);
            let (actors, progress) = script.actor(&world);
            let plan = Plan { stop, ..Plan::default() };
            let report = world.run(actors, &plan);
            assert!(report.deadlock.is_none());
            (world, report, progress)
        };
        let (_, dry, _) = run(None);
        let at_call = at % (dry.calls + 1);
        let process = dry.trace[0].pid;
        let stop = if kills { Stop::Kill { process, at_call } } else { Stop::PowerCut { at_call } };
        let (world, _, progress) = run(Some(stop));
        let progress = progress.lock().unwrap();
        let states = script.states(&Model::default());
        let least = if kills { progress.written } else { progress.durable };
        let allowed = &states[least..=progress.begun.max(least)];
        let disks: Vec<Disk> =
            if kills { vec![world.disk()] } else { world.disk().power_cuts(8, at).collect() };
        for disk in disks {
            let found = found_on(&disk, small()).unwrap();
            prop_assert!(allowed.contains(&found), "{stop:?}: {} entries", found.entries.len());
        }
    });
}
