//! Reads single frames of a segment, and ahead of them what lies behind.
//!
//! ```text
//! where a walk begins                      the frame that is looked for
//! v                                        v
//! | frame | frame | frame | frame | ... | frame | ...      the limit
//! |<----------------- one call ----------------------->|
//! ```
//!
//! Invariants
//! - WN-1 Nothing beyond the caller's limit is read, which is no more than what was published: it
//!   never changes (SG-1), so that what is in the window stays true.
//! - WN-2 Only what is asked for is checked. What cannot be read ahead is read when it is asked
//!   for, and fails then.
//! - WN-3 A window keeps no segment open: a purge may recycle it (SG-7).
//!
//! Not promised: that a frame is part of the log. Whoever asks knows that it lies there.

use std::sync::{Arc, Weak};

use super::Position;
use super::file::Segment;
use super::format::{FRAME_HEADER, FRAME_HEADER_BYTES, FrameHeader, Reason, block_up};
use super::frame::Frame;
use crate::error::Result;

/// A window grows for a larger frame up to this size; a frame that is larger is not kept.
const KEPT_BYTES_MAX: u32 = 1 << 20;

/// How far to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Nothing from here on is read: the published end, or the end of the segment's frames.
    pub limit: u32,
    /// How much is read in one call, if there is so much below the limit.
    pub ahead: u32,
}

/// Bytes of one segment that are kept in memory.
#[derive(Debug, Default)]
pub struct Window {
    segment: Weak<Segment>,
    start: u32,
    bytes: Vec<u8>,
}

impl Window {
    /// Whether what is kept is of this segment.
    #[must_use]
    pub fn is_of(&self, segment: &Arc<Segment>) -> bool {
        std::ptr::eq(self.segment.as_ptr(), Arc::as_ptr(segment))
    }

    /// The header of the frame at an offset.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` if there is none; `TIDEMARK_IO`.
    pub fn header(
        &mut self,
        segment: &Arc<Segment>,
        offset: u32,
        reach: Reach,
    ) -> Result<FrameHeader> {
        let header = self.try_header(segment, offset, reach)?;
        header.map_err(|reason| segment.corrupt(offset, reason))
    }

    /// The frame at an offset. All of it is checked but its chain: what lies below a published
    /// position is part of the log.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` with path and offset; `TIDEMARK_IO`.
    pub fn frame(&mut self, segment: &Arc<Segment>, offset: u32, reach: Reach) -> Result<Frame> {
        let header = self.header(segment, offset, reach)?;
        let size = header.frame_bytes();
        let bytes = if size > KEPT_BYTES_MAX.max(reach.ahead) {
            self.large(segment, offset, size as usize)?
        } else {
            self.load(segment, offset, size, reach)?.to_vec()
        };
        Frame::check(header, bytes).map_err(|reason| segment.corrupt(offset, reason))
    }

    /// Where the frame after one that ends at `end` starts: there, or at the next block. Ask only
    /// for an end below the limit: there is a frame then.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` if no header of a frame is at either; `TIDEMARK_IO`.
    pub fn next_offset(&mut self, segment: &Arc<Segment>, end: u32, reach: Reach) -> Result<u32> {
        for offset in [end, block_up(end)] {
            if self.try_header(segment, offset, reach)?.is_ok() {
                return Ok(offset);
            }
        }
        Err(segment.corrupt(end, "there is no frame"))
    }

    fn try_header(
        &mut self,
        segment: &Arc<Segment>,
        offset: u32,
        reach: Reach,
    ) -> Result<std::result::Result<FrameHeader, Reason>> {
        let frames_end = segment.frames_end();
        let limit = reach.limit.min(frames_end);
        if limit.checked_sub(offset).is_none_or(|room| room < FRAME_HEADER_BYTES) {
            return Ok(Err("there is no room for a frame"));
        }
        let start = Position::new(segment.number(), offset);
        let bytes = self.load(segment, offset, FRAME_HEADER_BYTES, Reach { limit, ..reach })?;
        Ok(match FrameHeader::decode(bytes, segment.salt(), start, frames_end) {
            Ok(header) if header.end().offset() > limit => {
                Err("the frame reaches beyond the end of the log")
            }
            decoded => decoded,
        })
    }

    /// What is kept from an offset on.
    fn kept(&self, segment: &Arc<Segment>, offset: u32) -> &[u8] {
        let at = offset.checked_sub(self.start).filter(|_| self.is_of(segment));
        at.and_then(|at| self.bytes.get(at as usize..)).unwrap_or_default()
    }

    /// Bytes of a segment; reads them where needed, and more. `size` bytes lie below the limit.
    fn load(
        &mut self,
        segment: &Arc<Segment>,
        offset: u32,
        size: u32,
        reach: Reach,
    ) -> Result<&[u8]> {
        let size_bytes = size as usize;
        if self.kept(segment, offset).len() < size_bytes {
            let ahead = if segment.reads_ahead() { reach.ahead } else { 0 };
            let most = reach.limit.saturating_sub(offset).min(ahead).max(size);
            // Emptied first: what is left behind by a read that fails must not be believed.
            self.segment = Weak::new();
            self.bytes.clear();
            self.bytes.resize(most as usize, 0);
            let read = segment.read_ahead(&mut self.bytes, offset, size_bytes)?;
            self.bytes.truncate(read);
            self.start = offset;
            self.segment = Arc::downgrade(segment);
        }
        Ok(self.kept(segment, offset).get(..size_bytes).unwrap_or_default())
    }

    /// The bytes of a frame that no window holds: what is kept of it, and the rest in one call.
    fn large(&self, segment: &Arc<Segment>, offset: u32, size: usize) -> Result<Vec<u8>> {
        let kept = self.kept(segment, offset);
        let mut bytes = kept.get(..size.min(kept.len())).unwrap_or_default().to_vec();
        let have = bytes.len();
        bytes.resize(size, 0);
        if let Some(rest) = bytes.get_mut(have..).filter(|rest| !rest.is_empty()) {
            let at = u32::try_from(have).unwrap_or(u32::MAX).saturating_add(offset);
            segment.read_into(rest, at)?;
        }
        Ok(bytes)
    }
}

const _: () = assert!(FRAME_HEADER == FRAME_HEADER_BYTES as usize);
