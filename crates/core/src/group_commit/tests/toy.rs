//! An engine that tells each of its steps and waits to be told how each commit ends.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemark_storage::{RealStorage, Storage};

use super::super::{
    DirectEngine, Engine, Enqueued, GroupCommit, Limits, LockWait, Outbox, Pending, Receipt,
    Request, Settled, Sink, Ticket,
};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::poison::Poison;

/// Long enough that only a hang takes it; nothing is decided by it.
pub(super) const HANG: Duration = Duration::from_secs(60);
/// What each operation counts for.
pub(super) const OP_BYTES: usize = 10;

/// An operation of the toy: its output is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Toy {
    pub(super) number: u32,
    /// What must be acquired for it.
    pub(super) claim: char,
    /// Whether its result waits for a timer: a "durable" beside those that are "written".
    pub(super) late: bool,
}

impl From<u32> for Toy {
    fn from(number: u32) -> Self {
        Self { number, claim: 'a', late: false }
    }
}

/// What the engine tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Acquire(char),
    Commit(Vec<u32>),
    Release,
    Due,
    Finish,
    Dropped,
}

/// How a commit ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// Everything succeeds.
    Settle,
    /// So many succeed; then the engine panics.
    PanicAfter(usize),
    /// Receipts are dropped without a word.
    Forget,
    /// The outcome is unknown: the store is poisoned.
    Poison,
    /// So many succeed; the lock does not count any more for the rest.
    GiveBackAfter(usize),
}

/// What the engine waits for; without a gate it does not wait.
#[derive(Default)]
pub(super) struct Gates {
    acquire: Option<Receiver<Result<()>>>,
    commit: Option<Receiver<Verdict>>,
    /// What the engine waits for before it is gone.
    drop: Option<Receiver<()>>,
    /// How long a late result takes.
    delay: Duration,
}

pub(super) struct ToyEngine {
    steps: Sender<Step>,
    gates: Gates,
    poison: Poison,
    storage: Arc<dyn Storage>,
    late: Vec<(u32, Receipt<u32>)>,
    due: Option<Duration>,
}

impl ToyEngine {
    fn tell(&self, step: Step) {
        // A test that has seen enough is gone.
        let _nobody_listens = self.steps.send(step);
    }

    /// Tells that a commit begins, and waits to be told how it ends.
    fn begin(&self, numbers: Vec<u32>) -> Verdict {
        self.tell(Step::Commit(numbers));
        let Some(gate) = &self.gates.commit else { return Verdict::Settle };
        gate.recv().unwrap_or(Verdict::Settle)
    }

    /// The outcome is unknown.
    fn fail(&self) -> Error {
        let error = Error::new(ErrorKind::Io, "a sync failed").indeterminate();
        self.poison.set(&error);
        error
    }

    fn settle_late(&mut self, outbox: &mut Outbox<u32>) {
        self.due = None;
        for (number, receipt) in self.late.drain(..) {
            outbox.settle(receipt, Ok(number));
        }
    }
}

impl DirectEngine for ToyEngine {
    fn commit_one(&mut self, op: &Toy) -> Result<u32> {
        match self.begin(vec![op.number]) {
            Verdict::PanicAfter(0) | Verdict::Forget => panic!("the toy was told to"),
            Verdict::Poison => Err(self.fail()),
            _ => {
                self.due = op.late.then(|| self.storage.monotonic() + self.gates.delay);
                Ok(op.number)
            }
        }
    }
}

impl Drop for ToyEngine {
    fn drop(&mut self) {
        if let Some(gate) = &self.gates.drop {
            // A test that has failed is gone.
            let _let_go = gate.recv();
        }
        self.tell(Step::Dropped);
    }
}

impl Engine for ToyEngine {
    type Op = Toy;
    type Output = u32;
    type Claim = char;

    fn claim(op: &Toy) -> char {
        op.claim
    }

    fn acquire(&mut self, claim: char, wait: &LockWait) -> Result<()> {
        let Some(gate) = &self.gates.acquire else {
            self.tell(Step::Acquire(claim));
            return Ok(());
        };
        let late = || Error::new(ErrorKind::LockTimeout, "somebody else has it");
        wait.during(late, || {
            // Told inside: who hears it knows that the wait has begun.
            self.tell(Step::Acquire(claim));
            gate.recv().unwrap_or_else(|_| Err(Error::closed()))
        })?
    }

