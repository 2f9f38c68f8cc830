//! Walks a log frame by frame and verifies its chain.
//!
//! It reads through a window, copies, and then verifies; it never reads beyond the limit that it
//! is given, because what lies there may still change (SG-1). It keeps the verified bytes of the
//! block that it stands in: whoever goes on writing there must write just these again (SG-10).

use std::sync::Arc;

use super::file::Segment;
use super::format::{
    BLOCK, FRAME_HEADER, FRAME_HEADER_BYTES, FrameHeader, Reason, block_down, block_up,
};
use super::frame::Frame;
use super::log::Log;
use super::seal::Link;
use super::staging::Staging;
use super::writer::Writer;
use super::{BLOCK_BYTES, FIRST_OFFSET, Position};
use crate::error::{Error, ErrorKind, Result};

/// How much is read at once. A larger frame gets a window of its own.
const WINDOW_BYTES: u32 = 64 * BLOCK_BYTES;

/// A place in a log, and what is needed to go on from there.
#[derive(Debug)]
pub struct Cursor {
    segment: Arc<Segment>,
    offset: u32,
    chain: u64,
    /// At the start of a segment: where its link must say that it goes on from, if that is known.
    expected: Option<Link>,
    window: Vec<u8>,
    window_start: u32,
    /// The verified bytes of the block that the last frame ends in, up to the offset; nothing if
    /// not all of them were walked.
    tail: Option<Vec<u8>>,
}

impl Cursor {
    /// A cursor behind the frame that ends at `offset` and has this chain. At the start of a
    /// segment, the link tells its chain itself.
    #[must_use]
    pub fn at(segment: &Arc<Segment>, offset: u32, chain: u64) -> Self {
        Self {
            segment: Arc::clone(segment),
            offset,
            chain,
            expected: None,
            window: Vec::new(),
            window_start: 0,
            tail: (offset == FIRST_OFFSET).then(Vec::new),
        }
    }

    /// A cursor at the start of a segment.
    #[must_use]
    pub fn start(segment: &Arc<Segment>) -> Self {
        Self::at(segment, FIRST_OFFSET, 0)
    }

    /// A cursor behind what a writer has written.
    pub(super) fn behind(
        segment: &Arc<Segment>,
        offset: u32,
        chain: u64,
        expected: Option<Link>,
        tail: Vec<u8>,
    ) -> Self {
        Self { expected, tail: Some(tail), ..Self::at(segment, offset, chain) }
    }

    /// The same, knowing where the segment's link must say that it goes on from.
    pub(super) fn expecting(mut self, before: u32, end: u32, chain: u64) -> Self {
        self.expected = Some(Link { before, end, chain, by_recovery: false });
        self.chain = chain;
        self
    }

