//! One frame in memory: its header and its records, all of whose checksums hold.

use super::format::{Checked, FRAME_HEADER, FrameHeader, KIND_LINK, TABLE_ENTRY, is_zero, u32_at};
use super::seal::Link;
use super::{Position, format};

/// A frame: one atomic batch of records.
///
/// Its checksums hold. That it is part of the log, only its chain says: a frame that comes from a
/// cursor is, one that was read at an offset is if the offset lies below a published position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    header: FrameHeader,
    /// The whole frame, header and padding included.
    bytes: Vec<u8>,
}

impl Frame {
    /// Checks the body: table, records, padding.
    pub(super) fn check(header: FrameHeader, bytes: Vec<u8>) -> Checked<Self> {
        let frame = Self { header, bytes };
        if frame.bytes.len() != header.frame_bytes() as usize {
            return Err("the frame is cut off");
        }
        let (table, rest) = frame.parts().ok_or("the frame is cut off")?;
        if crc32c::crc32c(table) != header.table_crc {
            return Err("the frame's table fails the checksum");
        }
        let records_bytes = (header.body_bytes as usize).saturating_sub(table.len());
        let (mut records, padding) =
            rest.split_at_checked(records_bytes).ok_or("the frame is cut off")?;
        for entry in table.chunks_exact(TABLE_ENTRY) {
            let size = u32_at(entry, 0).unwrap_or_default() as usize;
            let (record, others) =
                records.split_at_checked(size).ok_or("a record does not fit into its frame")?;
            if u32_at(entry, 4) != Some(crc32c::crc32c(record)) {
                return Err("a record fails the checksum");
            }
            records = others;
        }
        if !records.is_empty() {
            return Err("the frame is larger than its records");
        }
        if is_zero(padding) { Ok(frame) } else { Err("the frame's padding is not zero") }
    }

    /// The table, and the records with the padding.
    fn parts(&self) -> Option<(&[u8], &[u8])> {
        self.bytes.get(FRAME_HEADER..)?.split_at_checked(self.header.table_bytes())
    }

    /// What the frame is: the log's user knows.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.header.kind
    }

    /// The user's flags.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.header.flags
    }

    /// The user's number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.header.number
    }

    /// Up to where everything was on the medium when the frame was made (SG-2).
    #[must_use]
    pub const fn synced(&self) -> Position {
        self.header.synced
    }

    /// Where the frame starts.
    #[must_use]
    pub const fn start(&self) -> Position {
        self.header.start
    }

    /// Where the frame ends.
    #[must_use]
    pub fn end(&self) -> Position {
        self.header.end()
    }

    /// The chain up to this frame.
    #[must_use]
    pub const fn chain(&self) -> u64 {
        self.header.chain
    }

    /// The header alone.
    #[must_use]
    pub const fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// How many records the frame has.
    #[must_use]
    pub const fn record_count(&self) -> usize {
        self.header.record_count()
    }

    /// One record. Sums up the sizes of those before it.
    #[must_use]
    pub fn record(&self, index: usize) -> Option<&[u8]> {
        self.records().nth(index)
    }

    /// The records, in order.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        let (table, rest) = self.parts().unwrap_or_default();
        Records { table, rest }
    }

    /// The whole frame, as it lies in the segment.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the chain leads here from the frame before.
    pub(super) fn follows(&self, chain_before: u64, salt: u64) -> bool {
        format::chain_after(chain_before, salt, &self.bytes) == self.header.chain
    }

    /// Where the segment goes on from, and the user's preamble, if this is a link.
    pub(super) fn as_link(&self) -> Checked<(Link, &[u8])> {
        let mut records = self.records();
        let (Some(link), Some(preamble), None) = (records.next(), records.next(), records.next())
        else {
            return Err("a link has two records");
        };
        if self.kind() != KIND_LINK || self.number() != 0 {
            return Err("there is no link");
        }
        Ok((Link::decode(link, self.start().segment())?, preamble))
    }
}

/// The records of a frame, in order; each step takes the same time.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    table: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (entry, table) = self.table.split_at_checked(TABLE_ENTRY)?;
        let (record, rest) = self.rest.split_at_checked(u32_at(entry, 0)? as usize)?;
        self.table = table;
        self.rest = rest;
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.table.len() / TABLE_ENTRY;
        (count, Some(count))
    }
}

impl ExactSizeIterator for Records<'_> {}
