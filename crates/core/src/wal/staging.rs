//! What each operation stages: frames in the writer, and updates for readers.
//!
//! E-1, E-4 and E-5 of `engine.rs`: batches share frames and never span them, what is refused has
//! changed nothing, and a purge has room of its own.

use std::sync::Arc;

use super::engine::{Until, WalEngine};
use super::index::{LogIndex, SegmentIndex};
use super::op::{HardState, Records, SyncOverride, WalOp, WalOutcome};
use super::options::SyncLevel;
use super::state::{
    Change, FLAG_HARD_STATE, FLAG_NO_HARD_STATE, KIND_ENTRIES, KIND_PURGE, KIND_TRUNCATE,
};
use super::view::{Update, expired};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::segment::{Segment, frame_bytes};

/// Appends are put together into one frame up to this size.
const FRAME_BYTES_MAX: u32 = 1 << 20;

/// Appends that will share a frame.
#[derive(Debug, Default)]
pub(super) struct Batch {
    first: u64,
    hard_state: Option<HardState>,
    records: Vec<Arc<Records>>,
    record_count: usize,
    record_bytes: usize,
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

impl WalEngine {
    /// Stages one operation: what it will come to, and when that is true.
    pub(super) fn stage(&mut self, op: WalOp) -> Result<(WalOutcome, Until)> {
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
    pub(super) fn flush(&mut self) {
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
        let next = match self.next_segment() {
            Ok(next) => next,
            Err(error) => {
                // E-4: a file may have got its name or not; of the operation there is nothing.
                let error = error.definite();
                // A log that gave up on the way has told that instead.
                let is_full = error.kind() == ErrorKind::NoSpace && !self.poison.is_set();
                if is_full && !std::mem::replace(&mut self.full, true) {
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

    /// The segment to go on in. What a purge has given up makes room for it, once the purge is
    /// proven: a full log that is purged goes on at once.
    fn next_segment(&mut self) -> Result<Arc<Segment>> {
        if self.options.sync.delay().is_some() && self.unsynced_since.is_some() {
            // To wait for a segment may take longer than what is written may wait for its sync.
            self.write()?;
            self.sync()?;
        }
        let active = self.writer.segment().number();
        match self.preparation.take(active) {
            Err(error) if error.kind() == ErrorKind::NoSpace && self.has_purged() => {
                self.mark()?;
                self.preparation.take(active)
            }
            taken => taken,
        }
    }

    /// Whether a purge was staged whose segments are still there.
    fn has_purged(&self) -> bool {
        let staged = self.updates.iter().any(|update| matches!(update, Update::Purge { .. }));
        staged || self.removal.is_some()
    }
}
