//! A writer: a process that opens the log, tells what it finds, and works with several operations
//! in flight until it is killed, or closes the log.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use tidemark_core::group_commit::{Enqueued, Settled, Sink, Ticket};
use tidemark_core::wal::{Bug, Records, Visibility, Wal, WalOp, WalOutcome, WalRegistry};
use tidemark_core::{Error, Result, Storage};
use tidemark_storage::Site;

use super::history::Violation;
use super::kill_support::{Journal, Random};
use super::look::{runs, state_of};
use super::model::{Asked, Outcome, State};
use super::phase::{Aim, Phase, Phases};
use super::plan::{Wish, Work, options};
use super::record::{hard_state, record};
use super::support::{Hooked, Watch};

/// Operations that a writer has under way at once, so that groups form.
const IN_FLIGHT: usize = 6;
/// The writer's name in the journal.
pub(crate) const WRITER: usize = 0;

/// What the observer tells a writer to be.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) log: PathBuf,
    pub(crate) note: PathBuf,
    /// The seed of the round, which tells the options.
    pub(crate) round: u64,
    pub(crate) seed: u64,
    /// Its first operation: earlier lives had the ones before.
    pub(crate) op: u64,
    /// After so many it closes the log; 0 for never.
    pub(crate) closes_after: u64,
    pub(crate) aim: Option<Aim>,
    pub(crate) bug: Option<Bug>,
}

impl Orders {
    /// As command line arguments.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let mut args = vec![path(&self.log), path(&self.note)];
        args.extend([self.round, self.seed, self.op, self.closes_after].map(|n| n.to_string()));
        args.extend(Aim::to_args(self.aim));
        args.push(format!("{:?}", self.bug));
        args
    }

    /// From command line arguments.
    pub(crate) fn from_args(args: &[String]) -> Self {
        let number = |index: usize| -> u64 { args[index].parse().expect("a number") };
        let bugs = [Bug::AcknowledgeBeforeWrite, Bug::PublishBeforeSync, Bug::ForgetTruncate];
        Self {
            log: PathBuf::from(&args[0]),
            note: PathBuf::from(&args[1]),
            round: number(2),
            seed: number(3),
            op: number(4),
            closes_after: number(5),
            aim: Aim::from_args(&args[6], &args[7]),
            bug: bugs.into_iter().find(|bug| format!("{:?}", Some(bug)) == args[8]),
        }
    }
}

/// Is a writer. One that cannot go on says so before it ends.
pub(crate) fn start(args: &[String]) -> ExitCode {
    let orders = Orders::from_args(args);
    let journal = Journal::of_this_process(WRITER);
    let why = match catch_unwind(|| run(&orders, &journal)) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(complaint)) => complaint,
        Err(_told_on_standard_error) => "it panicked".to_owned(),
    };
    journal.tell(&format!("err {WRITER} {why}"));
    ExitCode::FAILURE
}

/// The code of an error and what it says, cut to fit into a line.
pub(crate) fn complaint(error: &Error) -> String {
    let text = format!("{} {error}", error.kind().code()).replace('\n', " ");
    text.chars().take(300).collect()
}

fn complaint_of(violation: &Violation) -> String {
    violation.to_string().replace('\n', " ").chars().take(300).collect()
}

fn run(orders: &Orders, journal: &Journal) -> Result<(), String> {
    let phases = Arc::new(Phases::new(&orders.note, orders.aim, journal.clone()));
    let storage = Hooked::watched(Arc::new(Watched {
        phases: Arc::clone(&phases),
        journal: journal.clone(),
    }));
    let log = Target::open(orders, &storage).map_err(|error| complaint(&error))?;
    let state = log.state().map_err(|violation| complaint_of(&violation))?;
    for run in runs(state.first, state.entries.iter().copied()) {
        journal.tell(&format!("run {WRITER} {}", run.line()));
    }
    let hard = state.hard.map_or_else(|| "-".to_owned(), |op| op.to_string());
    let (first, next) = (state.first, state.next());
    journal.tell(&format!("opened {WRITER} {first} {next} {hard} {}", log.recovery()));
    phases.rest();
    let (answered, answers) = channel();
    let teller = Teller { journal: journal.clone(), phases, answered };
    let sink: Arc<dyn Sink<WalOutcome>> = Arc::new(teller);
    let mut work = Work { random: Random::new(orders.seed), state };
    let mut under_way = 0;
    for op in orders.op.. {
        if orders.closes_after > 0 && op >= orders.op + orders.closes_after {
            break;
        }
        if under_way >= IN_FLIGHT {
            answers.recv().expect("the sink is there");
            under_way -= 1;
        }
        let wish = work.next(op);
        let level = if wish.is_durable(options(orders.round).sync) { "durable" } else { "written" };
        journal.tell(&format!("try {WRITER} {op} {level} {}", wish.asked.line()));
        let enqueued = log.enqueue(operation(op, &wish), op, &sink);
        assert_eq!(enqueued.map_err(|error| complaint(&error))?, Enqueued::Accepted);
        under_way += 1;
    }
    log.close();
    journal.tell(&format!("closed {WRITER}"));
    Ok(())
}

/// What the log is asked for.
fn operation(op: u64, wish: &Wish) -> WalOp {
    let hard = |sets: bool| sets.then(|| Arc::from(hard_state(op, wish.hard_bytes)));
    match &wish.asked {
        Asked::Append { expect, hard: sets, .. } => {
            let records = (0..).zip(&wish.sizes).map(|(index, size)| record(op, index, *size));
            WalOp::Append {
                records: Arc::new(records.collect::<Records>()),
                expect: *expect,
                hard_state: sets.map(hard),
                sync: wish.sync,
            }
        }
        Asked::HardState(sets) => WalOp::SetHardState(hard(*sets)),
        Asked::Truncate(after) => WalOp::Truncate { after: *after },
        Asked::Purge(before) => WalOp::Purge { before: *before },
        Asked::Sync => WalOp::Sync,
    }
}

