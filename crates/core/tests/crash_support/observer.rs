//! What an observer outside of the machine knows, and whether all of it can be true.
//!
//! The observer hears what callers are told and sees what readers are shown. Whatever is heard or
//! seen is held against all that was known before:
//!
//! - a value that was acknowledged or seen is there ever after, or a higher one of its key, unless
//!   a delete that was not over before explains its absence (promise 2 of the README: nothing
//!   goes backward);
//! - what was gone does not come back (deletes stick);
//! - every value was asked for by somebody, or was there at the start (nothing is invented);
//! - of one `putMany` all is there, or nothing.
//!
//! An operation whose process died, or whose machine lost power, is over then, done or not done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_core::checkpoint::{
    Checkpoint, DeleteOutcome, KEY_FORMAT_VERSION, Op, Outcome, ResumeKey,
};

use super::verdict::{Kind, Verdict, Violation};

pub(crate) type Entries = BTreeMap<ResumeKey, Checkpoint>;

/// A key for tests.
pub(crate) fn key(number: u8) -> ResumeKey {
    ResumeKey::from_parts([number; 32], KEY_FORMAT_VERSION)
}

/// A checkpoint that says who put it: no two operations put the same one.
pub(crate) fn checkpoint(sequence: u64, by: &str) -> Checkpoint {
    Checkpoint::new(sequence, Some(&format!("{by}@{sequence}")))
}

/// An operation, from when it was asked for to when it was over.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) pid: u32,
    /// Nothing: an operator took the whole file away.
    pub(crate) op: Option<Op>,
    pub(crate) began: u64,
    pub(crate) ended: Option<u64>,
}

impl Asked {
    pub(crate) fn deletes(&self, key: &ResumeKey) -> bool {
        match &self.op {
            None => true,
            Some(Op::Delete(deletes)) => deletes.iter().any(|(deleted, _)| deleted == key),
            Some(Op::Put(_)) => false,
        }
    }

    pub(crate) fn puts(&self) -> &[(ResumeKey, Checkpoint)] {
        match &self.op {
            Some(Op::Put(puts)) => puts,
            _ => &[],
        }
    }
}

/// What somebody was told or shown.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) at: u64,
    /// It is no older than this; nothing: it came from a process's memory.
    pub(crate) since: Option<u64>,
    pub(crate) pid: u32,
    /// What was told or shown of each key; nothing where it is absent.
    pub(crate) content: BTreeMap<ResumeKey, Option<Checkpoint>>,
    /// Whether keys that are not in `content` are absent.
    pub(crate) whole: bool,
    /// The operation that answered; it does not explain what it found.
    pub(crate) told_by: Option<usize>,
}

impl Known {
    /// Whether it says anything about a key.
    pub(crate) fn speaks_of(&self, key: &ResumeKey) -> bool {
        self.whole || self.content.contains_key(key)
    }

    /// What it says of a key; nothing if the key is absent.
    pub(crate) fn value(&self, key: &ResumeKey) -> Option<&Checkpoint> {
        self.content.get(key).and_then(Option::as_ref)
    }

