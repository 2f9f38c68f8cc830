//! The baton: exactly one actor of a run executes at a time.
//!
//! Invariants:
//!
//! - B1 Only the actor that has the baton executes code of its body; the others wait for it in
//!   [`take_turn`]. It is passed before every call, while an actor waits for a lock or a
//!   word, and at its end.
//! - B2 A stopped actor never gets the baton again. It unwinds, beside whoever has the baton, and
//!   no call of its destructors executes; what it does to its own memory concerns nobody.
//! - B3 Where nobody can go on, time passes until a wait is over; where nobody waits for time, it
//!   is a deadlock, and the machine is switched off.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_storage::{LockMode, Site};

use crate::call::At;
use crate::node::NodeId;
use crate::plan::{Call, Plan, Schedule, Stop};
use crate::random::Random;
use crate::world::State;

/// A run with more calls than this goes in circles.
const CALL_COUNT_MAX: u64 = 1_000_000;

/// What a stopped actor unwinds with.
pub(crate) struct Stopped;

/// A run that is going on.
pub(crate) struct Run {
    pub(crate) actors: Vec<Seat>,
    /// Who has the baton.
    pub(crate) current: Option<usize>,
    schedule: Schedule,
    random: Random,
    pub(crate) calls: u64,
    pub(crate) trace: Vec<Call>,
    stop: Option<Stop>,
    then: Option<Stop>,
    /// How many calls at the site of the stop went by.
    stop_seen: u64,
    pub(crate) stopped: bool,
    pub(crate) deadlock: Option<String>,
}

/// One actor of a run.
pub(crate) struct Seat {
    pub(crate) pid: u32,
    name: String,
    pub(crate) status: Status,
    /// Told when it is its turn, or when it is stopped.
    turn: Arc<Condvar>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Can go on.
    Ready,
    /// Waits for a lock.
    Blocked { handle: u64, mode: LockMode },
    /// Waits for somebody to wake a mapped word, or for the time.
    Waiting { node: NodeId, offset: usize, until: Duration },
    /// Must unwind.
    Stopped,
    /// Has ended.
    Done,
}

/// What the plan wants of a call.
#[derive(Clone, Copy)]
pub(crate) enum Due {
    Nothing,
    Before(Stop),
    After(Stop),
}

impl Run {
    pub(crate) fn new(actors: Vec<(u32, String, Status)>, plan: &Plan, seed: u64) -> Self {
        let seat = |(pid, name, status)| Seat { pid, name, status, turn: Arc::default() };
        Self {
            actors: actors.into_iter().map(seat).collect(),
            current: None,
            schedule: plan.schedule,
            random: Random::new(seed),
            calls: 0,
            trace: Vec::new(),
            stop: plan.stop,
            then: plan.then,
            stop_seen: 0,
            stopped: false,
            deadlock: None,
        }
    }

    pub(crate) fn status(&self, actor: usize) -> Status {
        self.actors.get(actor).map_or(Status::Done, |seat| seat.status)
    }

    pub(crate) fn set_status(&mut self, actor: usize, status: Status) {
        if let Some(seat) = self.actors.get_mut(actor) {
            seat.status = status;
        }
    }

    /// Makes actors unwind, by their process.
    pub(crate) fn stop_actors(&mut self, concerned: impl Fn(u32) -> bool) {
        for seat in &mut self.actors {
            if concerned(seat.pid) && seat.status != Status::Done {
                seat.status = Status::Stopped;
                seat.turn.notify_all();
            }
        }
    }

    /// Lets everybody go on who waits on a mapped word.
    pub(crate) fn wake(&mut self, word: (NodeId, usize)) {
        for seat in &mut self.actors {
            if matches!(seat.status, Status::Waiting { node, offset, .. } if (node, offset) == word)
            {
                seat.status = Status::Ready;
            }
        }
    }

    /// What the plan wants of the call that is about to execute.
    pub(crate) fn due(&mut self, pid: u32, site: Site) -> Due {
        let Some(stop) = self.stop else { return Due::Nothing };
        let reached = match stop {
            Stop::PowerCut { at_call } | Stop::Kill { at_call, .. } => {
                return if at_call == self.calls { Due::Before(stop) } else { Due::Nothing };
            }
            Stop::PowerCutInSite { site: at, nth } => (at == site).then_some(nth),
            Stop::KillInSite { process, site: at, nth }
            | Stop::KillAfterSite { process, site: at, nth } => {
                (at == site && process == pid).then_some(nth)
            }
        };
        let Some(nth) = reached else { return Due::Nothing };
        self.stop_seen += 1;
        match stop {
            _ if self.stop_seen - 1 != nth => Due::Nothing,
            Stop::KillAfterSite { .. } => Due::After(stop),
            _ => Due::Before(stop),
        }
    }

    /// Writes an executed call down.
    pub(crate) fn note(&mut self, actor: usize, at: &At<'_>) {
        self.calls += 1;
        let actor = self.actors.get(actor).map(|seat| seat.name.clone()).unwrap_or_default();
        let path = at.path.map(Path::to_owned);
        self.trace.push(Call { pid: at.pid, actor, site: at.site, op: at.op, path });
    }