    fn commit(
        &mut self,
        mut group: Vec<Pending<Toy, u32>>,
        outbox: &mut Outbox<u32>,
    ) -> Vec<Pending<Toy, u32>> {
        let verdict = self.begin(group.iter().map(|pending| pending.op.number).collect());
        let begun = match verdict {
            Verdict::GiveBackAfter(count) => count,
            _ => group.len(),
        };
        let rest = group.split_off(begun);
        for (index, Pending { op, receipt, .. }) in group.into_iter().enumerate() {
            match verdict {
                Verdict::PanicAfter(count) if index >= count => panic!("the toy was told to"),
                Verdict::Forget => drop(receipt),
                Verdict::Poison => outbox.settle(receipt, Err(self.fail())),
                _ if op.late => {
                    self.due = Some(self.storage.monotonic() + self.gates.delay);
                    self.late.push((op.number, receipt));
                }
                _ => outbox.settle(receipt, Ok(op.number)),
            }
        }
        rest
    }

    fn release(&mut self) {
        self.tell(Step::Release);
    }

    fn due(&self) -> Option<Duration> {
        self.due
    }

    fn on_due(&mut self, outbox: &mut Outbox<u32>) {
        self.tell(Step::Due);
        self.settle_late(outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox<u32>) {
        self.tell(Step::Finish);
        self.settle_late(outbox);
    }
}

/// A running commit path and the test's end of its channels.
pub(super) struct Rig {
    pub(super) commit: Arc<GroupCommit<Toy, u32>>,
    pub(super) poison: Poison,
    pub(super) storage: Arc<dyn Storage>,
    /// Decides how waits for the lock end.
    pub(super) acquire: Sender<Result<()>>,
    /// Decides how commits end.
    pub(super) verdict: Sender<Verdict>,
    /// Lets the engine go.
    pub(super) let_go: Sender<()>,
    steps: Mutex<Receiver<Step>>,
}

/// Which of the gates are shut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gated {
    Nothing,
    Acquire,
    Commit,
    /// Commits, and the end of the engine.
    CommitAndDrop,
}

impl Rig {
    pub(super) fn new(gated: Gated) -> Self {
        Self::with(gated, Limits::default(), Duration::ZERO)
    }

    /// Whose blocking calls commit on their own threads where they can.
    pub(super) fn direct(gated: Gated, delay: Duration) -> Self {
        Self::start(gated, Limits::default(), delay, true)
    }

    /// The same with room for so many bytes.
    pub(super) fn direct_with_room(in_flight_bytes_max: usize) -> Self {
        let limits = Limits { in_flight_bytes_max, ..Limits::default() };
        Self::start(Gated::Nothing, limits, Duration::ZERO, true)
    }

    pub(super) fn with(gated: Gated, limits: Limits, delay: Duration) -> Self {
        Self::start(gated, limits, delay, false)
    }

    fn start(gated: Gated, limits: Limits, delay: Duration, direct: bool) -> Self {
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        let poison = Poison::new(Events::default());
        let commit = GroupCommit::new(limits, poison.clone(), Arc::clone(&storage));
        let (tell, steps) = channel();
        let (acquire, acquire_gate) = channel();
        let (verdict, commit_gate) = channel();
        let (let_go, drop_gate) = channel();
        let commits = [Gated::Commit, Gated::CommitAndDrop].contains(&gated);
        let closed = Gates {
            acquire: (gated == Gated::Acquire).then_some(acquire_gate),
            commit: commits.then_some(commit_gate),
            drop: (gated == Gated::CommitAndDrop).then_some(drop_gate),
            delay,
        };
        let engine = ToyEngine {
            steps: tell,
            gates: closed,
            poison: poison.clone(),
            storage: Arc::clone(&storage),
            late: Vec::new(),
            due: None,
        };
        if direct {
            commit.start_direct(engine, Arc::new(())).unwrap();
        } else {
            commit.start(engine, Arc::new(())).unwrap();
        }
        Self {
            commit: Arc::new(commit),
            poison,
            storage,
            acquire,
            verdict,
            let_go,
            steps: Mutex::new(steps),
        }
    }

    /// The engine's next step.
    pub(super) fn step(&self) -> Step {
        self.steps.lock().unwrap().recv_timeout(HANG).expect("the engine takes a step")
    }

    /// Waits for a step, skipping others.
    pub(super) fn step_until(&self, wanted: &Step) {
        while self.step() != *wanted {}
    }

