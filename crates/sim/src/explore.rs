//! Tries a piece of code with the power cut, or a process killed, at every call.
//!
//! A dry run counts the calls. Then the same is done again from the same disk, with a stop at each
//! of them, and once without; whatever the stop may leave is handed to a check. When a check
//! panics, what led there is printed: the seed, the call and the variant repeat it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tidemark_storage::Site;

use crate::disk::Disk;
use crate::plan::{Fault, Plan, Report, Schedule, Stop};
use crate::power_cut::Choice;
use crate::process::Actor;
use crate::world::World;

/// What to explore.
#[derive(Clone, Debug)]
pub struct Explore {
    /// The disk that every run starts from.
    pub start: Disk,
    /// How many disks to look at for each power cut (see [`Disk::crashes`]).
    pub limit: usize,
    /// What every choice is made from.
    pub seed: u64,
    /// Which actor makes the next call.
    pub schedule: Schedule,
    /// Which calls fail, besides the stop.
    pub faults: Vec<Fault>,
}

/// What a stop left, for a check.
#[derive(Debug)]
pub struct CrashState {
    /// The disk: after a power cut one variant of what may be left; after a kill with its cache.
    pub disk: Disk,
    /// The run up to the stop.
    pub report: Report,
    /// The call that did not execute; the number of calls where all were executed.
    pub call: u64,
    /// The site of that call, if there was one.
    pub site: Option<Site>,
    /// The killed process, if it was that.
    pub killed: Option<u32>,
    /// Which unsynced changes the power cut left.
    pub choice: Option<Choice>,
    /// The seed of the run.
    pub seed: u64,
}

impl Explore {
    /// An exploration from this disk, with any interleaving that the seed gives, without faults.
    #[must_use]
    pub fn new(start: &Disk, limit: usize, seed: u64) -> Self {
        Self { start: start.clone(), limit, seed, schedule: Schedule::Random, faults: Vec::new() }
    }

    /// Cuts the power at every call, and after the last.
    ///
    /// `body` makes the processes and actors of one run, and what the check needs of it: what was
    /// acknowledged, say. Returns the number of disks that were checked.
    ///
    /// # Panics
    /// If a check or an actor does, or in a deadlock.
    pub fn power_cuts<T>(
        &self,
        body: impl Fn(&World) -> (Vec<Actor>, T),
        check: impl Fn(&CrashState, &T),
    ) -> usize {
        let dry = self.run(None, &body).1;
        let mut checked_count = 0;
        for call in 0..=dry.calls {
            let (world, report, known) = self.run(Some(Stop::PowerCut { at_call: call }), &body);
            for (choice, disk) in world.disk().crashes(self.limit, self.seed ^ call) {
                let site = site_of(&dry, call);
                let (choice, report) = (Some(choice), report.clone());
                let (killed, seed) = (None, self.seed);
                self.check(
                    &CrashState { disk, report, call, site, killed, choice, seed },
                    &known,
                    &check,
                );
                checked_count += 1;
            }
        }
        checked_count
    }

    /// Kills each process at every call; the others go on to their end.
    ///
    /// Otherwise as [`Explore::power_cuts`]; the disk keeps its cache.
    ///
    /// # Panics
    /// If a check or an actor does, or in a deadlock.
    pub fn kills<T>(
        &self,
        body: impl Fn(&World) -> (Vec<Actor>, T),
        check: impl Fn(&CrashState, &T),
    ) -> usize {
        let dry = self.run(None, &body).1;
        let mut processes: Vec<u32> = dry.trace.iter().map(|call| call.pid).collect();
        processes.sort_unstable();
        processes.dedup();
        let mut checked_count = 0;
        for process in processes {
            for call in 0..=dry.calls {
                let stop = Stop::Kill { process, at_call: call };
                let (world, report, known) = self.run(Some(stop), &body);
                let site = site_of(&dry, call);
                let (disk, killed, choice) = (world.disk(), Some(process), None);
                let seed = self.seed;
                self.check(
                    &CrashState { disk, report, call, site, killed, choice, seed },
                    &known,
                    &check,
                );
                checked_count += 1;
            }
        }
        checked_count
    }

    fn run<T>(
        &self,
        stop: Option<Stop>,
        body: &impl Fn(&World) -> (Vec<Actor>, T),
    ) -> (World, Report, T) {
        let world = World::new(self.start.clone(), self.seed);
        let (actors, known) = body(&world);
        let plan = Plan { stop, then: None, faults: self.faults.clone(), schedule: self.schedule };
        let report = world.run(actors, &plan);
        if let Some(deadlock) = &report.deadlock {
            panic!("deadlock with seed {} and {stop:?}: {deadlock}", self.seed);
        }
        (world, report, known)
    }

    fn check<T>(&self, state: &CrashState, known: &T, check: &impl Fn(&CrashState, &T)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(state, known))) {
            let CrashState { call, site, killed, choice, seed, .. } = state;
            let choice = choice.as_ref().map(ToString::to_string).unwrap_or_default();
            eprintln!(
                "SEED={seed} call {call} at {site:?}, killed {killed:?}, schedule {:?}; {choice}",
                self.schedule
            );
            for (number, call) in state.report.trace.iter().enumerate().rev().take(40).rev() {
                let (actor, op, path) = (&call.actor, call.op, call.path.as_deref());
                let path = path.unwrap_or_else(|| "".as_ref()).display();
                eprintln!("{number:4} {actor} ({}) {op} {path} {:?}", call.pid, call.site);
            }
            resume_unwind(panic);
        }
    }
}

/// Cuts the power at every call: [`Explore::power_cuts`] with any interleaving and no faults.
///
/// # Panics
/// If a check or an actor does, or in a deadlock.
pub fn power_cuts_everywhere<T>(
    start: &Disk,
    limit: usize,
    seed: u64,
    body: impl Fn(&World) -> (Vec<Actor>, T),
    check: impl Fn(&CrashState, &T),
) -> usize {
    Explore::new(start, limit, seed).power_cuts(body, check)
}

fn site_of(dry: &Report, call: u64) -> Option<Site> {
    usize::try_from(call).ok().and_then(|call| dry.trace.get(call)).map(|call| call.site)
}
