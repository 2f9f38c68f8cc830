//! A writer: a process that puts and deletes, with several operations in flight, until it is
//! killed, and tells the observer what it is about to do and what it hears.

use std::convert::Infallible;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tidemark_core::checkpoint::{
    Bug, Checkpoint, Condition, DeleteOutcome, JsonFileOptions, Op, Outcome, ResumeKey, Store,
};
use tidemark_core::group_commit::{Enqueued, Settled, Sink, Ticket};
use tidemark_core::{Error, Result, Storage};

use super::kill_support::{Journal, Random};
use super::phase::{Aim, Phase, Phases};
use super::plan::{Wish, Work};
use super::support::{Hooked, Process};

/// Operations that a writer has under way at once, so that groups form.
const IN_FLIGHT: usize = 6;

/// What the observer tells a writer to be.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) state: PathBuf,
    pub(crate) note: PathBuf,
    pub(crate) writer: usize,
    pub(crate) seed: u64,
    /// Its first operation: earlier lives had the ones before.
    pub(crate) op: u64,
    /// The sequence where the earlier lives of this wave stopped.
    pub(crate) sequence: u64,
    pub(crate) step: u64,
    pub(crate) aim: Option<Aim>,
    pub(crate) bug: Option<Bug>,
}

impl Orders {
    /// As command line arguments.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let mut args = vec![path(&self.state), path(&self.note)];
        let writer = self.writer as u64;
        args.extend([writer, self.seed, self.op, self.sequence, self.step].map(|n| n.to_string()));
        args.extend(Aim::to_args(self.aim));
        args.push(format!("{:?}", self.bug));
        args
    }

    /// From command line arguments.
    pub(crate) fn from_args(args: &[String]) -> Self {
        let number = |index: usize| -> u64 { args[index].parse().expect("a number") };
        let bugs = [Bug::NoLock, Bug::AcknowledgeBeforeSync, Bug::InPlace];
        Self {
            state: PathBuf::from(&args[0]),
            note: PathBuf::from(&args[1]),
            writer: usize::try_from(number(2)).expect("a small number"),
            seed: number(3),
            op: number(4),
            sequence: number(5),
            step: number(6),
            aim: Aim::from_args(&args[7], &args[8]),
            bug: bugs.into_iter().find(|bug| format!("{:?}", Some(bug)) == args[9]),
        }
    }
}

/// The key of a name, in the file.
pub(crate) fn resume_key(name: &str) -> ResumeKey {
    ResumeKey::named(name).expect("the name is short")
}

/// Is a writer. One that cannot go on says so before it ends.
pub(crate) fn start(args: &[String]) -> ExitCode {
    let orders = Orders::from_args(args);
    let why = match catch_unwind(|| run(&orders)) {
        Ok(Err(error)) => complaint(&error),
        Err(_told_on_standard_error) => "- it panicked".to_owned(),
    };
    let writer = orders.writer;
    Journal::of_this_process(writer).tell(&format!("err {writer} - {why}"));
    ExitCode::FAILURE
}

/// Works until it is killed.
fn run(orders: &Orders) -> Result<Infallible> {
    let journal = Journal::of_this_process(orders.writer);
    let phases = Arc::new(Phases::new(&orders.note, orders.aim, journal.clone()));
    let before_each_call = Arc::clone(&phases);
    let storage = Hooked::storage(move |site| {
        before_each_call.reach(site);
        None
    });
    let store = Target::open(orders, storage)?;
    let (answered, answers) = channel();
    let teller = Teller { journal: journal.clone(), phases, answered };
    let sink: Arc<dyn Sink<Outcome>> = Arc::new(teller);
    let random = Random::new(orders.seed);
    let Orders { writer, sequence, step, .. } = *orders;
    let mut work = Work { writer, random, sequence, step };
    for (under_way, ticket) in (orders.op..).enumerate() {
        if under_way >= IN_FLIGHT {
            answers.recv().expect("the sink is there");
        }
        let (line, op) = ask(writer, ticket, work.next());
        journal.tell(&line);
        assert_eq!(store.enqueue(op, ticket, &sink)?, Enqueued::Accepted);
    }
    unreachable!("nobody does that many operations")
}

