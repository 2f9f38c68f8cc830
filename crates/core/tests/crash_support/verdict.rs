//! What can be wrong, and what becomes of the findings.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use tidemark_sim::{CrashState, Disk};

pub(crate) type Verdict = Result<(), Violation>;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was acknowledged is gone, or replaced by something lower.
    Lost,
    /// What a reader saw is gone, or replaced by something lower.
    Backward,
    /// What was deleted is back.
    Resurrected,
    /// Nobody asked for it.
    Invented,
    /// A part of one `putMany`.
    Torn,
    /// The file cannot be opened or decoded.
    Unreadable,
    /// An operation failed that had no reason to.
    Failed,
    /// Something is left behind, or not as it was.
    Leftover,
}

#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// Collects what the checks find. A strict one panics at once, so that the exploration prints what
/// led there; a lenient one keeps the first finding.
#[derive(Debug, Default)]
pub(crate) struct Jury {
    lenient: bool,
    found: RefCell<Option<Violation>>,
    judged_count: Cell<usize>,
    known: RefCell<HashSet<u64>>,
}

impl Jury {
    pub(crate) fn lenient() -> Self {
        Self { lenient: true, ..Self::default() }
    }

    pub(crate) fn found(&self) -> Option<Violation> {
        self.found.borrow().clone()
    }

    /// How many states were judged.
    pub(crate) fn judged_count(&self) -> usize {
        self.judged_count.get()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.found.borrow().is_some()
    }

    pub(crate) fn hear(&self, verdict: Verdict, state: &CrashState) {
        self.judged_count.set(self.judged_count.get() + 1);
        let Err(violation) = verdict else { return };
        let CrashState { seed, call, site, killed, choice, .. } = state;
        assert!(
            self.lenient,
            "{violation} (SEED={seed}, call {call} at {site:?}, killed {killed:?}, {choice:?})"
        );
        self.found.borrow_mut().get_or_insert(violation);
    }

    /// Whether it is asked about a disk for the first time, and this is one of the few that are
    /// looked at closely; `TORTURE` makes them more.
    pub(crate) fn is_picked(&self, disk: &Disk) -> bool {
        const DISKS_PER_PICK: u64 = 64;
        self.is_new(disk) && (self.known.borrow().len() as u64) % DISKS_PER_PICK < super::torture()
    }

    /// Whether this is the first time that it is asked about a disk.
    pub(crate) fn is_new(&self, disk: &Disk) -> bool {
        let mut hasher = DefaultHasher::new();
        disk.unsynced_items().hash(&mut hasher);
        for name in disk.names("/data") {
            disk.read(format!("/data/{name}")).hash(&mut hasher);
            name.hash(&mut hasher);
        }
        self.known.borrow_mut().insert(hasher.finish())
    }
}
