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
use super::index::{LogIndex, SegmentIndex};
use super::metrics::WalMetrics;
use super::op::{HardState, Records, SyncOverride, WalOp, WalOutcome};
use super::options::{SyncLevel, WalOptions};
use super::preparation::Preparation;
use super::publication::Publication;
use super::state::{
    Change, FLAG_HARD_STATE, FLAG_NO_HARD_STATE, KIND_ENTRIES, KIND_PURGE, KIND_TRUNCATE, State,
};
use super::view::{Update, View, expired};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Events};
use crate::group_commit::{Engine, LockWait, Outbox, Pending, Receipt};
use crate::poison::Poison;
use crate::segment::{Position, Writer, frame_bytes};

/// Appends are put together into one frame up to this size.
const FRAME_BYTES_MAX: u32 = 1 << 20;
/// A sync that takes longer is told.
const SLOW_SYNC: Duration = Duration::from_secs(1);

/// Appends that will share a frame.
#[derive(Debug, Default)]
struct Batch {
    first: u64,
    hard_state: Option<HardState>,
    records: Vec<Arc<Records>>,
    record_count: usize,
    record_bytes: usize,
}

/// An operation whose result waits for the write or for the sync.
pub(super) struct Waiting {
    receipt: Receipt<WalOutcome>,
    outcome: WalOutcome,
    until: Until,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
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
    state: State,
    /// The active segment, as it is staged.
    index: LogIndex,
    batch: Batch,
    updates: Vec<Update>,
    /// Since when something is written and not synced.
    unsynced_since: Option<Duration>,
    /// Segments before a number that a purge made superfluous, and where it ends: they go when a
    /// later frame proves the purge (SG-7).
    removal: Option<(u32, Position)>,
    /// Whether the next segment could not be had, and that was told.
    full: bool,
    /// The log's lock.
    directory: Box<dyn File>,
    pub(super) bug: Option<Bug>,
}

/// What an engine is made of, beside the log as it was found.
pub(super) struct EngineParts {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) options: WalOptions,
    pub(super) writer: Writer,
    pub(super) preparation: Preparation,
    pub(super) view: Arc<View>,
    pub(super) publication: Publication,
    pub(super) poison: Poison,
    pub(super) events: Events,
    pub(super) metrics: Arc<WalMetrics>,
    pub(super) state: State,
    pub(super) active: SegmentIndex,
    pub(super) directory: Box<dyn File>,
}

impl WalEngine {
    pub(super) fn new(parts: EngineParts) -> Self {
        let mut index = LogIndex::default();
        index.push(parts.active);
        Self {
            storage: parts.storage,
            options: parts.options,
            writer: parts.writer,
            preparation: parts.preparation,
            view: parts.view,
            publication: parts.publication,
            poison: parts.poison,
            events: parts.events,
            metrics: parts.metrics,
            state: parts.state,
            index,
            batch: Batch::default(),
            updates: Vec::new(),
            unsynced_since: None,
            removal: None,
            full: false,
            directory: parts.directory,
            bug: None,
        }
    }

    /// Stages one operation: what it will come to, and when that is true.
    fn stage(&mut self, op: WalOp) -> Result<(WalOutcome, Until)> {
        self.poison.check()?;
        match op {
            WalOp::Append { records, expect, hard_state, sync } => {
                let outcome = self.append(records, expect, hard_state)?;
                let until = match (sync, self.options.sync) {
                    (Some(SyncOverride::Immediate), _) | (None, SyncLevel::Immediate) => {
                        Until::Durable
                    }
                    (Some(SyncOverride::ImmediateAsync), _) | (None, SyncLevel::ImmediateAsync) => {
                        Until::WrittenThenSync
                    }
                    (None, SyncLevel::Interval(_)) => Until::Written,
                };
                return Ok((outcome, until));
            }
            WalOp::SetHardState(hard_state) => self.set_hard_state(hard_state)?,
            WalOp::Truncate { after } => self.truncate(after)?,
            WalOp::Purge { before } => self.purge(before)?,
            WalOp::Sync => return Ok((WalOutcome::Synced(self.state.last()), Until::Durable)),
        }
        Ok((WalOutcome::Done, Until::Durable))
    }

