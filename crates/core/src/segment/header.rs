//! The header of a segment: whose it is, which one, and in which life of its file.

use super::format::{BLOCK, Reason, is_zero, put, u16_at, u32_at, u64_at};

const FORMAT_VERSION: u16 = 1;
const HEADER_MAGIC: [u8; 8] = *b"\x89TMSEG\r\n";

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