    pub(crate) fn before(&self, later: &Self) -> bool {
        match later.since {
            Some(since) => self.at < since,
            None => self.pid == later.pid && self.at < later.at,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    clock: u64,
    pub(crate) initial: Entries,
    pub(crate) asked: Vec<Asked>,
    pub(crate) known: Vec<Known>,
    violation: Option<Violation>,
}

/// The observer. Cloning gives another handle on the same one.
#[derive(Clone, Debug)]
pub(crate) struct Observer(Arc<Mutex<History>>);

impl Observer {
    /// An observer of a file that holds this, durably.
    pub(crate) fn new(initial: &Entries) -> Self {
        let content = initial.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
        let known = Known {
            at: 0,
            since: Some(0),
            pid: 0,
            content: content.collect(),
            whole: true,
            told_by: None,
        };
        let (initial, known) = (initial.clone(), vec![known]);
        Self(Arc::new(Mutex::new(History { clock: 1, initial, known, ..History::default() })))
    }

    /// An independent one that knows the same.
    pub(crate) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.history().clone())))
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, to say later that something is no older than this.
    pub(crate) fn now(&self) -> u64 {
        self.history().clock
    }

    /// A process asks for something.
    pub(crate) fn asks(&self, pid: u32, op: &Op) -> usize {
        self.history().ask(pid, Some(op.clone()))
    }

    /// An operator took away, or damaged, all that the file holds.
    pub(crate) fn erased(&self) {
        let mut history = self.history();
        let id = history.ask(0, None);
        history.end(id);
    }

    /// A process is told what became of it.
    pub(crate) fn hears(&self, id: usize, outcome: &Outcome) {
        self.history().hear(id, outcome);
    }

    /// A process is told that nothing was done, and nothing will be.
    pub(crate) fn is_refused(&self, id: usize) {
        let mut history = self.history();
        history.end(id);
        if let Some(asked) = history.asked.get_mut(id) {
            asked.op = Some(Op::Put(Vec::new()));
        }
    }

    /// A process is shown all that there is: from the disk, no older than `since`, or from what it
    /// remembers.
    pub(crate) fn sees(&self, pid: u32, since: Option<u64>, entries: Vec<(ResumeKey, Checkpoint)>) {
        let mut history = self.history();
        let known = history.reading(pid, since, entries);
        history.learn(known);
    }

    /// Something went wrong that nothing explains.
    pub(crate) fn complains(&self, violation: Violation) {
        self.history().violation.get_or_insert(violation);
    }

    /// A process, or with nothing all of them, is gone: what they asked for is over.
    pub(crate) fn gone(&self, pid: Option<u32>) {
        let mut history = self.history();
        let concerned = |asked: &Asked| pid.is_none_or(|pid| pid == asked.pid);
        let open: Vec<usize> = (0..history.asked.len())
            .filter(|id| history.asked.get(*id).is_some_and(&concerned))
            .collect();
        for id in open {
            history.end(id);
        }
    }

    /// Whether anybody was told or shown anything.
    pub(crate) fn has_reported(&self) -> bool {
        self.history().known.len() > 1
    }

    /// Whether all that is known, and that this is what the file holds now, can be true.
    pub(crate) fn judge(&self, entries: Vec<(ResumeKey, Checkpoint)>) -> Verdict {
        let history = self.history();
        if let Some(violation) = &history.violation {
            return Err(violation.clone());
        }
        let now = history.clock;
        history.judge(&history.reading(0, Some(now), entries))
    }
}

impl History {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock - 1
    }

    fn ask(&mut self, pid: u32, op: Option<Op>) -> usize {
        let began = self.tick();
        self.asked.push(Asked { pid, op, began, ended: None });
        self.asked.len() - 1
    }

    fn end(&mut self, id: usize) {
        let now = self.tick();
        if let Some(asked) = self.asked.get_mut(id) {
            asked.ended.get_or_insert(now);
        }
    }

    fn hear(&mut self, id: usize, outcome: &Outcome) {
        self.end(id);
        let Some(asked) = self.asked.get(id).cloned() else { return };
        let mut content = BTreeMap::new();
        let mut found_absent = false;
        match (&asked.op, outcome) {
            (Some(Op::Put(puts)), Outcome::Put(outcomes)) => {
                for ((key, candidate), told) in puts.iter().zip(outcomes) {
                    let (asked, holds) =
                        (candidate.last_committed_sequence, told.current.last_committed_sequence);
                    let honest =
                        if told.applied { told.current == *candidate } else { holds >= asked };
                    if !honest {
                        let what = format!("a put of {candidate:?} was answered with {told:?}");
                        self.violation.get_or_insert(Violation::new(Kind::Failed, what));
                    }
                    content.insert(key.clone(), Some(told.current.clone()));
                }
            }
            (Some(Op::Delete(deletes)), Outcome::Delete(outcomes)) => {
                for ((key, _), told) in deletes.iter().zip(outcomes) {
                    found_absent |= *told == DeleteOutcome::Absent;
                    if *told != DeleteOutcome::Superseded {
                        content.insert(key.clone(), None);
                    }
                }
            }
            _ => {}
        }
        let at = self.tick();
        let told_by = found_absent.then_some(id);
        let (since, pid) = (Some(asked.began), asked.pid);
        self.learn(Known { at, since, pid, content, whole: false, told_by });
    }

    fn reading(
        &self,
        pid: u32,
        since: Option<u64>,
        entries: Vec<(ResumeKey, Checkpoint)>,
    ) -> Known {
        let content = entries.into_iter().map(|(key, value)| (key, Some(value))).collect();
        Known { at: self.clock, since, pid, content, whole: true, told_by: None }
    }

    /// Adds to what is known, and holds it against what was known before.
    fn learn(&mut self, known: Known) {
        if let Err(violation) = self.judge(&known) {
            self.violation.get_or_insert(violation);
        }
        let told_nothing_new = |last: &Known| {
            known.since.is_none() && last.pid == known.pid && last.content == known.content
        };
        if !self.known.last().is_some_and(told_nothing_new) {
            self.known.push(known);
        }
        self.tick();
    }
}
