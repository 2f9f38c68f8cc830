//! The bytes of a segment: header, frame, link and seal, as `docs/format/segment.md` says.
//!
//! Nothing here reads or writes a file. What is decoded is checked before it is believed, and no
//! size from the medium is used before it is bounded by the segment's.

use sha2::{Digest, Sha256};

use super::{BLOCK_BYTES, FIRST_OFFSET, KIND_USER_MIN, Position, SUMMARY_BYTES_MAX};

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
/// Size of a link's first record.
pub(super) const LINK_BYTES: usize = 24;

/// The kind of a link.
pub(super) const KIND_LINK: u8 = 1;
/// The kind of a mark.
pub(super) const KIND_MARK: u8 = 2;

const FORMAT_VERSION: u16 = 1;
const HEADER_MAGIC: [u8; 8] = *b"\x89TMSEG\r\n";
const SEAL_MAGIC: [u8; 8] = *b"\x89TMSL\r\n\x1A";

const HEADER_VERSION_AT: usize = HEADER_MAGIC.len();
const HEADER_READER_AT: usize = HEADER_VERSION_AT + 2;
const HEADER_CRC_AT: usize = HEADER_READER_AT + 2;
const HEADER_KIND_AT: usize = HEADER_CRC_AT + 4;
const HEADER_LOG_ID_AT: usize = HEADER_KIND_AT + 8;
const HEADER_NUMBER_AT: usize = HEADER_LOG_ID_AT + 16;
const HEADER_SIZE_AT: usize = HEADER_NUMBER_AT + 4;
const HEADER_SALT_AT: usize = HEADER_SIZE_AT + 4;
const HEADER_LIVES_AT: usize = HEADER_SALT_AT + 8;
const HEADER_RESERVED_AT: usize = HEADER_LIVES_AT + 4;

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

const LINK_END_AT: usize = 4;
const LINK_CHAIN_AT: usize = LINK_END_AT + 4;
const LINK_FLAGS_AT: usize = LINK_CHAIN_AT + 8;
const LINK_RESERVED_AT: usize = LINK_FLAGS_AT + 4;
const LINK_BY_RECOVERY: u32 = 1;
const _: () = assert!(LINK_RESERVED_AT + 4 == LINK_BYTES);

const SEAL_CRC_AT: usize = SEAL_MAGIC.len();
const SEAL_NUMBER_AT: usize = SEAL_CRC_AT + 4;
const SEAL_END_AT: usize = SEAL_NUMBER_AT + 4;
const SEAL_SUMMARY_SIZE_AT: usize = SEAL_END_AT + 4;
const SEAL_CHAIN_AT: usize = SEAL_SUMMARY_SIZE_AT + 4;
const SEAL_RESERVED_AT: usize = SEAL_CHAIN_AT + 8;
const SEAL_SUMMARY_AT: usize = SEAL_RESERVED_AT + 8;
const _: () = assert!(SEAL_SUMMARY_AT + SUMMARY_BYTES_MAX == BLOCK);

/// What is wrong with bytes, in words for people.
pub(super) type Reason = &'static str;
/// Bytes that were checked, or what is wrong with them.
pub(super) type Checked<T> = std::result::Result<T, Reason>;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The integer at an offset, if it is there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
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
    bytes.iter().all(|byte| *byte == 0)
}

/// CRC32C of the salt and what follows it.
fn salted_crc(salt: u64, parts: &[&[u8]]) -> u32 {
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

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: [u8; 8],
    pub(super) log_id: [u8; 16],
    pub(super) number: u32,
    pub(super) size_bytes: u32,
    pub(super) salt: u64,
    /// How often the file was a segment before: what lies behind the end may be of those lives.
    pub(super) lives: u32,
}

