//! Where a reader stands in a segment: entries are found by walking from a point of the sparse
//! index, and who reads on goes on where it was.

use std::sync::Arc;

use super::index::Place;
use super::op::{Entries, Records};
use super::state::{FLAG_HARD_STATE, KIND_ENTRIES};
use super::view::Look;
use crate::error::Result;
use crate::segment::{BLOCK_BYTES, FrameHeader, Reach, Segment, Window};

/// The distance of two points of the index is at most this part of a segment.
const STEPS_PER_SEGMENT: u32 = 256;
/// What is read at once to find an entry, at least and at most.
const STEP_BYTES_MIN: u32 = 64 << 10;
const STEP_BYTES_MAX: u32 = 1 << 20;
/// What is read at once by who reads on.
const AHEAD_BYTES: u32 = 256 << 10;

/// A place in a segment, and what was read around it.
#[derive(Debug, Default)]
pub(super) struct Stand {
    window: Window,
    /// The LSN that was not read any more, and a frame of the window's segment from which on it is
    /// found.
    lsn: u64,
    offset: u32,
}

impl Stand {
    /// Reads what is looked for from a place on, which the log has; up to the end of the place.
    pub(super) fn read(
        &mut self,
        segment: &Arc<Segment>,
        place: Place,
        look: &Look,
    ) -> Result<Entries> {
        let mut reach = Reach { limit: place.limit, ahead: step_bytes(segment) };
        let mut offset = place.offset;
        // Between two points LSNs rise. What a truncate killed lies before the point of what took
        // its place.
        if self.window.is_of(segment) && self.lsn <= look.from {
            if self.lsn == look.from {
                reach.ahead = reach.ahead.max(AHEAD_BYTES);
            }
            offset = offset.max(self.offset);
        }
        let mut found = Entries { first: look.from, records: Records::default() };
        let (mut lsn, mut end) = (look.from, offset);
        while lsn < place.until {
            let header = self.window.header(segment, offset, reach)?;
            if header.kind() == KIND_ENTRIES && header.number() > lsn {
                // The frame after the one before was not there, but one in the next block.
                return Err(segment.corrupt(end, "the frame that was here is gone"));
            }
            if let Some(skip) = holds(&header, lsn) {
                let frame = self.window.frame(segment, offset, reach)?;
                for record in frame.records().skip(skip) {
                    let full = found.records.size_bytes() + record.len() > look.bytes_max;
                    if lsn >= place.until || (full && !found.records.is_empty()) {
                        (self.lsn, self.offset) = (lsn, offset);
                        return Ok(found);
                    }
                    found.records.push(record);
                    lsn += 1;
                }
            }
            if lsn < place.until {
                end = header.end().offset();
                offset = self.window.next_offset(segment, end, reach)?;
                if !found.records.is_empty() {
                    reach.ahead = reach.ahead.max(AHEAD_BYTES);
                }
            }
        }
        (self.lsn, self.offset) = (lsn, offset);
        Ok(found)
    }
}

/// The number of the record with this LSN, if the frame has it.
fn holds(header: &FrameHeader, lsn: u64) -> Option<usize> {
    if header.kind() != KIND_ENTRIES {
        return None;
    }
    let skip = u64::from(header.flags() == FLAG_HARD_STATE);
    let index = lsn.checked_sub(header.number())?.checked_add(skip)?;
    usize::try_from(index).ok().filter(|index| *index < header.record_count())
}

/// How much is read to find an entry: all that lies between two points of the index, so that the
/// frame begins in it, and the block that it may fill.
fn step_bytes(segment: &Segment) -> u32 {
    let step = segment.made_bytes() / STEPS_PER_SEGMENT;
    step.saturating_add(BLOCK_BYTES).clamp(STEP_BYTES_MIN + BLOCK_BYTES, STEP_BYTES_MAX)
}
