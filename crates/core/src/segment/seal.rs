//! How segments hold together: the link that one begins with, and the seal that one ends with.

use super::format::{ALIGNMENT, BLOCK, Checked, is_zero, put, salted_crc, u32_at, u64_at};
use super::{FIRST_OFFSET, SUMMARY_BYTES_MAX};

/// Size of a link's first record.
pub(super) const LINK_BYTES: usize = 24;
const SEAL_MAGIC: [u8; 8] = *b"\x89TMSL\r\n\x1A";

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