    /// Who goes on, of those who can.
    fn choose(&mut self, ready: &[usize]) -> Option<usize> {
        let current = self.current;
        let count = self.actors.len();
        let from = |start: usize| {
            (0..count).map(move |step| (start + step) % count).find(|actor| ready.contains(actor))
        };
        match self.schedule {
            Schedule::Random => ready.get(self.random.below(ready.len())).copied(),
            Schedule::RoundRobin => from(current.map_or(0, |actor| actor + 1)),
            Schedule::Run(first) => from(current.unwrap_or(first)),
            Schedule::SwitchAt(call) if self.calls < call => from(0),
            Schedule::SwitchAt(_) => from(1),
        }
    }
}

impl State {
    /// Ends what the plan's stop ends.
    pub(crate) fn halt(&mut self, stop: Stop) {
        match stop {
            Stop::PowerCut { .. } | Stop::PowerCutInSite { .. } => self.power_off(),
            Stop::Kill { process, .. }
            | Stop::KillInSite { process, .. }
            | Stop::KillAfterSite { process, .. } => self.kill(process),
        }
        if let Some(run) = &mut self.run {
            run.stop = run.then.take();
            run.stop_seen = 0;
            run.stopped = true;
        }
    }

    /// Passes the baton (B1), to whoever has it now among others.
    pub(crate) fn pass_baton(&mut self) {
        let mut ready = self.ready();
        if ready.is_empty() {
            self.let_time_pass();
            ready = self.ready();
        }
        let Some(run) = &mut self.run else { return };
        run.current = run.choose(&ready);
        if let Some(next) = run.current
            && let Some(seat) = run.actors.get_mut(next)
        {
            seat.status = Status::Ready;
            seat.turn.notify_all();
        }
    }

    fn ready(&self) -> Vec<usize> {
        let actors = self.run.iter().flat_map(|run| run.actors.iter().enumerate());
        let can_go_on = |status| match status {
            Status::Ready => true,
            Status::Blocked { handle, mode } => !self.must_wait(handle, mode),
            Status::Waiting { until, .. } => until <= self.disk.now(),
            Status::Stopped | Status::Done => false,
        };
        actors.filter(|(_, seat)| can_go_on(seat.status)).map(|(actor, _)| actor).collect()
    }

    /// Nobody can go on now (B3).
    fn let_time_pass(&mut self) {
        let Some(run) = &self.run else { return };
        let until = run.actors.iter().filter_map(|seat| match seat.status {
            Status::Waiting { until, .. } => Some(until),
            _ => None,
        });
        if let Some(until) = until.min() {
            self.disk.advance(until.saturating_sub(self.disk.now()));
            return;
        }
        let blocked: Vec<String> =
            run.actors.iter().filter_map(|seat| self.complaint(seat)).collect();
        if !blocked.is_empty() {
            if let Some(run) = &mut self.run {
                run.deadlock = Some(blocked.join("; "));
            }
            self.power_off();
        }
    }

    /// What a blocked actor waits for.
    fn complaint(&self, seat: &Seat) -> Option<String> {
        let Status::Blocked { handle, mode } = seat.status else { return None };
        let open = self.handles.get(&handle)?;
        let mut holders = self.handles.iter().filter(|(other, held)| {
            **other != handle && held.node == open.node && held.lock.is_some()
        });
        let holder = holders.next().map_or(0, |(_, held)| held.pid);
        let (name, pid, path) = (&seat.name, seat.pid, open.path.display());
        Some(format!("{name} ({pid}) waits for a {mode:?} lock on {path}, held by {holder}"))
    }
}

/// Offers the baton and waits for it. Unwinds if the actor is stopped meanwhile.
pub(crate) fn take_turn(mut state: MutexGuard<'_, State>, me: usize) -> MutexGuard<'_, State> {
    let calls = state.run.as_ref().map_or(0, |run| run.calls);
    if calls >= CALL_COUNT_MAX {
        drop(state);
        panic!("the run goes in circles: it has made {calls} calls");
    }
    // An actor that is stopped does not have the baton any more, if it ever did.
    if state.run.as_ref().is_some_and(|run| run.status(me) != Status::Stopped) {
        state.pass_baton();
    }
    await_turn(state, me)
}

/// Waits for the baton without offering one: how an actor begins.
pub(crate) fn await_turn(mut state: MutexGuard<'_, State>, me: usize) -> MutexGuard<'_, State> {
    while let Some(run) = &state.run
        && let Some(seat) = run.actors.get(me)
        && !matches!(seat.status, Status::Stopped | Status::Done)
    {
        if run.current == Some(me) {
            return state;
        }
        let turn = Arc::clone(&seat.turn);
        state = turn.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    unwind(state, me)
}

/// Ends a stopped actor's body, without a message.
pub(crate) fn unwind(mut state: MutexGuard<'_, State>, me: usize) -> ! {
    if state.run.as_ref().is_some_and(|run| run.current == Some(me)) {
        state.pass_baton();
    }
    drop(state);
    resume_unwind(Box::new(Stopped))
}