/// Notes the phases, and tears the write that is to be torn.
struct Watched {
    phases: Arc<Phases>,
    journal: Journal,
}

impl Watch for Watched {
    fn before(&self, site: Site) -> Option<i32> {
        if site == Site::SegmentSeal {
            self.journal.tell(&format!("rolls {WRITER}"));
        }
        self.phases.reach(site);
        None
    }

    /// All but the last bytes of the last frame, as when a process is killed in the middle.
    fn tear(&self, site: Site, bytes: &[u8]) -> Option<usize> {
        if site != Site::SegmentWrite || !self.phases.is_aimed_at(Phase::Torn) {
            return None;
        }
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        Some(used.saturating_sub(bytes.len() % 7 + usize::from(bytes[used]) % 30))
    }

    fn torn(&self, _site: Site) {
        self.phases.stop(Phase::Torn);
    }
}

/// Tells each result as it comes, on the log's own thread.
struct Teller {
    journal: Journal,
    phases: Arc<Phases>,
    answered: Sender<()>,
}

impl Sink<WalOutcome> for Teller {
    fn deliver(&self, settled: Vec<Settled<WalOutcome>>) {
        self.phases.rest();
        for Settled { ticket, result } in settled {
            let outcome = match result {
                Ok(WalOutcome::Appended { first, last }) => Outcome::Appended { first, last },
                Ok(WalOutcome::Synced(last)) => Outcome::Synced(last),
                Ok(WalOutcome::Done) => Outcome::Done,
                Err(error) if error.is_indeterminate() => {
                    self.journal.tell(&format!("err {WRITER} {}", complaint(&error)));
                    continue;
                }
                Err(error) => Outcome::Refused(error.kind().code()),
            };
            self.journal.tell(&format!("ok {WRITER} {ticket} {}", outcome.line()));
            let _nobody_asks_any_more = self.answered.send(());
        }
    }
}

/// The log, or the parts of one in which a bug is planted.
enum Target {
    Log(Wal),
    #[cfg(feature = "planted-bugs")]
    Planted {
        commit: tidemark_core::group_commit::GroupCommit<WalOp, WalOutcome>,
        state: State,
    },
}

impl Target {
    fn open(orders: &Orders, storage: &Arc<dyn Storage>) -> Result<Self> {
        #[cfg(feature = "planted-bugs")]
        if let Some(bug) = orders.bug {
            return Self::planted(orders, Arc::clone(storage), bug);
        }
        let registry = WalRegistry::default();
        let wal = Wal::open(&registry, storage, &orders.log, options(orders.round))?;
        Ok(Self::Log(wal))
    }

    #[cfg(feature = "planted-bugs")]
    fn planted(orders: &Orders, storage: Arc<dyn Storage>, bug: Bug) -> Result<Self> {
        use tidemark_core::event::Events;
        use tidemark_core::group_commit::{GroupCommit, Limits};
        use tidemark_core::poison::Poison;
        use tidemark_core::wal::WalParts;
        let parts = WalParts::open_inline(&storage, &orders.log, options(orders.round))?;
        let hard = super::look::hard(&parts.hard_state()).expect("nobody changes a hard state");
        let first = parts.ends(Visibility::Written).0;
        let mut state = State { first, hard, ..State::default() };
        for chunk in parts.entries(Visibility::Written)? {
            super::look::take(&mut state, &chunk).expect("nobody changes an entry");
        }
        let commit = GroupCommit::new(Limits::default(), Poison::new(Events::default()), storage);
        commit.start(parts.engine.with(bug), Arc::new(()))?;
        Ok(Self::Planted { commit, state })
    }

    /// What the log holds.
    fn state(&self) -> Result<State, Violation> {
        match self {
            Self::Log(wal) => state_of(wal, Visibility::Written),
            #[cfg(feature = "planted-bugs")]
            Self::Planted { state, .. } => Ok(state.clone()),
        }
    }

    /// What opening it found: whether it was closed, what was written again, what was cut off.
    fn recovery(&self) -> String {
        match self {
            Self::Log(wal) => {
                let found = wal.recovery();
                let was_closed = u8::from(found.was_closed);
                format!("{was_closed} {} {}", found.copied_bytes, found.cut_bytes)
            }
            #[cfg(feature = "planted-bugs")]
            Self::Planted { .. } => "0 0 0".to_owned(),
        }
    }

    fn enqueue(
        &self,
        op: WalOp,
        ticket: Ticket,
        sink: &Arc<dyn Sink<WalOutcome>>,
    ) -> Result<Enqueued> {
        match self {
            Self::Log(wal) => wal.enqueue(op, ticket, sink).inspect(|_| wal.wake()),
            #[cfg(feature = "planted-bugs")]
            Self::Planted { commit, .. } => {
                use tidemark_core::group_commit::Request;
                let (size_bytes, deadline, wake) = (1, None, true);
                commit.enqueue(Request { op, size_bytes, deadline, ticket, sink, wake })
            }
        }
    }

    /// Finishes what was accepted.
    fn close(&self) {
        match self {
            Self::Log(wal) => wal.close_blocking(),
            #[cfg(feature = "planted-bugs")]
            Self::Planted { commit, .. } => {
                let (told, done) = channel();
                commit.detach(move || {
                    let _nobody_waits = told.send(());
                });
                done.recv().expect("it ends");
            }
        }
    }
}
