//! Runs actors on threads of their own, from the first turn to the last.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::plan::{Plan, Report};
use crate::process::Actor;
use crate::schedule::{Run, Status, Stopped, await_turn};
use crate::world::World;

/// How long a run may stand still before it is given up, in steps of real time.
const STEP: Duration = Duration::from_secs(1);
const STILL_STEP_COUNT_MAX: u32 = 30;

/// What a panic carries.
type Payload = Box<dyn Any + Send>;

thread_local! {
    /// Of which world's run this thread is an actor, and which one.
    static ACTOR: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

impl World {
    /// Runs actors until all have ended or were stopped, as the plan says.
    ///
    /// # Panics
    /// With an actor's own panic, after all have ended; if another run of this world is going on;
    /// if the run stands still because an actor waits for something that is not a storage call.
    #[must_use = "it may report a deadlock"]
    pub fn run(&self, actors: Vec<Actor>, plan: &Plan) -> Report {
        let mut seats = Vec::new();
        let mut bodies = Vec::new();
        for actor in actors {
            let dead = self.state().is_dead(actor.pid);
            let status = if dead { Status::Stopped } else { Status::Ready };
            seats.push((actor.pid, actor.name.clone(), status));
            bodies.push((actor.name, actor.body));
        }
        {
            let mut state = self.state();
            assert!(state.run.is_none(), "a world does one run at a time");
            // A second run on the same world shall not repeat the first one's choices.
            let seed = state.seed ^ state.random.next();
            state.run = Some(Run::new(seats, plan, seed));
            state.arm(plan);
            state.pass_baton();
        }
        let threads: Vec<JoinHandle<Option<Payload>>> = bodies
            .into_iter()
            .enumerate()
            .map(|(me, (name, body))| {
                let world = self.clone();
                let started = Builder::new().name(name).spawn(move || world.act(me, body));
                started.unwrap_or_else(|error| panic!("no thread for an actor: {error}"))
            })
            .collect();
        self.await_end();
        let panics: Vec<Payload> =
            threads.into_iter().filter_map(|thread| thread.join().unwrap_or_else(Some)).collect();
        let mut state = self.state();
        state.faults.retain(|armed| !armed.of_run);
        let run = state.run.take();
        drop(state);
        if let Some(payload) = panics.into_iter().next() {
            resume_unwind(payload);
        }
        let run = run.unwrap_or_else(|| panic!("somebody else took the run away"));
        let Run { calls, trace, stopped, deadlock, .. } = run;
        Report { calls, trace, stopped, deadlock }
    }

    /// The life of an actor's thread. Returns its own panic, if it had one.
    fn act(&self, me: usize, body: Box<dyn FnOnce() + Send>) -> Option<Payload> {
        ACTOR.set(Some((self.key(), me)));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            drop(await_turn(self.state(), me));
            body();
        }));
        ACTOR.set(None);
        let panic = outcome.err().filter(|payload| !payload.is::<Stopped>());
        let mut state = self.state();
        if panic.is_some() {
            // The test has failed; what the others would still do is of no interest.
            state.power_off();
        }
        if let Some(run) = &mut state.run {
            run.set_status(me, Status::Done);
            if run.current == Some(me) {
                state.pass_baton();
            }
        }
        drop(state);
        self.inner.ended.notify_all();
        panic
    }

    fn await_end(&self) {
        let mut state = self.state();
        let mut still_step_count = 0;
        let mut before = 0;
        loop {
            let Some(run) = &state.run else { return };
            let busy: Vec<usize> =
                (0..run.actors.len()).filter(|actor| run.status(*actor) != Status::Done).collect();
            if busy.is_empty() {
                return;
            }
            still_step_count = if run.calls == before { still_step_count } else { 0 };
            before = run.calls;
            if still_step_count > STILL_STEP_COUNT_MAX {
                let last = run.trace.last().cloned();
                drop(state);
                panic!(
                    "the run stands still: actors {busy:?} wait outside of storage after {last:?}"
                );
            }
            let (next, waited) =
                self.inner.ended.wait_timeout(state, STEP).unwrap_or_else(PoisonError::into_inner);
            state = next;
            still_step_count += u32::from(waited.timed_out());
        }
    }

    /// Which actor of this world's run the calling thread is.
    pub(crate) fn current_actor(&self) -> Option<usize> {
        ACTOR.get().filter(|(world, _)| *world == self.key()).map(|(_, actor)| actor)
    }

    /// Tells worlds apart, while they exist.
    fn key(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }
}