/// The line of an operation, and the operation. Its event id tells by whom and which it is.
fn ask(writer: usize, ticket: Ticket, wish: Wish) -> (String, Op) {
    match wish {
        Wish::Put { key, sequence } => {
            let id = format!("{writer}/{ticket}@{sequence}");
            let put = (resume_key(&key), Checkpoint::new(sequence, Some(&id)));
            (format!("try {writer} {ticket} put {key} {sequence}"), Op::Put(vec![put]))
        }
        Wish::Delete { key } => {
            let delete = (resume_key(&key), Condition::Always);
            (format!("try {writer} {ticket} delete {key}"), Op::Delete(vec![delete]))
        }
    }
}

/// Tells each result as it comes, on the store's own thread.
struct Teller {
    journal: Journal,
    phases: Arc<Phases>,
    answered: Sender<()>,
}

impl Sink<Outcome> for Teller {
    fn deliver(&self, settled: Vec<Settled<Outcome>>) {
        self.phases.rest_after(Phase::Releasing);
        for Settled { ticket, result } in settled {
            let writer = self.journal.writer;
            let line = match result {
                Ok(outcome) => format!("ok {writer} {ticket} {}", answer(&outcome)),
                Err(error) => format!("err {writer} {ticket} {}", complaint(&error)),
            };
            self.journal.tell(&line);
            let _nobody_asks_any_more = self.answered.send(());
        }
    }
}

/// The code of an error and what it says, cut to fit into a line.
fn complaint(error: &Error) -> String {
    let text = error.to_string().replace('\n', " ");
    format!("{} {text}", error.kind().code()).chars().take(200).collect()
}

/// What the one element of an operation came to.
pub(crate) fn answer(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Put(puts) if puts[0].applied => "applied".to_owned(),
        Outcome::Put(puts) => {
            let Checkpoint { last_committed_sequence: sequence, last_event_id } = &puts[0].current;
            format!("superseded {sequence} {}", last_event_id.as_deref().unwrap_or("-"))
        }
        Outcome::Delete(deletes) => match deletes[0] {
            DeleteOutcome::Deleted => "deleted".to_owned(),
            DeleteOutcome::Absent => "absent".to_owned(),
            DeleteOutcome::Superseded => unreachable!("the delete has no condition"),
        },
    }
}

/// The store, or the parts of one in which a bug is planted.
enum Target {
    Store(Store),
    #[cfg(feature = "planted-bugs")]
    Planted(tidemark_core::group_commit::GroupCommit<Op, Outcome>),
}

impl Target {
    fn open(orders: &Orders, storage: Arc<dyn Storage>) -> Result<Self> {
        // Who waits behind a writer that is stopped waits for the observer.
        let lock_timeout = Duration::from_secs(3600);
        let options = JsonFileOptions { lock_timeout, ..JsonFileOptions::default() };
        #[cfg(feature = "planted-bugs")]
        if let Some(bug) = orders.bug {
            return Self::planted(orders, storage, options, bug);
        }
        Process::on(storage).try_open(&orders.state, options).map(Self::Store)
    }

    #[cfg(feature = "planted-bugs")]
    fn planted(
        orders: &Orders,
        storage: Arc<dyn Storage>,
        options: JsonFileOptions,
        bug: Bug,
    ) -> Result<Self> {
        use tidemark_core::checkpoint::{JsonFileParts, JsonFileStore};
        use tidemark_core::event::Events;
        use tidemark_core::group_commit::{GroupCommit, Limits};
        use tidemark_core::poison::Poison;
        let JsonFileParts { engine, reader, .. } =
            JsonFileStore::open_parts(&storage, &orders.state, options)?;
        reader.refresh()?;
        let poison = Poison::new(Events::default());
        let commit = GroupCommit::new(Limits::default(), poison, storage);
        commit.start(engine.with(bug), Arc::new(reader))?;
        Ok(Self::Planted(commit))
    }

    fn enqueue(&self, op: Op, ticket: Ticket, sink: &Arc<dyn Sink<Outcome>>) -> Result<Enqueued> {
        match self {
            Self::Store(store) => store.enqueue(op, ticket, sink).inspect(|_| store.wake()),
            #[cfg(feature = "planted-bugs")]
            Self::Planted(commit) => {
                use tidemark_core::group_commit::Request;
                let (size_bytes, deadline, wake) = (1, None, true);
                commit.enqueue(Request { op, size_bytes, deadline, ticket, sink, wake })
            }
        }
    }
}