/// Why a header is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderDefect {
    Damaged(Reason),
    /// Only a later version of this program may read the file, or write to it.
    TooNew(u16),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block, 0, &HEADER_MAGIC);
        put(&mut block, HEADER_VERSION_AT, &FORMAT_VERSION.to_le_bytes());
        put(&mut block, HEADER_READER_AT, &FORMAT_VERSION.to_le_bytes());
        put(&mut block, HEADER_KIND_AT, &self.kind);
        put(&mut block, HEADER_LOG_ID_AT, &self.log_id);
        put(&mut block, HEADER_NUMBER_AT, &self.number.to_le_bytes());
        put(&mut block, HEADER_SIZE_AT, &self.size_bytes.to_le_bytes());
        put(&mut block, HEADER_SALT_AT, &self.salt.to_le_bytes());
        put(&mut block, HEADER_LIVES_AT, &self.lives.to_le_bytes());
        let crc = Self::crc(&block);
        put(&mut block, HEADER_CRC_AT, &crc.to_le_bytes());
        block
    }

    fn crc(block: &[u8; BLOCK]) -> u32 {
        let (before, rest) = block.split_at(HEADER_CRC_AT);
        let after = rest.get(size_of::<u32>()..).unwrap_or_default();
        crc32c::crc32c_append(crc32c::crc32c(before), after)
    }

    /// Checks it, for somebody who reads the log, or also `writes` to it.
    pub(super) fn decode(block: &[u8; BLOCK], writes: bool) -> Result<Self, HeaderDefect> {
        let damaged = HeaderDefect::Damaged;
        if !block.starts_with(&HEADER_MAGIC) {
            return Err(damaged("it does not begin as a segment does"));
        }
        if u32_at(block, HEADER_CRC_AT) != Some(Self::crc(block)) {
            return Err(damaged("its header fails the checksum"));
        }
        Self::fields(block).ok_or(damaged("its header is cut off")).and_then(|(header, reader)| {
            let version = u16_at(block, HEADER_VERSION_AT).unwrap_or_default();
            let reserved = block.get(HEADER_RESERVED_AT..).unwrap_or_default();
            if reader > FORMAT_VERSION || (writes && version > FORMAT_VERSION) {
                Err(HeaderDefect::TooNew(version))
            } else if reader == 0 || version < reader {
                Err(damaged("its header names no format version"))
            } else if !is_zero(reserved) {
                Err(damaged("reserved bytes of its header are not zero"))
            } else if header.salt == 0 || header.number == 0 {
                Err(damaged("its header has no salt or no number"))
            } else {
                Ok(header)
            }
        })
    }

    fn fields(block: &[u8; BLOCK]) -> Option<(Self, u16)> {
        let header = Self {
            kind: *block.get(HEADER_KIND_AT..)?.first_chunk()?,
            log_id: *block.get(HEADER_LOG_ID_AT..)?.first_chunk()?,
            number: u32_at(block, HEADER_NUMBER_AT)?,
            size_bytes: u32_at(block, HEADER_SIZE_AT)?,
            salt: u64_at(block, HEADER_SALT_AT)?,
            lives: u32_at(block, HEADER_LIVES_AT)?,
        };
        Some((header, u16_at(block, HEADER_READER_AT)?))
    }
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

/// Where a segment goes on from: the first record of its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the segment before; 0 for the first of a log.
    pub(super) before: u32,
    /// Where that one ends.
    pub(super) end: u32,
    /// The chain there.
    pub(super) chain: u64,
    /// Whether a recovery made this segment: the one before may have to be sealed from this link.
    pub(super) by_recovery: bool,
}

impl Link {
    pub(super) fn encode(&self) -> [u8; LINK_BYTES] {
        let mut bytes = [0; LINK_BYTES];
        put(&mut bytes, 0, &self.before.to_le_bytes());
        put(&mut bytes, LINK_END_AT, &self.end.to_le_bytes());
        put(&mut bytes, LINK_CHAIN_AT, &self.chain.to_le_bytes());
        let flags = if self.by_recovery { LINK_BY_RECOVERY } else { 0 };
        put(&mut bytes, LINK_FLAGS_AT, &flags.to_le_bytes());
        bytes
    }

