//! What a run shall do, and what it did.

use std::path::PathBuf;

use tidemark_storage::Site;

/// How a run goes: who is next, where it stops, what fails.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Where the run, or one process of it, ends.
    pub stop: Option<Stop>,
    /// Where it ends after that: a kill, and a power cut later on.
    pub then: Option<Stop>,
    /// Which calls fail.
    pub faults: Vec<Fault>,
    /// Which actor makes the next call.
    pub schedule: Schedule,
}

/// Which actor makes the next call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// Any that can, by the seed of the world.
    #[default]
    Random,
    /// Each in turn, one call at a time.
    RoundRobin,
    /// This actor until it blocks or ends, then the next one, and so on.
    Run(usize),
    /// The first actor until call number n is about to execute, then the others, each until it
    /// blocks or ends, and then the first again. With n from 0 to the number of calls, this puts
    /// a whole run of the others between any two calls of the first.
    SwitchAt(u64),
}

/// Where a run, or one process of it, ends. Calls are numbered from 0, over all actors.
///
/// To stop after a call is to stop before the next one: nothing that counts happens between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The machine stops; call number `at_call` does not execute, nor does any later one.
    PowerCut {
        /// The number of the call.
        at_call: u64,
    },
    /// The machine stops before a call at a site.
    PowerCutInSite {
        /// The site.
        site: Site,
        /// Which call at this site, from 0.
        nth: u64,
    },
    /// A process is killed when call number `at_call` is about to execute. If it is one of this
    /// process, it does not; otherwise it does, and the others go on.
    Kill {
        /// The process's [`crate::Process::pid`].
        process: u32,
        /// The number of the call.
        at_call: u64,
    },
    /// A process is killed before a call of its own at a site.
    KillInSite {
        /// The process's [`crate::Process::pid`].
        process: u32,
        /// The site.
        site: Site,
        /// Which call of this process at this site, from 0.
        nth: u64,
    },
    /// A process is killed after a call of its own at a site executed, before it sees the answer.
    KillAfterSite {
        /// The process's [`crate::Process::pid`].
        process: u32,
        /// The site.
        site: Site,
        /// Which call of this process at this site, from 0.
        nth: u64,
    },
}

/// A call that shall fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub site: Site,
    /// Which call at this site (of this process, if one is named), from 0.
    pub nth: u64,
    /// What it answers.
    pub errno: i32,
    /// In this process only.
    pub process: Option<u32>,
    /// How it fails.
    pub what: FaultKind,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Without effect; a sync forgets what it should have brought to the medium (V4).
    Fail,
    /// A write takes only so many bytes, and succeeds. Any other call fails as with `Fail`.
    ShortWrite(usize),
    /// With its effect: the error is a lie.
    FailAfterEffect,
}

impl Fault {
    /// The nth call at a site, in whichever process, fails without effect.
    #[must_use]
    pub const fn fail(site: Site, nth: u64, errno: i32) -> Self {
        Self { site, nth, errno, process: None, what: FaultKind::Fail }
    }

    /// The same, in one process, counting its calls only.
    #[must_use]
    pub const fn of(self, process: u32) -> Self {
        Self { process: Some(process), ..self }
    }

    /// The same, failing in another way.
    #[must_use]
    pub const fn with(self, what: FaultKind) -> Self {
        Self { what, ..self }
    }
}

/// One executed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The process that made it.
    pub pid: u32,
    /// The name of its actor.
    pub actor: String,
    /// The call's site.
    pub site: Site,
    /// The method of `Storage`, `File` or `Map`.
    pub op: &'static str,
    /// The path that was given, or under which the file was opened.
    pub path: Option<PathBuf>,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many calls were executed.
    pub calls: u64,
    /// The executed calls, in order. One that waits for a lock stands where it began to wait.
    pub trace: Vec<Call>,
    /// Whether the plan's stop took place.
    pub stopped: bool,
    /// Who waited for what, if the run ended because nobody could go on.
    pub deadlock: Option<String>,
}

impl Report {
    /// How many calls were executed at a site.
    #[must_use]
    pub fn count(&self, site: Site) -> usize {
        self.trace.iter().filter(|call| call.site == site).count()
    }
}