    /// Every step that is left, once the engine is gone.
    pub(super) fn steps_to_the_end(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        while steps.last() != Some(&Step::Dropped) {
            steps.push(self.step());
        }
        steps
    }

    /// Enqueues under the operation's own number, and tells what became of that.
    pub(super) fn try_send(
        &self,
        op: impl Into<Toy>,
        within: Option<Duration>,
        mailbox: &Mailbox,
    ) -> Result<Enqueued> {
        let op = op.into();
        self.commit.enqueue(Request {
            op,
            size_bytes: OP_BYTES,
            deadline: within.map(|within| self.storage.monotonic() + within),
            ticket: Ticket::from(op.number),
            sink: &mailbox.sink,
            wake: true,
        })
    }

    /// Enqueues what must be accepted, without waking the commit thread.
    pub(super) fn send_quietly(&self, op: impl Into<Toy>, mailbox: &Mailbox) {
        let op = op.into();
        let ticket = Ticket::from(op.number);
        let (size_bytes, sink) = (OP_BYTES, &mailbox.sink);
        let request = Request { op, size_bytes, deadline: None, ticket, sink, wake: false };
        assert_eq!(self.commit.enqueue(request).unwrap(), Enqueued::Accepted);
    }

    /// Enqueues what must be accepted.
    pub(super) fn send(&self, op: impl Into<Toy>, mailbox: &Mailbox) {
        assert_eq!(self.try_send(op, None, mailbox).unwrap(), Enqueued::Accepted);
    }

    /// Brings the commit thread into the commit of operation 0 and fills the queue behind it.
    pub(super) fn queue_behind_a_commit(
        &self,
        ops: impl IntoIterator<Item = impl Into<Toy>>,
        mailbox: &Mailbox,
    ) {
        self.send(0, mailbox);
        self.step_until(&Step::Commit(vec![0]));
        for op in ops {
            self.send(op, mailbox);
        }
    }
}

/// What a sink hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// One delivery: tickets, and the output or the kind of the error.
    Results(Vec<(Ticket, std::result::Result<u32, ErrorKind>)>),
    Credit,
}

struct Post(Sender<Heard>);

impl Sink<u32> for Post {
    fn deliver(&self, settled: Vec<Settled<u32>>) {
        let results = settled.into_iter().map(|one| (one.ticket, one.result.map_err(|e| e.kind())));
        let _nobody_listens = self.0.send(Heard::Results(results.collect()));
    }

    fn credit(&self) {
        let _nobody_listens = self.0.send(Heard::Credit);
    }
}

/// A sink and what it heard.
pub(super) struct Mailbox {
    pub(super) sink: Arc<dyn Sink<u32>>,
    heard: Receiver<Heard>,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let (post, heard) = channel();
        Self { sink: Arc::new(Post(post)), heard }
    }

    pub(super) fn next(&self) -> Heard {
        self.heard.recv_timeout(HANG).expect("the sink hears something")
    }

    /// Whether nothing has been heard that was not taken yet.
    pub(super) fn is_silent(&self) -> bool {
        self.heard.try_recv().is_err()
    }

    /// Everything that is left, once nobody can send any more: nothing can be settled twice
    /// after that.
    pub(super) fn into_rest(self) -> Vec<Heard> {
        let Self { sink, heard } = self;
        drop(sink);
        let mut all = Vec::new();
        loop {
            match heard.recv_timeout(HANG) {
                Ok(one) => all.push(one),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => panic!("somebody keeps the sink: {all:?}"),
            }
        }
    }
}

/// Waits for what a thread does right after the last thing that it tells.
pub(super) fn eventually(mut condition: impl FnMut() -> bool) {
    let began = RealStorage.monotonic();
    while !condition() {
        assert!(RealStorage.monotonic() < began + HANG, "still not so");
        std::thread::yield_now();
    }
}

/// One delivery of successes.
pub(super) fn successes(numbers: impl IntoIterator<Item = u32>) -> Heard {
    Heard::Results(numbers.into_iter().map(|n| (Ticket::from(n), Ok(n))).collect())
}

/// One delivery of failures of one kind.
pub(super) fn failures(numbers: impl IntoIterator<Item = u32>, kind: ErrorKind) -> Heard {
    Heard::Results(numbers.into_iter().map(|n| (Ticket::from(n), Err(kind))).collect())
}