    fn append(
        &mut self,
        records: Arc<Records>,
        expect: Option<u64>,
        hard_state: Option<HardState>,
    ) -> Result<WalOutcome> {
        let first = self.state.next;
        if let Some(expect) = expect.filter(|expect| *expect != first) {
            let message = format!("the next LSN is {first}, not {expect} as expected");
            return Err(Error::new(ErrorKind::Conflict, message).with_sequence(first));
        }
        let count = records.len() as u64;
        if first.checked_add(count).is_none() {
            let message = "the log has used all its LSNs";
            return Err(Error::new(ErrorKind::TooLarge, message).with_sequence(first));
        }
        let joins = hard_state.is_none()
            && !self.batch.records.is_empty()
            && self
                .batch
                .frame_bytes_with(&records)
                .is_some_and(|size| size <= FRAME_BYTES_MAX.min(self.writer.room()));
        if !joins {
            self.flush();
            let batch = Batch { first, hard_state, ..Batch::default() };
            self.make_room(batch.frame_bytes_with(&records))?;
            self.batch = batch;
        }
        self.batch.add(records);
        self.state.next = first + count;
        Ok(WalOutcome::Appended { first, last: first + count - 1 })
    }

    fn set_hard_state(&mut self, hard_state: HardState) -> Result<()> {
        self.flush();
        let batch =
            Batch { first: self.state.next, hard_state: Some(hard_state), ..Batch::default() };
        self.make_room(batch.frame_bytes_with(&Records::default()))?;
        self.batch = batch;
        self.flush();
        Ok(())
    }

    fn truncate(&mut self, after: u64) -> Result<()> {
        if after >= self.state.next {
            let message = format!(
                "there is no LSN {after} to truncate after; the last one is {}",
                self.state.last()
            );
            return Err(Error::new(ErrorKind::NotFound, message).with_sequence(self.state.last()));
        }
        if after.saturating_add(1) < self.state.first {
            return Err(expired(after, self.state.first));
        }
        if after == self.state.last() {
            return Ok(());
        }
        self.flush();
        self.make_room(frame_bytes(0, 0))?;
        self.stage_change(KIND_TRUNCATE, after, Change::Truncate { after });
        self.updates.push(Update::Truncate { after });
        Ok(())
    }

    fn purge(&mut self, before: u64) -> Result<()> {
        if before <= self.state.first {
            return Ok(());
        }
        self.flush();
        let size = frame_bytes(0, 0);
        if size.is_none_or(|size| size > self.writer.room_with_reserve()) {
            self.make_room(size)?;
        }
        self.stage_change(KIND_PURGE, before, Change::Purge { before });
        self.updates.push(Update::Purge { before });
        Ok(())
    }

    /// Stages a frame without records.
    fn stage_change(&mut self, kind: u8, number: u64, change: Change) {
        if !self.forgets(kind) {
            self.writer.stage(kind, 0, number, []);
        }
        // Checked by the caller.
        let _applied = self.state.advance(change);
        self.index.apply(change, 0, self.state.next);
    }

