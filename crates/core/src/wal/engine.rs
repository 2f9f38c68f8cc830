//! Commits groups: stages frames, writes them in one piece, syncs once, and tells.
//!
//! Invariants
//! - E-1 Appends of a group share frames; a batch never spans frames, nor a frame segments.
//! - E-2 What a caller asked to be durable is reported after a sync that began after it was
//!   written, and succeeded. What it asked to be written is reported after the write, and a sync
//!   follows at once, or when the oldest unsynced byte is as old as the interval says.
//! - E-3 After a write or a sync that failed nothing more is written: the log is poisoned, and what
//!   was on its way is of unknown outcome.
//! - E-4 An operation that is refused has taken no LSN and written nothing.
//! - E-5 No entry goes into the last two blocks of a segment: a purge always has room to be told.

use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::{File, Site, Storage};

use super::bug::Bug;
use super::index::LogIndex;
use super::metrics::WalMetrics;
use super::op::{WalOp, WalOutcome};
use super::options::WalOptions;
use super::preparation::Preparation;
use super::publication::Publication;
use super::staging::Batch;
use super::state::State;
use super::view::{Update, View};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::group_commit::{DirectEngine, Engine, LockWait, Outbox, Pending, Receipt};
use crate::poison::Poison;
use crate::segment::{Position, Writer};

/// An operation whose result waits for the write or for the sync.
pub(super) struct Waiting {
    receipt: Receipt<WalOutcome>,
    outcome: WalOutcome,
    until: Until,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Written; a sync follows in time.
    Written,
    /// Written; a sync follows at once.
    WrittenThenSync,
    Durable,
}

/// Commits to a log. It has the directory's lock for as long as it lives.
pub struct WalEngine {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) options: WalOptions,
    pub(super) writer: Writer,
    pub(super) preparation: Preparation,
    pub(super) view: Arc<View>,
    pub(super) publication: Publication,
    pub(super) poison: Poison,
    pub(super) events: Events,
    pub(super) metrics: Arc<WalMetrics>,
    /// The log as it is staged.
    pub(super) state: State,
    /// The active segment, as it is staged.
    pub(super) index: LogIndex,
    pub(super) batch: Batch,
    pub(super) updates: Vec<Update>,
    /// Since when something is written and not synced.
    pub(super) unsynced_since: Option<Duration>,
    /// Segments before a number that a purge made superfluous, and where it ends: they go when a
    /// later frame proves the purge (SG-7).
    pub(super) removal: Option<Removal>,
    /// Whether the next segment could not be had, and that was told.
    pub(super) full: bool,
    /// The log's lock.
    pub(super) directory: Box<dyn File>,
    pub(super) bug: Option<Bug>,
}

/// Segments that are of no use any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removal {
    /// Those before this number.
    segment: u32,
    /// Where the purge ends.
    purged: Position,
    /// Whether a mark was tried for it; then it waits for the next frame.
    is_tried: bool,
}

impl WalEngine {
    /// Writes what is staged and tells readers.
    pub(super) fn write(&mut self) -> Result<()> {
        self.flush();
        let began = self.storage.monotonic();
        let before = self.writer.written();
        let written = self.writer.write().map_err(|error| self.give_up(&error))?;
        if written > before {
            self.metrics.write_us.record(self.storage.monotonic().saturating_sub(began));
            self.unsynced_since.get_or_insert(began);
        }
        self.view.written(self.updates.drain(..), written);
        self.publication.written(written);
        self.prepare_in_time();
        Ok(())
    }

