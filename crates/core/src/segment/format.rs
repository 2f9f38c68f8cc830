//! The bytes of a frame's header, and what all that lies in a segment is made of, as
//! `docs/format/segment.md` says.
//!
//! Nothing here reads or writes a file. What is decoded is checked before it is believed, and no
//! size from the medium is used before it is bounded by the segment's.

use sha2::{Digest, Sha256};

use super::{BLOCK_BYTES, FIRST_OFFSET, KIND_USER_MIN, Position};

/// A block, as the size of a buffer.
pub(super) const BLOCK: usize = BLOCK_BYTES as usize;
/// Size of a frame's header.
pub(super) const FRAME_HEADER: usize = 64;
/// The same, as an offset is counted.
pub(super) const FRAME_HEADER_BYTES: u32 = 64;
/// Size of a record's entry in the table of its frame.
pub(super) const TABLE_ENTRY: usize = 8;
/// Frames begin and end at multiples of this.
pub(super) const ALIGNMENT: u32 = 8;

/// The kind of a link.
pub(super) const KIND_LINK: u8 = 1;
/// The kind of a mark.
pub(super) const KIND_MARK: u8 = 2;

const FRAME_CRC_BYTES: usize = 4;
const FRAME_KIND_AT: usize = FRAME_CRC_BYTES;
const FRAME_FLAGS_AT: usize = FRAME_KIND_AT + 1;
const FRAME_RESERVED_AT: usize = FRAME_FLAGS_AT + 1;
const FRAME_OFFSET_AT: usize = FRAME_RESERVED_AT + 2;
const FRAME_BODY_AT: usize = FRAME_OFFSET_AT + 4;
const FRAME_COUNT_AT: usize = FRAME_BODY_AT + 4;
const FRAME_TABLE_CRC_AT: usize = FRAME_COUNT_AT + 4;
const FRAME_NUMBER_AT: usize = FRAME_TABLE_CRC_AT + 4;
const FRAME_SYNCED_AT: usize = FRAME_NUMBER_AT + 8;
const FRAME_NONCE_AT: usize = FRAME_SYNCED_AT + 8;
const FRAME_COUNTER_AT: usize = FRAME_NONCE_AT + 8;
const FRAME_CHAIN_AT: usize = FRAME_COUNTER_AT + 8;
const _: () = assert!(FRAME_CHAIN_AT + 8 == FRAME_HEADER);

/// What is wrong with bytes, in words for people.
pub(super) type Reason = &'static str;
/// Bytes that were checked, or what is wrong with them.
pub(super) type Checked<T> = std::result::Result<T, Reason>;

/// The integer at an offset, if it is there.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The integer at an offset, if it is there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The integer at an offset, if it is there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Puts a field into a buffer that has room for it.
pub(super) fn put(into: &mut [u8], at: usize, field: &[u8]) {
    let room = into.get_mut(at..).and_then(|rest| rest.get_mut(..field.len()));
    debug_assert!(room.is_some(), "a field lies outside of its structure");
    if let Some(room) = room {
        room.copy_from_slice(field);
    }
}

/// Whether nothing but zeros is there.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Without a way out in the middle: then it is done many bytes at once.
    bytes.chunks(BLOCK).all(|block| block.iter().fold(0, |or, byte| or | byte) == 0)
}

/// CRC32C of the salt and what follows it.
pub(super) fn salted_crc(salt: u64, parts: &[&[u8]]) -> u32 {
    let begun = crc32c::crc32c(&salt.to_le_bytes());
    parts.iter().fold(begun, |crc, part| crc32c::crc32c_append(crc, part))
}

/// `H64` of the format: the first eight bytes of the SHA-256 of the parts, one after another.
#[must_use]
pub fn h64(parts: &[&[u8]]) -> u64 {
    let hash = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    u64_at(&hash, 0).unwrap_or_default()
}

