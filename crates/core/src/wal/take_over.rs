//! What is new to a reader whose log was read again, because another writer has taken over or a
//! purge was faster than the reader.
//!
//! ```text
//! before   segment n     link, proven frames | frame, frame, ...   the reader stands here
//! after    segment n     link, proven frames | seal
//!          segment n+1   link, frame, frame, ...                   copies, then what is new
//! ```
//!
//! A recovery copies the frames that were not proven, in their order (SG-8). Those that the reader
//! had walked are no news to it: a truncate among them was told when it came (F-2, R-4).

use std::sync::Arc;

use super::replay::Found;
use super::state::KIND_TRUNCATE;
use crate::error::Result;
use crate::segment::{
    BLOCK_BYTES, Cursor, Frame, KIND_USER_MIN, Log, Position, Reach, Segment, Window,
};

/// How much of a segment is read at once.
const AHEAD_BYTES: u32 = 64 * BLOCK_BYTES;
/// Where the end of the segment before is, in a link's first record.
const LINK_END_AT: usize = 4;

/// Where the user's frames begin that were walked in a segment and that no frame there proves.
#[derive(Debug, Default)]
pub(super) struct Unproven {
    starts: Vec<u32>,
}

impl Unproven {
    /// Takes note of a frame of the user's.
    pub(super) fn note(&mut self, frame: &Frame) {
        let synced = frame.synced();
        if synced.segment() == frame.start().segment() {
            let proven = self.starts.partition_point(|start| *start < synced.offset());
            self.starts.drain(..proven);
        }
        self.starts.push(frame.start().offset());
    }

    /// How many begin at or behind an offset.
    fn count_from(&self, offset: u32) -> usize {
        self.starts.iter().filter(|start| **start >= offset).count()
    }
}

/// A reader's place in the log as it was.
pub(super) struct Behind<'a> {
    pub(super) cursor: &'a Cursor,
    pub(super) unproven: &'a Unproven,
}

impl Behind<'_> {
    /// The lowest next LSN that truncates led to which the reader has not walked, in the log as it
    /// was read again, up to `end`. Where that cannot be told, all that may have been cut counts.
    pub(super) fn lowest_cut(&self, log: &Log, found: &Found, end: Position) -> Option<u64> {
        let own = self.cursor.segment().number();
        self.search(log, found, end).unwrap_or_else(|_| found.index.lowest_cut_from(own))
    }

    fn search(&self, log: &Log, found: &Found, end: Position) -> Result<Option<u64>> {
        let own = self.cursor.segment();
        let here = log.open_segment(own.number());
        let (landing, from, skip) = match &here {
            // A recovery made it again: nothing of it had been proven.
            Ok(again) if !again.is_same_life(own) => {
                (Arc::clone(again), BLOCK_BYTES, self.unproven.count_from(BLOCK_BYTES))
            }
            _ => {
                let offset = self.cursor.position().offset();
                let Ok(own_end) = end_of(log, own.number(), end) else {
                    return Ok(Some(before(found.state.first)));
                };
                match &here {
                    _ if offset > own_end => {
                        let next = log.open_segment(own.number().saturating_add(1))?;
                        (next, BLOCK_BYTES, self.unproven.count_from(own_end))
                    }
                    Ok(same) => (Arc::clone(same), offset, 0),
                    Err(_) => return Ok(Some(before(found.state.first))),
                }
            }
        };
        let landing_end = end_of(log, landing.number(), end)?;
        let walked = lowest_in(&landing, from, landing_end, skip)?;
        let later = found.index.lowest_cut_from(landing.number().saturating_add(1));
        Ok(walked.into_iter().chain(later).min())
    }
}

/// What counts as cut for a reader whose place is gone, when `first` is the first LSN that is left.
/// What it has seen from there on was cut off, or it would not be gone; what it has seen below may
/// have been, and other entries purged in its place. Who has not come to `first` hears of the purge
/// instead, and nobody has seen what is below 1.
fn before(first: u64) -> u64 {
    first.saturating_sub(1).max(1)
}

/// Where the frames of a segment end, if the log ends at `end`.
fn end_of(log: &Log, number: u32, end: Position) -> Result<u32> {
    if end.segment() == number {
        return Ok(end.offset());
    }
    let next = log.open_segment(number.saturating_add(1))?;
    let link = next.read_frame(BLOCK_BYTES)?;
    let word = link.record(0).and_then(|link| link.get(LINK_END_AT..)?.first_chunk::<4>());
    // A link has that record: reading it has checked that.
    Ok(word.map_or(0, |word| u32::from_le_bytes(*word)))
}

/// The lowest next LSN of the truncates between two offsets, without the first frames.
fn lowest_in(segment: &Arc<Segment>, from: u32, end: u32, skip: usize) -> Result<Option<u64>> {
    let (mut lowest, mut skip, mut offset) = (None::<u64>, skip, from);
    let (mut window, reach) = (Window::default(), Reach { limit: end, ahead: AHEAD_BYTES });
    while offset < end {
        let start = window.next_offset(segment, offset, reach)?;
        let header = window.header(segment, start, reach)?;
        if header.kind() >= KIND_USER_MIN {
            if skip > 0 {
                skip -= 1;
            } else if header.kind() == KIND_TRUNCATE {
                let next = header.number().saturating_add(1);
                lowest = Some(lowest.map_or(next, |lowest| lowest.min(next)));
            }
        }
        offset = header.end().offset();
    }
    Ok(lowest)
}
