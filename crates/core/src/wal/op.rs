//! What a caller asks of a log, and what comes back.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// Largest hard state, in bytes.
pub const HARD_STATE_BYTES_MAX: usize = 2048;

/// What an operation counts for beside its bytes, in the queue's limits.
const OP_BYTES: usize = 128;

/// A list of records, packed: one allocation for all their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<usize>,
}

impl Records {
    /// Takes records that lie one after another, of these sizes; nothing if they do not add up.
    #[must_use]
    pub fn packed(bytes: Vec<u8>, sizes: &[u32]) -> Option<Self> {
        let mut end = 0_usize;
        let mut ends = Vec::with_capacity(sizes.len());
        for size in sizes {
            end = end.checked_add(usize::try_from(*size).ok()?)?;
            ends.push(end);
        }
        (end == bytes.len()).then_some(Self { bytes, ends })
    }

    /// One record.
    #[must_use]
    pub fn one(bytes: Vec<u8>) -> Self {
        let ends = vec![bytes.len()];
        Self { bytes, ends }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Size of all records.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds other records at the end.
    pub(super) fn append(&mut self, others: Self) {
        if self.is_empty() {
            *self = others;
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend(others.bytes);
        self.ends.extend(others.ends.into_iter().map(|end| start + end));
    }

    /// One record.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        self.bytes.get(start..end)
    }

    /// The bytes of some of the records.
    pub(super) fn bytes_in(&self, range: std::ops::Range<usize>) -> usize {
        let end_of = |index: usize| index.checked_sub(1).and_then(|last| self.ends.get(last));
        let [start, end] = [range.start, range.end].map(|at| end_of(at).copied().unwrap_or(0));
        end.saturating_sub(start)
    }

    /// Adds a record at the end.
    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// The bytes of all records, one after another, and where each of them ends.
    #[must_use]
    pub fn into_packed(self) -> (Vec<u8>, Vec<usize>) {
        (self.bytes, self.ends)
    }

    /// All records, in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Records {
    fn from_iter<I: IntoIterator<Item = T>>(records: I) -> Self {
        let mut all = Self::default();
        for record in records {
            all.push(record.as_ref());
        }
        all
    }
}

/// A change of the hard state.
pub type HardState = Option<Arc<[u8]>>;

/// A call's own level, instead of the log's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOverride {
    /// Reported once it is on the medium.
    Immediate,
    /// Reported once it is written; a sync follows at once.
    ImmediateAsync,
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub enum WalOp {
    /// Entries, atomically, at the end.
    Append {
        /// At least one record.
        records: Arc<Records>,
        /// The LSN that the first one must get.
        expect: Option<u64>,
        /// A new hard state, atomically with the entries.
        hard_state: Option<HardState>,
        /// The level of this call.
        sync: Option<SyncOverride>,
    },
    /// A new hard state, or none.
    SetHardState(HardState),
    /// Takes back every entry after this LSN.
    Truncate {
        /// The last LSN that stays.
        after: u64,
    },
    /// Gives up every entry before this LSN.
    Purge {
        /// The first LSN that stays.
        before: u64,
    },
    /// Everything accepted before, on the medium.
    Sync,
}

impl WalOp {
    /// One record, at the log's level.
    #[must_use]
    pub fn append(bytes: impl Into<Vec<u8>>) -> Self {
        Self::append_all(Records::one(bytes.into()))
    }

    /// A batch, at the log's level.
    #[must_use]
    pub fn append_all(records: Records) -> Self {
        Self::Append { records: Arc::new(records), expect: None, hard_state: None, sync: None }
    }

    /// Refuses what no log takes, and tells what the operation counts for in the queue's limits.
    pub(super) fn check(&self, record_bytes_max: usize, frame_bytes_max: usize) -> Result<usize> {
        match self {
            Self::Append { records, expect, hard_state, .. } => {
                if records.is_empty() {
                    return Err(Error::invalid_argument("append at least one record"));
                }
                if *expect == Some(0) {
                    return Err(Error::invalid_argument("LSNs start at 1"));
                }
                let hard = hard_state.as_ref().and_then(Option::as_ref);
                let hard_bytes = check_hard_state(hard)?;
                check_sizes(records, hard, record_bytes_max, frame_bytes_max)?;
                Ok(OP_BYTES + records.size_bytes() + 8 * records.len() + hard_bytes)
            }
            Self::SetHardState(state) => Ok(OP_BYTES + check_hard_state(state.as_ref())?),
            Self::Purge { before: 0 } => Err(Error::invalid_argument("LSNs start at 1")),
            Self::Purge { before: u64::MAX } => Err(Error::invalid_argument(
                "LSNs are below 2^64 - 1; there is none to purge up to",
            )),
            Self::Truncate { .. } | Self::Purge { .. } | Self::Sync => Ok(OP_BYTES),
        }
    }
}

fn check_hard_state(state: Option<&Arc<[u8]>>) -> Result<usize> {
    let size = state.map_or(0, |state| state.len());
    if size > HARD_STATE_BYTES_MAX {
        let message = format!("a hard state has at most {HARD_STATE_BYTES_MAX} bytes, not {size}");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(size)
}

/// A record may be too large for the limit, a batch for a segment (D7).
fn check_sizes(
    records: &Records,
    hard: Option<&Arc<[u8]>>,
    record_bytes_max: usize,
    frame_bytes_max: usize,
) -> Result<()> {
    if let Some(size) = records.iter().map(<[u8]>::len).find(|size| *size > record_bytes_max) {
        let message = format!(
            "a record has at most {record_bytes_max} bytes, not {size}; raise maxRecordBytes and \
             segmentBytes, or split it"
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let size = crate::segment::frame_bytes(
        records.len() + usize::from(hard.is_some()),
        records.size_bytes() + hard.map_or(0, |hard| hard.len()),
    );
    if size.is_none_or(|size| size as usize > frame_bytes_max) {
        let message = format!(
            "a batch lies within one segment: this one of {} records and {} bytes does not; \
             split it, or raise segmentBytes",
            records.len(),
            records.size_bytes()
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalOutcome {
    /// The LSNs that a batch got.
    Appended {
        /// Of its first record.
        first: u64,
        /// Of its last one.
        last: u64,
    },
    /// Everything up to this LSN is on the medium.
    Synced(u64),
    /// Done.
    Done,
}

/// Entries with consecutive LSNs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The LSN of the first one.
    pub first: u64,
    /// Their bytes, in order.
    pub records: Records,
}

impl Entries {
    /// Each LSN and its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (self.first..).zip(self.records.iter())
    }
}
