//! The log engine: a directory of segment files, whose frames are atomic batches of records.
//!
//! It knows positions, frames and what is synced; what a record means is its user's business
//! ([`Replay`]). `docs/format/segment.md` is normative for everything on disk.
//!
//! ```text
//! directory   00000001.segment  00000002.segment  <32 hex>.spare  quarantine/
//! segment     header block | link, frame, frame, ... | seal block, once it is complete
//! frame       64-byte header | table: size and CRC of each record | records | zeros to 8
//! ```
//!
//! Invariants: SG-1 to SG-10 of the format. Where they are kept:
//! - `staging` and `writer`: SG-1, SG-2, SG-6, SG-10, and SG-3 when a segment is full.
//! - `prepare`: SG-4 and SG-5. `recycle`: SG-7.
//! - `cursor`: what is read in order is verified by its chain. `window`: single frames.
//! - `recovery`: SG-8 and SG-9; `scan` is what it has in common with `inspect`, which only reads.
//!
//! Recovery: only the last segment that was begun is walked. What it holds beyond the highest
//! proven position is copied into a new segment, synced and named before anything is believed:
//! after a failed writeback the cache may show what the medium has lost.
//!
//! One process writes at a time: whoever holds the directory's lock, which the caller takes. Other
//! processes read, and take turns by making a [`Writer`] of their [`Cursor`].
//!
//! Not promised: see the end of part 1 of the format. Nothing here is retried after a failed
//! write or sync: the writer is done for, and its caller opens the log again.

mod cursor;
mod file;
mod format;
mod frame;
mod header;
mod inspect;
mod log;
mod place;
mod prepare;
mod quarantine;
mod recovery;
mod recycle;
mod report;
mod scan;
mod seal;
mod staging;
mod window;
mod writer;

pub use cursor::Cursor;
pub use file::Segment;
pub use format::{FrameHeader, h64};
pub use frame::{Frame, Records};
pub use inspect::Inspected;
pub use log::{Log, Opened};
pub use report::{Report, TornTail};
pub use window::{Reach, Window};
pub use writer::{SyncWatch, Writer};

use crate::error::{Error, ErrorKind, Result};

/// What is written at once, and what frames are laid out by.
pub const BLOCK_BYTES: u32 = 4096;
/// The smallest segment: header, two blocks of frames, seal.
pub const SEGMENT_BYTES_MIN: u32 = 4 * BLOCK_BYTES;
/// The largest segment: offsets have 32 bits.
pub const SEGMENT_BYTES_MAX: u32 = u32::MAX - (BLOCK_BYTES - 1);
/// The largest summary that a seal has room for.
pub const SUMMARY_BYTES_MAX: usize = 4056;
/// Kinds of frames from here on belong to the log's user.
pub const KIND_USER_MIN: u8 = 16;

/// Where the first frame of a segment is.
const FIRST_OFFSET: u32 = BLOCK_BYTES;
/// Before the seal: kept for small frames that make room.
const RESERVE_BYTES: u32 = 2 * BLOCK_BYTES;
/// A segment smaller than this keeps one block only.
const RESERVE_FROM_BYTES: u32 = 8 * BLOCK_BYTES;

/// A place in a log: the end of a frame, or the start of a segment. Later places are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The offset in a segment.
    #[must_use]
    pub const fn new(segment: u32, offset: u32) -> Self {
        Self((segment as u64) << u32::BITS | offset as u64)
    }

    /// The start of a segment: where its link will be, or is.
    #[must_use]
    pub const fn start_of(segment: u32) -> Self {
        Self::new(segment, FIRST_OFFSET)
    }

    /// The number of the segment.
    #[must_use]
    pub const fn segment(self) -> u32 {
        (self.0 >> u32::BITS) as u32
    }

    /// The offset in the segment.
    #[must_use]
    pub const fn offset(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "masked to 32 bits")]
        let offset = (self.0 & u32::MAX as u64) as u32;
        offset
    }

    /// The position that a word on the medium or in a shared page stands for.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The position as one word.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }
}

/// How segments are read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// By `pread` and `pwrite`.
    #[default]
    Positional,
    /// Through a map of the whole file.
    Mapped,
}

/// How a log is opened.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Whose log this is, in ASCII, padded with zeros: a log of another kind is refused.
    pub kind: [u8; 8],
    /// Size of the segments that are made from now on.
    pub segment_bytes: u32,
    /// How segments are read and written.
    pub io: Io,
    /// Whether a torn tail is refused instead of being moved into quarantine.
    pub strict: bool,
    /// How many files are kept to become segments again.
    pub spares_max: usize,
    /// Whether new segments are written with zeros before use. Without it they get their length
    /// only: for file systems that do not write in place.
    pub prefill: bool,
}

impl LogOptions {
    /// The defaults for a log of this kind.
    #[must_use]
    pub const fn new(kind: [u8; 8], segment_bytes: u32) -> Self {
        Self {
            kind,
            segment_bytes,
            io: Io::Positional,
            strict: false,
            spares_max: 4,
            prefill: true,
        }
    }
}

/// What the user of a log makes of it while it is opened.
pub trait Replay {
    /// A complete segment; they come oldest first.
    ///
    /// # Errors
    /// Whatever makes it unusable; opening fails with it.
    fn complete(&mut self, segment: u32, preamble: &[u8], summary: &[u8]) -> Result<()>;

    /// The segment that frames come from next. The one begun before, if any, is complete.
    ///
    /// # Errors
    /// As for [`Replay::complete`].
    fn begin(&mut self, segment: u32, size_bytes: u32, preamble: &[u8]) -> Result<()>;

    /// A frame of the user's of that segment, in order.
    ///
    /// # Errors
    /// As for [`Replay::complete`].
    fn frame(&mut self, frame: &Frame) -> Result<()>;

    /// The state now, for the link of the next segment.
    fn preamble(&self) -> Vec<u8>;

    /// The summary of the segment that was begun last, for its seal.
    fn summary(&self) -> Vec<u8>;
}

/// No segment can follow the last one.
pub(crate) fn numbers_used_up() -> Error {
    Error::new(ErrorKind::TooLarge, "the log has used up the numbers of its segments")
}

/// The size of a frame: header, table, records and padding; nothing if it is beyond 32 bits.
#[must_use]
pub fn frame_bytes(record_count: usize, records_bytes: usize) -> Option<u32> {
    let body = record_count.checked_mul(format::TABLE_ENTRY)?.checked_add(records_bytes)?;
    let size = body.checked_add(format::FRAME_HEADER)?;
    u32::try_from(size.checked_next_multiple_of(format::ALIGNMENT as usize)?).ok()
}
