//! One storage call: its turn, its number, its fault, its stop.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::MutexGuard;
use std::thread::panicking;

use tidemark_storage::{OsError, Result, Site};

use crate::node::{Answer, Errno};
use crate::plan::{FaultKind, Stop};
use crate::schedule::{Due, Status, take_turn, unwind};
use crate::world::{State, World};

/// Who calls what, and where.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) pid: u32,
    pub(crate) site: Site,
    /// The method.
    pub(crate) op: &'static str,
    /// The system call, for errors.
    pub(crate) syscall: &'static str,
    pub(crate) path: Option<&'a Path>,
}

/// What shall go wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injected {
    Nothing,
    Fail(Errno),
    Short(usize),
    AfterEffect(Errno),
}

/// A call that executes now.
pub(crate) struct Turn<'w> {
    pub(crate) state: MutexGuard<'w, State>,
    pub(crate) injected: Injected,
    pub(crate) actor: Option<usize>,
    stop: Option<Stop>,
}

impl Deref for Turn<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Turn<'_> {
    /// The error that the call shall answer though it had its effect, for calls that have to
    /// take back what they would have handed out.
    pub(crate) const fn lie(&self) -> Answer<()> {
        match self.injected {
            Injected::AfterEffect(errno) => Err(errno),
            _ => Ok(()),
        }
    }
}

impl World {
    /// Executes a call when it is its turn.
    pub(crate) fn call<T>(
        &self,
        at: &At<'_>,
        work: impl FnOnce(&mut Turn<'_>) -> Answer<T>,
    ) -> Result<T> {
        self.call_or(at, work, |_| {})
    }

    /// The same, with what is left behind if the call shall fail.
    pub(crate) fn call_or<T>(
        &self,
        at: &At<'_>,
        work: impl FnOnce(&mut Turn<'_>) -> Answer<T>,
        fail: impl FnOnce(&mut State),
    ) -> Result<T> {
        let mut turn = self.enter(at)?;
        let answer = if let Injected::Fail(errno) = turn.injected {
            fail(&mut turn);
            Err(errno)
        } else {
            work(&mut turn)
        };
        leave(turn, at, answer)
    }

    /// Waits for the turn of a call and does what the plan wants before it.
    pub(crate) fn enter(&self, at: &At<'_>) -> Result<Turn<'_>> {
        let mut state = self.state();
        // During a panic an actor keeps the baton: destructors must not unwind again.
        let actor = self.current_actor().filter(|_| !panicking());
        let mut stop = None;
        if let Some(me) = actor {
            state = take_turn(state, me);
            let due = state.run.as_mut().map_or(Due::Nothing, |run| run.due(at.pid, at.site));
            match due {
                Due::Nothing => {}
                Due::Before(stop) => state = halt(state, stop, me),
                Due::After(after) => stop = Some(after),
            }
        }
        if state.is_dead(at.pid) {
            return Err(OsError::new(OsError::EIO, "call of a stopped process"));
        }
        state.disk.tick();
        *state.counts.entry(at.site).or_insert(0) += 1;
        if let Some(me) = actor
            && let Some(run) = &mut state.run
        {
            run.note(me, at);
        }
        let injected = state.injected(at);
        Ok(Turn { state, injected, actor, stop })
    }
}

/// Gives the baton away in the middle of a call, until the actor can go on.
pub(crate) fn pause(turn: Turn<'_>, me: usize, until: Status) -> Turn<'_> {
    let Turn { mut state, injected, actor, stop } = turn;
    if let Some(run) = &mut state.run {
        run.set_status(me, until);
    }
    let state = take_turn(state, me);
    Turn { state, injected, actor, stop }
}

/// Ends a call and does what the plan wants after it.
pub(crate) fn leave<T>(turn: Turn<'_>, at: &At<'_>, answer: Answer<T>) -> Result<T> {
    let answer = answer.and_then(|value| turn.lie().map(|()| value));
    if let (Some(stop), Some(me)) = (turn.stop, turn.actor) {
        drop(halt(turn.state, stop, me));
    }
    answer.map_err(|errno| OsError::new(errno, at.syscall))
}

/// Ends what a stop ends; unwinds if that includes the caller.
fn halt(mut state: MutexGuard<'_, State>, stop: Stop, me: usize) -> MutexGuard<'_, State> {
    state.halt(stop);
    if state.run.as_ref().is_some_and(|run| run.status(me) == Status::Stopped) {
        unwind(state, me);
    }
    state
}

impl State {
    /// What shall go wrong with this call. Every fault that could hit it counts it.
    fn injected(&mut self, at: &At<'_>) -> Injected {
        let mut injected = Injected::Nothing;
        for armed in &mut self.faults {
            let fault = armed.fault;
            if fault.site != at.site || fault.process.is_some_and(|pid| pid != at.pid) {
                continue;
            }
            if armed.seen == fault.nth {
                injected = match fault.what {
                    FaultKind::ShortWrite(count) if at.op == "write_at" => Injected::Short(count),
                    FaultKind::Fail | FaultKind::ShortWrite(_) => Injected::Fail(fault.errno),
                    FaultKind::FailAfterEffect => Injected::AfterEffect(fault.errno),
                };
            }
            armed.seen += 1;
        }
        injected
    }
}
