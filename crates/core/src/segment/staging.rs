//! Frames that are made in memory, behind the tail block that they share (SG-10).
//!
//! The buffer begins at a block's start and holds what is known to be there; what it holds beyond
//! what was written is staged. A block in which nothing is staged, because the next frame did not
//! fit into its rest, is not written again. A frame is chained to the one before and numbered by
//! its writer's nonce and counter when it is staged (SG-6).

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{
    ALIGNMENT, BLOCK, FRAME_HEADER, FRAME_HEADER_BYTES, FrameHeader, KIND_LINK, KIND_MARK,
    TABLE_ENTRY, block_down, block_up, frame_start, put,
};
use super::header::Header;
use super::seal::Link;
use super::{BLOCK_BYTES, FIRST_OFFSET, Position, RESERVE_BYTES, RESERVE_FROM_BYTES, frame_bytes};

/// Room that only marks may take.
const MARKS_BYTES: u32 = 2 * FRAME_HEADER_BYTES;

/// What tells the frames of a writer from all others: drawn when the log is opened.
#[derive(Debug)]
pub(super) struct Identity {
    nonce: u64,
    counter: AtomicU64,
}

impl Identity {
    pub(super) const fn new(nonce: u64) -> Self {
        Self { nonce, counter: AtomicU64::new(0) }
    }
}

/// The frames of one segment that are not written yet.
#[derive(Debug)]
pub(super) struct Staging {
    number: u32,
    salt: u64,
    frames_end: u32,
    reserve: u32,
    identity: Arc<Identity>,
    chain: u64,
    synced: Position,
    /// The block's start that the buffer begins at.
    base: u32,
    buffer: Vec<u8>,
    /// Where in the buffer the first frame begins that is not written.
    staged_from: Option<usize>,
    /// Whether something was staged that there was no room for.
    overflown: bool,
}

impl Staging {
    /// Nothing, at the start of a segment.
    pub(super) fn new(header: &Header, frames_end: u32, identity: &Arc<Identity>) -> Self {
        let small = frames_end + BLOCK_BYTES < RESERVE_FROM_BYTES;
        Self {
            number: header.number,
            salt: header.salt,
            frames_end,
            reserve: if small { BLOCK_BYTES } else { RESERVE_BYTES },
            identity: Arc::clone(identity),
            chain: 0,
            synced: Position::start_of(header.number),
            base: FIRST_OFFSET,
            buffer: Vec::new(),
            staged_from: None,
            overflown: false,
        }
    }

    /// Nothing, behind the frame that ends at `offset`; `tail` are the bytes of the block that it
    /// ends in: the first write begins with it.
    pub(super) fn behind(
        mut self,
        offset: u32,
        chain: u64,
        tail: Vec<u8>,
        synced: Position,
    ) -> Self {
        // SG-10: what was last before may only be in memory. An offset behind the link is not 0.
        self.base = block_down(offset.saturating_sub(1)).max(FIRST_OFFSET);
        self.buffer = tail;
        self.buffer.resize((offset - self.base) as usize, 0);
        self.chain = chain;
        self.synced = synced;
        self
    }

    /// Nothing, at the start of the segment that follows. The buffer goes on: nothing is staged in
    /// it.
    pub(super) fn next(&mut self, header: &Header, frames_end: u32) -> Self {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        Self { buffer, ..Self::new(header, frames_end, &self.identity) }
    }

    pub(super) const fn synced(&self) -> Position {
        self.synced
    }

    /// The end of what was staged.
    pub(super) fn position(&self) -> Position {
        Position::new(self.number, self.offset())
    }

    fn offset(&self) -> u32 {
        offset_of(self.buffer.len()).saturating_add(self.base)
    }

    pub(super) const fn chain(&self) -> u64 {
        self.chain
    }

    /// The verified bytes of the block that the end lies in, if nothing else is staged.
    pub(super) fn tail(&self) -> &[u8] {
        &self.buffer
    }

    /// How many bytes are kept in memory.
    pub(super) const fn pending(&self) -> usize {
        self.buffer.len()
    }

    pub(super) const fn is_overflown(&self) -> bool {
        self.overflown
    }

    pub(super) const fn set_synced(&mut self, synced: Position) {
        self.synced = synced;
    }

    /// The largest frame that fits before the reserve.
    pub(super) fn room(&self) -> u32 {
        let (offset, limit) = (self.offset(), self.frames_end - self.reserve);
        let rest = block_up(offset) - offset;
        let start = if rest < FRAME_HEADER_BYTES { offset + rest } else { offset };
        limit.saturating_sub(start)
    }