/// What ties a frame to all frames before it.
pub(super) fn chain_after(before: u64, salt: u64, header: &[u8]) -> u64 {
    let covered = header.get(FRAME_CRC_BYTES..FRAME_CHAIN_AT).unwrap_or_default();
    h64(&[&before.to_le_bytes(), &salt.to_le_bytes(), covered])
}

/// The next multiple of a block, or the offset itself. Offsets stay below 4 GiB - 4 KiB.
pub(super) const fn block_up(offset: u32) -> u32 {
    match offset.checked_next_multiple_of(BLOCK_BYTES) {
        Some(offset) => offset,
        None => u32::MAX - (BLOCK_BYTES - 1),
    }
}

/// The block that an offset lies in.
pub(super) const fn block_down(offset: u32) -> u32 {
    offset - offset % BLOCK_BYTES
}

/// Where a frame of this size starts if the one before ends at `end`: it does not straddle two
/// blocks if it fits into one, and its header never does.
pub(super) const fn frame_start(end: u32, frame_bytes: u32) -> u32 {
    let next = block_up(end);
    let rest = next - end;
    let fits = frame_bytes <= rest || (frame_bytes > BLOCK_BYTES && rest >= FRAME_HEADER_BYTES);
    if fits { end } else { next }
}

/// The header of a frame, whose checksum holds. That its chain holds, only who walks the log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) start: Position,
    pub(super) body_bytes: u32,
    pub(super) record_count: u32,
    pub(super) table_crc: u32,
    pub(super) number: u64,
    pub(super) synced: Position,
    pub(super) nonce: u64,
    pub(super) counter: u64,
    pub(super) chain: u64,
}

impl FrameHeader {
    /// What the frame is: the log's user knows.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// The user's flags.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// The user's number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Up to where everything was on the medium when the frame was made.
    #[must_use]
    pub const fn synced(&self) -> Position {
        self.synced
    }

    /// Where the frame starts.
    #[must_use]
    pub const fn start(&self) -> Position {
        self.start
    }

    /// Where the frame ends.
    #[must_use]
    pub fn end(&self) -> Position {
        let end = u64::from(self.start.offset()) + Self::size_of_body(self.body_bytes);
        Position::new(self.start.segment(), u32::try_from(end).unwrap_or(u32::MAX))
    }

    /// How many records the frame has.
    #[must_use]
    pub const fn record_count(&self) -> usize {
        self.record_count as usize
    }

    /// Size of the frame on the medium, with its padding.
    pub(super) fn frame_bytes(&self) -> u32 {
        self.end().offset() - self.start.offset()
    }

    fn size_of_body(body_bytes: u32) -> u64 {
        (FRAME_HEADER as u64 + u64::from(body_bytes)).next_multiple_of(u64::from(ALIGNMENT))
    }

    /// Size of the table.
    pub(super) const fn table_bytes(&self) -> usize {
        self.record_count as usize * TABLE_ENTRY
    }

    /// The header's bytes, and the chain that they lead to.
    pub(super) fn encode(&self, salt: u64, chain_before: u64) -> ([u8; FRAME_HEADER], u64) {
        let mut bytes = [0; FRAME_HEADER];
        put(&mut bytes, FRAME_KIND_AT, &[self.kind, self.flags]);
        put(&mut bytes, FRAME_OFFSET_AT, &self.start.offset().to_le_bytes());
        put(&mut bytes, FRAME_BODY_AT, &self.body_bytes.to_le_bytes());
        put(&mut bytes, FRAME_COUNT_AT, &self.record_count.to_le_bytes());
        put(&mut bytes, FRAME_TABLE_CRC_AT, &self.table_crc.to_le_bytes());
        put(&mut bytes, FRAME_NUMBER_AT, &self.number.to_le_bytes());
        put(&mut bytes, FRAME_SYNCED_AT, &self.synced.word().to_le_bytes());
        put(&mut bytes, FRAME_NONCE_AT, &self.nonce.to_le_bytes());
        put(&mut bytes, FRAME_COUNTER_AT, &self.counter.to_le_bytes());
        let chain = chain_after(chain_before, salt, &bytes);
        put(&mut bytes, FRAME_CHAIN_AT, &chain.to_le_bytes());
        let covered = bytes.get(FRAME_CRC_BYTES..).unwrap_or_default();
        let crc = salted_crc(salt, &[covered]);
        put(&mut bytes, 0, &crc.to_le_bytes());
        (bytes, chain)
    }