    /// Checks it for the segment with this number.
    pub(super) fn decode(bytes: &[u8], number: u32) -> Checked<Self> {
        let fields = || {
            let flags = u32_at(bytes, LINK_FLAGS_AT)?;
            let link = Self {
                before: u32_at(bytes, 0)?,
                end: u32_at(bytes, LINK_END_AT)?,
                chain: u64_at(bytes, LINK_CHAIN_AT)?,
                by_recovery: flags & LINK_BY_RECOVERY != 0,
            };
            Some((link, flags, u32_at(bytes, LINK_RESERVED_AT)?))
        };
        let (link, flags, reserved) = fields().ok_or("the link is cut off")?;
        if bytes.len() != LINK_BYTES || flags & !LINK_BY_RECOVERY != 0 || reserved != 0 {
            return Err("reserved bytes of the link are not zero");
        }
        let first = link.end == 0 && link.chain == 0 && number == 1;
        let later = link.end >= FIRST_OFFSET && link.before.checked_add(1) == Some(number);
        if if link.before == 0 { first } else { later } {
            Ok(link)
        } else {
            Err("the link goes on from another segment than the one before")
        }
    }
}

/// The end of a complete segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) number: u32,
    pub(super) end: u32,
    pub(super) chain: u64,
    pub(super) summary: Vec<u8>,
}

impl Seal {
    /// The seal's block; nothing if the summary is too large.
    pub(super) fn encode(&self, salt: u64) -> Option<[u8; BLOCK]> {
        let size = u32::try_from(self.summary.len()).ok()?;
        if self.summary.len() > SUMMARY_BYTES_MAX {
            return None;
        }
        let mut block = [0; BLOCK];
        put(&mut block, 0, &SEAL_MAGIC);
        put(&mut block, SEAL_NUMBER_AT, &self.number.to_le_bytes());
        put(&mut block, SEAL_END_AT, &self.end.to_le_bytes());
        put(&mut block, SEAL_SUMMARY_SIZE_AT, &size.to_le_bytes());
        put(&mut block, SEAL_CHAIN_AT, &self.chain.to_le_bytes());
        put(&mut block, SEAL_SUMMARY_AT, &self.summary);
        let crc = Self::crc(&block, salt);
        put(&mut block, SEAL_CRC_AT, &crc.to_le_bytes());
        Some(block)
    }

    fn crc(block: &[u8; BLOCK], salt: u64) -> u32 {
        let (before, rest) = block.split_at(SEAL_CRC_AT);
        salted_crc(salt, &[before, rest.get(size_of::<u32>()..).unwrap_or_default()])
    }

    /// Checks it for the segment with this salt and number, whose seal lies at `frames_end`.
    pub(super) fn decode(
        block: &[u8; BLOCK],
        salt: u64,
        number: u32,
        frames_end: u32,
    ) -> Checked<Self> {
        if !block.starts_with(&SEAL_MAGIC) {
            return Err("there is no seal");
        }
        if u32_at(block, SEAL_CRC_AT) != Some(Self::crc(block, salt)) {
            return Err("the seal fails the checksum");
        }
        let fields = || {
            let size = u32_at(block, SEAL_SUMMARY_SIZE_AT)? as usize;
            let (summary, rest) = block.get(SEAL_SUMMARY_AT..)?.split_at_checked(size)?;
            let seal = Self {
                number: u32_at(block, SEAL_NUMBER_AT)?,
                end: u32_at(block, SEAL_END_AT)?,
                chain: u64_at(block, SEAL_CHAIN_AT)?,
                summary: summary.to_vec(),
            };
            let reserved = u64_at(block, SEAL_RESERVED_AT)? == 0 && is_zero(rest);
            Some((seal, reserved))
        };
        let (seal, reserved) = fields().ok_or("the seal's summary does not fit into it")?;
        if !reserved {
            return Err("reserved bytes of the seal are not zero");
        }
        if seal.number != number {
            return Err("the seal is another segment's");
        }
        if seal.end < FIRST_OFFSET || seal.end > frames_end || !seal.end.is_multiple_of(ALIGNMENT) {
            return Err("the seal names an end outside of the segment");
        }
        Ok(seal)
    }
}