    /// The end of the frame that was read last.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.segment.number(), self.offset)
    }

    /// The chain there.
    #[must_use]
    pub const fn chain(&self) -> u64 {
        self.chain
    }

    /// The segment that it stands in.
    #[must_use]
    pub const fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The next frame, links and marks included; nothing at the limit, or at the end of a
    /// complete segment if the limit lies in a later one: then [`Cursor::go_on`].
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` if what lies below the limit is no valid frame, or the limit no frame's
    /// end; `TIDEMARK_IO`.
    pub fn next(&mut self, limit: Position) -> Result<Option<Frame>> {
        let own = self.segment.number();
        if limit <= self.position() {
            return Ok(None);
        }
        if limit.segment() == own {
            return self.expect_frame(limit.offset()).map(Some);
        }
        let seal = self.segment.seal()?;
        let seal =
            seal.map_err(|reason| self.segment.corrupt(self.segment.frames_end(), reason))?;
        if self.offset < seal.end {
            return self.expect_frame(seal.end).map(Some);
        }
        if (self.offset, self.chain) == (seal.end, seal.chain) {
            Ok(None)
        } else {
            let reason = "the seal does not name the frame that comes last";
            Err(self.segment.corrupt(self.segment.frames_end(), reason))
        }
    }

    fn expect_frame(&mut self, limit: u32) -> Result<Frame> {
        self.step(limit)?.map_err(|reason| self.segment.corrupt(self.offset, reason))
    }

    /// Enters the segment that follows, whose link must go on from just here.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` if it does not; `TIDEMARK_IO`.
    pub fn go_on(&mut self, next: &Arc<Segment>) -> Result<()> {
        let own = self.segment.number();
        if own.checked_add(1) != Some(next.number()) {
            return Err(next.corrupt(0, "it does not follow the segment before"));
        }
        if next.header().log_id != self.segment.header().log_id {
            return Err(next.corrupt(0, "it is of another log than the segment before"));
        }
        *self = Self::start(next).expecting(own, self.offset, self.chain);
        Ok(())
    }

    /// The next valid frame that ends at or before the limit; what is wrong if there is none.
    pub(super) fn step(&mut self, limit: u32) -> Result<std::result::Result<Frame, Reason>> {
        let next = block_up(self.offset);
        let here = if self.offset == next || next - self.offset >= FRAME_HEADER_BYTES {
            self.frame_at(self.offset, limit)?
        } else {
            Err("there is no frame")
        };
        let found = match here {
            Err(_) if next != self.offset => self.frame_at(next, limit)?.or(here),
            here => here,
        };
        if let Ok(frame) = &found {
            self.accept(frame);
        }
        Ok(found)
    }

    fn frame_at(&mut self, start: u32, limit: u32) -> Result<std::result::Result<Frame, Reason>> {
        let limit = limit.min(self.segment.frames_end());
        if limit.checked_sub(start).is_none_or(|room| room < FRAME_HEADER_BYTES) {
            return Ok(Err("there is no room for a frame"));
        }
        let at = Position::new(self.segment.number(), start);
        let (salt, end) = (self.segment.salt(), self.segment.frames_end());
        let header = self.load(start, FRAME_HEADER, limit)?;
        let header = match FrameHeader::decode(header, salt, at, end) {
            Ok(header) if header.end().offset() > limit => {
                return Ok(Err("the frame reaches beyond the end of the log"));
            }
            Ok(header) => header,
            Err(reason) => return Ok(Err(reason)),
        };
        let bytes = self.body(start, header.frame_bytes(), limit)?;
        Ok(Frame::check(header, bytes).and_then(|frame| self.check_chain(frame)))
    }

    fn check_chain(&self, frame: Frame) -> std::result::Result<Frame, Reason> {
        let mut before = self.chain;
        if frame.start().offset() == FIRST_OFFSET {
            let (link, _) = frame.as_link()?;
            if let Some(expected) = self.expected
                && (Link { by_recovery: false, ..link }) != expected
            {
                return Err("the link goes on from another place than where the log was");
            }
            before = link.chain;
        }
        let follows = frame.follows(before, self.segment.salt());
        if follows { Ok(frame) } else { Err("the frame is not the one that followed: its chain") }
    }

    fn accept(&mut self, frame: &Frame) {
        let (start, end) = (frame.start().offset(), frame.end().offset());
        let block = block_down(end - 1);
        let bytes = frame.bytes();
        if start >= block {
            if block_down(self.offset - 1) < block {
                self.tail = Some(Vec::new());
            }
            if let Some(tail) = &mut self.tail {
                tail.resize((start - block) as usize, 0);
                tail.extend_from_slice(bytes);
            }
        } else {
            let rest = bytes.get((block - start) as usize..);
            self.tail = Some(rest.unwrap_or_default().to_vec());
        }
        self.offset = end;
        self.chain = frame.chain();
        self.expected = None;
    }

    /// A whole frame. A large one is read to where it stays, past the window.
    fn body(&mut self, start: u32, size_bytes: u32, limit: u32) -> Result<Vec<u8>> {
        if size_bytes <= WINDOW_BYTES {
            return Ok(self.load(start, size_bytes as usize, limit)?.to_vec());
        }
        let mut bytes = vec![0; size_bytes as usize];
        self.segment.read_into(&mut bytes, start)?;
        Ok(bytes)
    }

    /// Bytes of the segment, from the window; reads it where needed, up to the limit.
    fn load(&mut self, start: u32, size: usize, limit: u32) -> Result<&[u8]> {
        let within = |this: &Self| {
            let at = start.checked_sub(this.window_start)? as usize;
            (at.checked_add(size)? <= this.window.len()).then_some(at)
        };
        if within(self).is_none() {
            let from = block_down(start);
            let wanted = u64::from(start) + size as u64;
            let wanted = wanted.max(u64::from(from) + u64::from(WINDOW_BYTES));
            let to = u32::try_from(wanted).unwrap_or(u32::MAX).min(limit);
            // Emptied first: what is left behind by a read that fails must not be believed.
            self.window.clear();
            let mut window = std::mem::take(&mut self.window);
            window.resize((to - from) as usize, 0);
            self.segment.read_into(&mut window, from)?;
            self.window = window;
            self.window_start = from;
        }
        let at = within(self).unwrap_or(usize::MAX);
        let bytes = self.window.get(at..).and_then(|rest| rest.get(..size));
        bytes.ok_or_else(|| Error::new(ErrorKind::Internal, "a window without what was read"))
    }

    /// Makes the writer that goes on from here. The caller holds the log's lock, and has walked
    /// up to all that was written; `synced` is what is known to be on the medium.
    ///
    /// At the start of a segment its link is staged, with this preamble.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` if the bytes to write again have changed; `TIDEMARK_IO`.
    pub fn into_writer(self, log: &Log, synced: Position, preamble: &[u8]) -> Result<Writer> {
        let tail = if let Some(tail) = self.tail {
            tail
        } else {
            let block = block_down(self.offset - 1);
            let mut tail = vec![0; (self.offset - block) as usize];
            self.segment.read_into(&mut tail, block)?;
            tail
        };
        debug_assert!(tail.len() <= BLOCK, "a tail is a part of a block");
        let staging = Staging::new(
            self.segment.header(),
            self.segment.frames_end(),
            log.identity(),
        )
        .behind(self.offset, self.chain, tail, synced);
        let mut writer = Writer::new(&self.segment, staging, log.proven());
        if self.offset > FIRST_OFFSET {
            return Ok(writer.over_a_stale_tail());
        }
        writer.link(self.expected.unwrap_or_default(), preamble);
        Ok(writer)
    }
}