    /// Whether a header of a frame may be at this offset at all: the cheap part of the check.
    pub(super) fn names_offset(bytes: &[u8], offset: u32) -> bool {
        u32_at(bytes, FRAME_OFFSET_AT) == Some(offset)
            && bytes.get(FRAME_KIND_AT).is_some_and(|kind| *kind != 0)
    }

    /// Checks everything but the body and the chain.
    pub(super) fn decode(
        bytes: &[u8],
        salt: u64,
        start: Position,
        frames_end: u32,
    ) -> Checked<Self> {
        let bytes: &[u8; FRAME_HEADER] = bytes.first_chunk().ok_or("it is cut off")?;
        if !Self::names_offset(bytes, start.offset()) {
            return Err("there is no frame");
        }
        let covered = bytes.get(FRAME_CRC_BYTES..).unwrap_or_default();
        if u32_at(bytes, 0) != Some(salted_crc(salt, &[covered])) {
            return Err("the frame's header fails the checksum");
        }
        let header = Self::fields(bytes, start).ok_or("it is cut off")?;
        let own = header.kind == KIND_LINK || header.kind == KIND_MARK;
        if u16_at(bytes, FRAME_RESERVED_AT) != Some(0) || (own && header.flags != 0) {
            return Err("reserved bytes of the frame's header are not zero");
        }
        if !own && header.kind < KIND_USER_MIN {
            return Err("the frame is of no known kind");
        }
        if (header.kind == KIND_LINK) != (start.offset() == FIRST_OFFSET) {
            return Err("a segment begins with its link, and has no other");
        }
        header.check_place(frames_end)?;
        Ok(header)
    }

    fn check_place(&self, frames_end: u32) -> Checked<()> {
        let start = self.start.offset();
        if !start.is_multiple_of(ALIGNMENT) || start < FIRST_OFFSET {
            return Err("no frame may lie there");
        }
        let size = Self::size_of_body(self.body_bytes);
        if u64::from(start) + size > u64::from(frames_end) {
            return Err("the frame does not fit into its segment");
        }
        if frame_start(start, self.frame_bytes()) != start {
            return Err("the frame straddles two blocks");
        }
        if self.record_count.checked_mul(8).is_none_or(|table| table > self.body_bytes) {
            return Err("the frame's table does not fit into it");
        }
        if self.synced > self.start || (self.kind == KIND_MARK && self.synced != self.start) {
            return Err("the frame knows something else to be synced than there was");
        }
        Ok(())
    }

    fn fields(bytes: &[u8], start: Position) -> Option<Self> {
        Some(Self {
            kind: *bytes.get(FRAME_KIND_AT)?,
            flags: *bytes.get(FRAME_FLAGS_AT)?,
            start,
            body_bytes: u32_at(bytes, FRAME_BODY_AT)?,
            record_count: u32_at(bytes, FRAME_COUNT_AT)?,
            table_crc: u32_at(bytes, FRAME_TABLE_CRC_AT)?,
            number: u64_at(bytes, FRAME_NUMBER_AT)?,
            synced: Position::from_word(u64_at(bytes, FRAME_SYNCED_AT)?),
            nonce: u64_at(bytes, FRAME_NONCE_AT)?,
            counter: u64_at(bytes, FRAME_COUNTER_AT)?,
            chain: u64_at(bytes, FRAME_CHAIN_AT)?,
        })
    }
}