    /// The largest frame that fits at all, and leaves room for the mark behind it and for the last
    /// one.
    pub(super) fn room_with_reserve(&self) -> u32 {
        let (offset, limit) = (self.offset(), self.frames_end - MARKS_BYTES);
        let next = block_up(offset);
        let rest = next - offset;
        let last_block = BLOCK_BYTES - MARKS_BYTES;
        match limit.checked_sub(next) {
            // In the last block already.
            None => limit.saturating_sub(offset),
            // What does not fit into the rest of this block must fit into the last one.
            Some(room) if room == last_block => last_block,
            Some(room) if rest < FRAME_HEADER_BYTES => room,
            Some(room) => room + rest,
        }
    }

    /// Whether a mark fits.
    pub(super) fn has_room_for_mark(&self) -> bool {
        let start = frame_start(self.offset(), FRAME_HEADER_BYTES);
        start <= self.frames_end - FRAME_HEADER_BYTES
    }

    /// Makes a frame; returns where it starts and ends. Without room for it nothing is staged, and
    /// the writer is done for: it was to look before.
    pub(super) fn stage<'a>(
        &mut self,
        kind: u8,
        flags: u8,
        number: u64,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> (Position, Position) {
        let totals =
            |(count, size): (usize, usize), record: &[u8]| (count + 1, size + record.len());
        let (count, size) = records.clone().fold((0, 0), totals);
        let start = self.try_stage((kind, flags, number), count, size, records);
        self.overflown |= start.is_none();
        (start.unwrap_or_else(|| self.position()), self.position())
    }

    fn try_stage<'a>(
        &mut self,
        (kind, flags, number): (u8, u8, u64),
        count: usize,
        size: usize,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<Position> {
        let frame_bytes = frame_bytes(count, size)?;
        let start = frame_start(self.offset(), frame_bytes);
        start.checked_add(frame_bytes).filter(|end| *end <= self.frames_end)?;
        let table_bytes = count * TABLE_ENTRY;
        let at = (start - self.base) as usize;
        let start = Position::new(self.number, start);
        self.buffer.reserve((at + frame_bytes as usize).saturating_sub(self.buffer.len()));
        let table_at = at + FRAME_HEADER;
        self.buffer.resize(table_at + table_bytes, 0);
        // In one pass: a record is copied while it is in the processor's cache.
        for (record, entry_at) in records.zip((table_at..).step_by(TABLE_ENTRY)) {
            let size = u32::try_from(record.len()).ok()?;
            put(&mut self.buffer, entry_at, &size.to_le_bytes());
            put(&mut self.buffer, entry_at + 4, &crc32c::crc32c(record).to_le_bytes());
            self.buffer.extend_from_slice(record);
        }
        self.buffer.resize(at + frame_bytes as usize, 0);
        let table = self.buffer.get(at + FRAME_HEADER..)?.get(..table_bytes)?;
        let header = FrameHeader {
            kind,
            flags,
            start,
            body_bytes: u32::try_from(table_bytes + size).ok()?,
            record_count: u32::try_from(count).ok()?,
            table_crc: crc32c::crc32c(table),
            number,
            synced: if kind == KIND_MARK { start } else { self.synced },
            nonce: self.identity.nonce,
            counter: self.identity.counter.fetch_add(1, Ordering::Relaxed),
            chain: 0,
        };
        let (bytes, chain) = header.encode(self.salt, self.chain);
        put(&mut self.buffer, at, &bytes);
        self.staged_from.get_or_insert(at);
        self.chain = chain;
        debug_assert!(self.buffer.len().is_multiple_of(ALIGNMENT as usize), "frames are aligned");
        Some(start)
    }

    /// Makes the first frame of the segment.
    pub(super) fn link(&mut self, link: Link, preamble: &[u8]) {
        debug_assert_eq!(self.offset(), FIRST_OFFSET, "a segment begins with its link");
        self.chain = link.chain;
        let record = link.encode();
        self.stage(KIND_LINK, 0, 0, [record.as_slice(), preamble].into_iter());
    }

    /// Makes a frame that says that everything before it is on the medium.
    pub(super) fn mark(&mut self) {
        self.stage(KIND_MARK, 0, 0, std::iter::empty());
    }

    /// Hands what is staged to `write`, in whole blocks, from the one that the first frame begins
    /// in; `with_tail` begins with the tail block in any case (SG-10). On success only the new tail
    /// block is kept.
    pub(super) fn write_to<E>(
        &mut self,
        with_tail: bool,
        write: impl FnOnce(&[u8], u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let size = self.buffer.len();
        let from = if with_tail { 0 } else { self.staged_from.unwrap_or(size) };
        let from = from - from % BLOCK;
        self.buffer.resize(size.next_multiple_of(BLOCK), 0);
        let blocks = self.buffer.get(from..).unwrap_or_default();
        let written =
            if blocks.is_empty() { Ok(()) } else { write(blocks, self.base + offset_of(from)) };
        self.buffer.truncate(size);
        written?;
        let whole = size - size % BLOCK;
        self.buffer.drain(..whole);
        self.base += offset_of(whole);
        self.staged_from = None;
        Ok(())
    }
}

/// An index into the buffer, which never grows beyond a segment, as a distance in the file.
fn offset_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