    /// Syncs what is written, if anything is not, and tells readers.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.writer.synced() < self.writer.written() {
            self.publish_early();
            self.writer.sync().map_err(|error| self.give_up(&error))?;
        }
        self.unsynced_since = None;
        self.publication.durable(self.writer.synced());
        let superfluous = self.view.durable();
        if let Some(removal) = self.removal
            && self.writer.synced() > removal.purged
        {
            // A frame that came after the purge, and knew it to be synced, is durable itself.
            self.preparation.remove_before(removal.segment);
            self.removal = None;
        }
        if let Some(segment) = superfluous {
            self.remove_later(segment);
        }
        Ok(())
    }

    /// Whether a mark would let segments go.
    fn wants_mark(&self) -> bool {
        self.removal.is_some_and(|removal| !removal.is_tried)
    }

    /// Gives up the segments before a number as soon as a later frame proves what made them so.
    pub(super) fn remove_later(&mut self, segment: u32) {
        self.removal = Some(Removal { segment, purged: self.writer.synced(), is_tried: false });
    }

    /// Writes a mark, which proves all that is before it, and syncs it.
    pub(super) fn mark(&mut self) -> Result<()> {
        self.write()?;
        self.sync()?;
        if let Some(removal) = &mut self.removal {
            removal.is_tried = true;
        }
        self.writer.close_mark().map_err(|error| self.give_up(&error))?;
        self.publication.written(self.writer.written());
        self.sync()
    }

    /// E-3.
    pub(super) fn give_up(&self, cause: &Error) -> Error {
        // To try again would not help, whatever failed and for want of what.
        let advice = match cause.kind() {
            ErrorKind::NoSpace => {
                "; the log takes nothing more: free some space, then close it and open it again"
            }
            _ => "; the log takes nothing more: close it and open it again",
        };
        let error = cause.clone().indeterminate().advising(advice);
        self.publication.poisoned();
        self.poison.set(&error);
        if let Err(poisoned) = self.poison.check() {
            self.view.end(poisoned);
        }
        error
    }

    /// Has the next segment made when this one is half full.
    fn prepare_in_time(&self) {
        let segment = self.writer.segment();
        if self.writer.position().offset() > segment.size_bytes() / 2 {
            self.preparation.begin(segment.number());
        }
    }

    /// Writes, syncs if anybody asked for it, and settles.
    fn finish_group(&mut self, waiting: Vec<Waiting>, outbox: &mut Outbox<WalOutcome>) {
        let at_once = waiting.iter().any(|waiting| waiting.until != Until::Written);
        let waiting = self.honest(waiting, outbox);
        let mut done = self.poison.check().and_then(|()| self.write());
        let (durable, written): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiting| waiting.until == Until::Durable);
        if !written.is_empty() {
            settle(written, &done, outbox);
            // Whoever asked for "written" does not wait for the sync.
            outbox.send();
        }
        if at_once {
            done = done.and_then(|()| self.sync());
        }
        settle(durable, &done, outbox);
    }

    /// What comes next must not put off the sync of what is there (C5).
    fn sync_if_due(&mut self) {
        if self.sync_due().is_some_and(|due| due <= self.storage.monotonic()) {
            let _poisons_if_it_fails = self.sync();
        }
    }

    /// When the oldest unsynced byte has waited for as long as it may.
    fn sync_due(&self) -> Option<Duration> {
        let delay = self.options.sync.delay().unwrap_or_default();
        self.unsynced_since.map(|since| since.saturating_add(delay))
    }
}

pub(super) fn settle(waiting: Vec<Waiting>, done: &Result<()>, outbox: &mut Outbox<WalOutcome>) {
    for Waiting { receipt, outcome, .. } in waiting {
        outbox.settle(
            receipt,
            match done {
                Ok(()) => Ok(outcome),
                Err(error) => Err(error.clone().indeterminate()),
            },
        );
    }
}

impl Engine for WalEngine {
    type Op = WalOp;
    type Output = WalOutcome;
    type Claim = ();

    fn claim(_op: &WalOp) {}

    fn acquire(&mut self, _claim: (), _wait: &LockWait) -> Result<()> {
        Ok(())
    }

    fn commit(
        &mut self,
        group: Vec<Pending<WalOp, WalOutcome>>,
        outbox: &mut Outbox<WalOutcome>,
    ) -> Vec<Pending<WalOp, WalOutcome>> {
        self.sync_if_due();
        let mut waiting = Vec::with_capacity(group.len());
        for pending in group {
            let (op, pending) = pending.split();
            match self.stage(op) {
                Ok((outcome, until)) => {
                    waiting.push(Waiting { receipt: pending.receipt, outcome, until });
                }
                Err(error) => outbox.settle(pending.receipt, Err(error)),
            }
        }
        self.finish_group(waiting, outbox);
        Vec::new()
    }

    fn release(&mut self) {}

    fn due(&self) -> Option<Duration> {
        if self.poison.is_set() {
            return None;
        }
        if self.wants_mark() {
            return Some(Duration::ZERO);
        }
        self.sync_due()
    }

    fn on_due(&mut self, _outbox: &mut Outbox<WalOutcome>) {
        let _poisons_if_it_fails = if self.wants_mark() { self.mark() } else { self.sync() };
    }

    fn finish(&mut self, _outbox: &mut Outbox<WalOutcome>) {
        // Before the mark: it is given up meanwhile.
        self.preparation.stop();
        if !self.poison.is_set() {
            let _poisons_if_it_fails = self.mark();
        }
        self.view.end(Error::closed());
    }

    fn let_go(&mut self) {
        // No file is made or removed once the log's lock is free.
        self.preparation.finish();
        self.publication.unlock();
        let _it_ends_with_the_descriptor = self.directory.unlock(Site::LockRelease);
    }
}

impl DirectEngine for WalEngine {
    fn commit_one(&mut self, op: &WalOp) -> Result<WalOutcome> {
        self.sync_if_due();
        let staged = self.stage(op.clone());
        if staged.is_ok() && self.acknowledges_early() {
            return staged.map(|(outcome, _)| outcome);
        }
        // Also where it is refused: what was staged on the way, as a roll, is told.
        let mut done = self.poison.check().and_then(|()| self.write());
        let (outcome, until) = staged?;
        if until == Until::Durable {
            done = done.and_then(|()| self.sync());
        } else if until == Until::WrittenThenSync && done.is_ok() {
            // E-2: whoever asked for "written" is told of the write, here as in a group.
            let _poisons_if_it_fails = self.sync();
        }
        done.map(|()| outcome).map_err(Error::indeterminate)
    }
}

impl std::fmt::Debug for WalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WalEngine").field("writer", &self.writer).finish_non_exhaustive()
    }
}
