//! What operations mean: pure functions over the content of a store.
//!
//! Operations are judged on the content that the store holds (for a file: what is on disk, read
//! under the lock), in order, into an [`Overlay`]: the entries that change. The content itself is
//! not touched until the overlay is durable.
//!
//! Invariants
//! - M-1 A put applies if its key is absent or its sequence is larger; an equal one does not, and
//!   the first event id stays.
//! - M-2 A delete acts on what is there; after it, any sequence may be put.
//! - M-3 Every outcome tells what the store holds after the operation.

use std::collections::BTreeMap;

use super::{Checkpoint, ResumeKey};

/// What a caller asks of a checkpoint store.
#[derive(Clone, Debug)]
pub enum Op {
    /// Puts checkpoints, in order, in one commit.
    Put(Vec<(ResumeKey, Checkpoint)>),
    /// Deletes checkpoints, in order, in one commit.
    Delete(Vec<(ResumeKey, Condition)>),
}

/// When a delete acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// Only if the sequence is at most this one: nobody has gone further since it was seen.
    UpTo(u64),
    /// Only if the checkpoint is this one.
    Unchanged(Checkpoint),
}

/// What an operation came to, element by element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`Op::Put`].
    Put(Vec<PutOutcome>),
    /// Of [`Op::Delete`].
    Delete(Vec<DeleteOutcome>),
}

/// What a put came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    /// Whether it changed anything.
    pub applied: bool,
    /// What the store holds now.
    pub current: Checkpoint,
}

/// What a delete came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// It was there and is gone.
    Deleted,
    /// It was not there.
    Absent,
    /// It is there, and its condition did not hold.
    Superseded,
}

/// Entries that change: a checkpoint, or nothing where one is deleted.
pub type Overlay = BTreeMap<ResumeKey, Option<Checkpoint>>;

/// Judges one operation on `base` as changed by `overlay`, and adds to the overlay.
pub fn judge<'a>(
    op: &Op,
    base: impl Fn(&ResumeKey) -> Option<&'a Checkpoint>,
    overlay: &mut Overlay,
) -> Outcome {
    match op {
        Op::Put(puts) => Outcome::Put(
            puts.iter().map(|(key, checkpoint)| put(key, checkpoint, &base, overlay)).collect(),
        ),
        Op::Delete(deletes) => Outcome::Delete(
            deletes.iter().map(|(key, when)| delete(key, when, &base, overlay)).collect(),
        ),
    }
}

fn current<'a>(
    key: &ResumeKey,
    base: &impl Fn(&ResumeKey) -> Option<&'a Checkpoint>,
    overlay: &Overlay,
) -> Option<Checkpoint> {
    overlay.get(key).cloned().unwrap_or_else(|| base(key).cloned())
}

fn put<'a>(
    key: &ResumeKey,
    candidate: &Checkpoint,
    base: &impl Fn(&ResumeKey) -> Option<&'a Checkpoint>,
    overlay: &mut Overlay,
) -> PutOutcome {
    match current(key, base, overlay) {
        Some(current) if current.last_committed_sequence >= candidate.last_committed_sequence => {
            PutOutcome { applied: false, current }
        }
        _ => {
            if key.name().is_some() {
                // The last name given wins, and a map keeps the key that it has.
                overlay.remove(key);
            }
            overlay.insert(key.clone(), Some(candidate.clone()));
            PutOutcome { applied: true, current: candidate.clone() }
        }
    }
}

fn delete<'a>(
    key: &ResumeKey,
    when: &Condition,
    base: &impl Fn(&ResumeKey) -> Option<&'a Checkpoint>,
    overlay: &mut Overlay,
) -> DeleteOutcome {
    let Some(current) = current(key, base, overlay) else { return DeleteOutcome::Absent };
    let holds = match when {
        Condition::Always => true,
        Condition::UpTo(seen) => current.last_committed_sequence <= *seen,
        Condition::Unchanged(seen) => current == *seen,
    };
    if !holds {
        return DeleteOutcome::Superseded;
    }
    overlay.insert(key.clone(), None);
    DeleteOutcome::Deleted
}