    /// Stages the frame of the batch (E-1). There is room: it was made when the batch began.
    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let Batch { first, hard_state, records, record_count, .. } = batch;
        if records.is_empty() && hard_state.is_none() {
            return;
        }
        let hard = hard_state.clone().flatten();
        let flags = match (&hard_state, &hard) {
            (None, _) => 0,
            (Some(_), None) => FLAG_NO_HARD_STATE,
            (Some(_), Some(_)) => FLAG_HARD_STATE,
        };
        let frame = hard.as_deref().into_iter().chain(records.iter().flat_map(|it| it.iter()));
        let (start, _end) = self.writer.stage(KIND_ENTRIES, flags, first, frame);
        let offset = start.offset();
        let change = Change::Entries { first, count: record_count as u64, skip: 0 };
        self.index.apply(change, offset, first + record_count as u64);
        if let Some(hard_state) = hard_state {
            self.state.hard_state.clone_from(&hard_state);
            self.updates.push(Update::HardState(hard_state));
        }
        if record_count > 0 {
            self.metrics.entries.add(record_count as u64);
            self.updates.push(Update::Entries { first, offset, batches: records });
        }
    }

    /// Sees that a frame fits in the active segment, which may become the next one. The batch is
    /// flushed.
    fn make_room(&mut self, size: Option<u32>) -> Result<()> {
        let full = self.index.active().is_some_and(SegmentIndex::is_full);
        if !full && size.is_some_and(|size| size <= self.writer.room()) {
            return Ok(());
        }
        let active = self.writer.segment().number();
        let next = match self.preparation.take(active) {
            Ok(next) => next,
            Err(error) => {
                // E-4: a file may have got its name or not; of the operation there is nothing.
                let error = error.definite();
                if !std::mem::replace(&mut self.full, true) && error.kind() == ErrorKind::NoSpace {
                    self.events.emit(&Event::NoSpace { error: error.clone() });
                }
                return Err(error);
            }
        };
        self.full = false;
        let summary = self.index.active().map(|active| active.encode(&self.state));
        let (number, size_bytes) = (next.number(), next.size_bytes());
        let rolled = self.writer.roll(next, &summary.unwrap_or_default(), &self.state.encode());
        rolled.map_err(|error| self.give_up(&error))?;
        self.metrics.rolls.add(1);
        self.index = LogIndex::default();
        self.index.push(SegmentIndex::new(number, size_bytes));
        self.updates.push(Update::Roll { number, size_bytes });
        Ok(())
    }

    /// Writes what is staged and tells readers.
    fn write(&mut self) -> Result<()> {
        self.flush();
        let began = self.storage.monotonic();
        let before = self.writer.written();
        let written = self.writer.write().map_err(|error| self.give_up(&error))?;
        if written > before {
            self.metrics.write_us.record(self.storage.monotonic().saturating_sub(began));
            self.unsynced_since.get_or_insert(began);
        }
        self.view.written(self.updates.drain(..));
        self.publication.written(written);
        self.prepare_in_time();
        Ok(())
    }

    /// Syncs what is written, if anything is not, and tells readers.
    fn sync(&mut self) -> Result<()> {
        if self.writer.synced() < self.writer.written() {
            self.publish_early();
            let began = self.storage.monotonic();
            self.writer.sync().map_err(|error| self.give_up(&error))?;
            let took = self.storage.monotonic().saturating_sub(began);
            self.metrics.syncs.add(1);
            self.metrics.sync_us.record(took);
            if took > SLOW_SYNC {
                self.events.emit(&Event::SlowSync { duration: took });
            }
        }
        self.unsynced_since = None;
        self.publication.durable(self.writer.synced());
        let superfluous = self.view.durable();
        if let Some((segment, purged)) = self.removal
            && self.writer.synced() > purged
        {
            // A frame that came after the purge, and knew it to be synced, is durable itself.
            self.preparation.remove_before(segment);
            self.removal = None;
        }
        if let Some(segment) = superfluous {
            self.removal = Some((segment, self.writer.synced()));
        }
        Ok(())
    }

    /// Writes a mark, which proves all that is before it, and syncs it.
    fn mark(&mut self) -> Result<()> {
        self.write()?;
        self.sync()?;
        self.writer.close_mark().map_err(|error| self.give_up(&error))?;
        self.publication.written(self.writer.written());
        self.sync()
    }

    /// E-3.
    fn give_up(&self, cause: &Error) -> Error {
        let error = cause.clone().indeterminate();
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
        let asked = |until: Until| waiting.iter().any(|waiting| waiting.until == until);
        let at_once = asked(Until::Durable) || asked(Until::WrittenThenSync);
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

impl Batch {
    fn add(&mut self, records: Arc<Records>) {
        self.record_count += records.len();
        self.record_bytes += records.size_bytes();
        self.records.push(records);
    }

    /// Size of the frame with one batch more.
    fn frame_bytes_with(&self, records: &Records) -> Option<u32> {
        let hard = self.hard_state.as_ref().and_then(Option::as_ref);
        frame_bytes(
            self.record_count + records.len() + usize::from(hard.is_some()),
            self.record_bytes + records.size_bytes() + hard.map_or(0, |hard| hard.len()),
        )
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
        if self.sync_due().is_some_and(|due| due <= self.storage.monotonic()) {
            // What comes next must not put off the sync of what is there (C5).
            let _poisons_if_it_fails = self.sync();
        }
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
        if self.removal.is_some() {
            return Some(Duration::ZERO);
        }
        self.sync_due()
    }

    fn on_due(&mut self, _outbox: &mut Outbox<WalOutcome>) {
        let _poisons_if_it_fails = if self.removal.is_some() { self.mark() } else { self.sync() };
    }

    fn finish(&mut self, _outbox: &mut Outbox<WalOutcome>) {
        if !self.poison.is_set() {
            let _poisons_if_it_fails = self.mark();
        }
        self.preparation.finish();
        self.view.end(Error::closed());
        // Not left to the end of the descriptors, which a process just being started may share.
        self.publication.unlock();
        let _it_ends_with_the_descriptor = self.directory.unlock(Site::LockRelease);
    }
}

impl std::fmt::Debug for WalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WalEngine").field("writer", &self.writer).finish_non_exhaustive()
    }
}
