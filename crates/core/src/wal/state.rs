//! The state of a log: which LSNs it has, and the hard state. A link's preamble holds it, so that
//! a log can be read from any segment on.
//!
//! ```text
//! first LSN u64 | next LSN u64 | size of the hard state + 1, u32 | reserved u32 | hard state
//! ```

use std::sync::Arc;

use super::op::{HARD_STATE_BYTES_MAX, HardState};
use crate::segment::Frame;

/// Kinds of frame.
pub(super) const KIND_ENTRIES: u8 = 16;
pub(super) const KIND_TRUNCATE: u8 = 17;
pub(super) const KIND_PURGE: u8 = 18;
/// Flags of a frame of entries: its first record is the new hard state; there is none any more.
pub(super) const FLAG_HARD_STATE: u8 = 1;
pub(super) const FLAG_NO_HARD_STATE: u8 = 2;

const PREAMBLE_BYTES: usize = 24;

/// Which LSNs a log has, and its hard state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "a hard state is what Raft calls it")]
pub(super) struct State {
    /// The first LSN that was not purged.
    pub(super) first: u64,
    /// What the next entry gets.
    pub(super) next: u64,
    pub(super) hard_state: HardState,
}

impl Default for State {
    fn default() -> Self {
        Self { first: 1, next: 1, hard_state: None }
    }
}

/// What a frame does to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Entries from `first` on; `skip` is the number of records before them.
    Entries { first: u64, count: u64, skip: usize },
    /// Nothing stays after this LSN.
    Truncate { after: u64 },
    /// Nothing stays before this LSN.
    Purge { before: u64 },
}

impl State {
    /// The last LSN; one less than the first if there is none.
    pub(super) fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// As a link's preamble.
    pub(super) fn encode(&self) -> Vec<u8> {
        let hard = self.hard_state.as_deref();
        let mut bytes = Vec::with_capacity(PREAMBLE_BYTES + hard.map_or(0, <[u8]>::len));
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.next.to_le_bytes());
        // At most HARD_STATE_BYTES_MAX, checked when it was set.
        let size = hard.map_or(0, |hard| u32::try_from(hard.len() + 1).unwrap_or(u32::MAX));
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(hard.unwrap_or_default());
        bytes
    }

    /// From a link's preamble; nothing if it is not one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        let (next, rest) = rest.split_first_chunk::<8>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let (reserved, hard) = rest.split_first_chunk::<4>()?;
        let (first, next) = (u64::from_le_bytes(*first), u64::from_le_bytes(*next));
        let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        let hard_state = match size.checked_sub(1) {
            None if hard.is_empty() => None,
            Some(size) if size == hard.len() && size <= HARD_STATE_BYTES_MAX => {
                Some(Arc::from(hard))
            }
            _ => return None,
        };
        let sound = is_lsn(first) && first <= next && *reserved == [0; 4];
        sound.then_some(Self { first, next, hard_state })
    }

    /// Applies a frame; nothing, and no change, if it does not continue this state.
    pub(super) fn apply(&mut self, frame: &Frame) -> Option<Change> {
        let number = frame.number();
        let change = match (frame.kind(), frame.flags(), frame.record_count()) {
            (KIND_ENTRIES, 0, records) if records > 0 => Change::entries(number, records, 0)?,
            (KIND_ENTRIES, FLAG_NO_HARD_STATE, records) => Change::entries(number, records, 0)?,
            (KIND_ENTRIES, FLAG_HARD_STATE, records) => Change::entries(number, records, 1)?,
            (KIND_TRUNCATE, 0, 0) => Change::Truncate { after: number },
            (KIND_PURGE, 0, 0) => Change::Purge { before: number },
            _ => return None,
        };
        let hard_state = match frame.flags() {
            FLAG_HARD_STATE => {
                Some(frame.record(0).filter(|hard| hard.len() <= HARD_STATE_BYTES_MAX)?)
            }
            _ => None,
        };
        self.advance(change)?;
        match (hard_state, frame.flags()) {
            (Some(hard), _) => self.hard_state = Some(Arc::from(hard)),
            (None, FLAG_NO_HARD_STATE) => self.hard_state = None,
            _ => {}
        }
        Some(change)
    }

    /// Applies a change of the LSNs; nothing, and no change, if it is not one of this state.
    pub(super) fn advance(&mut self, change: Change) -> Option<()> {
        match change {
            Change::Entries { first, count, .. } if first == self.next => {
                self.next = first.checked_add(count)?;
            }
            Change::Truncate { after } if after < self.next && after + 1 >= self.first => {
                self.next = after + 1;
            }
            Change::Purge { before } if is_lsn(before) => {
                self.first = self.first.max(before);
                self.next = self.next.max(self.first);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Whether an entry may have this number: LSNs begin at 1, and one more than the last is a number,
/// too.
pub(super) const fn is_lsn(number: u64) -> bool {
    1 <= number && number < u64::MAX
}

impl Change {
    fn entries(first: u64, records: usize, skip: usize) -> Option<Self> {
        let count = u64::try_from(records.checked_sub(skip)?).ok()?;
        Some(Self::Entries { first, count, skip })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_encoding() {
        for hard_state in [None, Some(Arc::from(&b""[..])), Some(Arc::from(&b"vote"[..]))] {
            let state = State { first: 7, next: 9, hard_state };
            assert_eq!(State::decode(&state.encode()), Some(state));
        }
    }

    #[test]
    fn a_damaged_preamble_is_none() {
        let whole = State { first: 7, next: 9, hard_state: Some(Arc::from(&b"vote"[..])) }.encode();
        for len in 0..whole.len() {
            assert_eq!(State::decode(&whole[..len]), None, "cut at {len}");
        }
        let reversed = State { first: 9, next: 7, hard_state: None };
        assert_eq!(State::decode(&reversed.encode()), None);
        for first in [0, u64::MAX] {
            let none = State { first, next: u64::MAX, hard_state: None };
            assert_eq!(State::decode(&none.encode()), None, "no LSN {first}");
        }
    }

    #[test]
    fn a_number_that_no_lsn_has_changes_nothing() {
        let state = State { first: 7, next: 9, hard_state: None };
        let count = u64::MAX - 8;
        let changes = [
            Change::Purge { before: 0 },
            Change::Purge { before: u64::MAX },
            Change::Truncate { after: 0 },
            Change::Truncate { after: u64::MAX },
            Change::Entries { first: 9, count, skip: 0 },
            Change::Entries { first: u64::MAX, count: 1, skip: 0 },
        ];
        for change in changes {
            let mut same = state.clone();
            assert_eq!(same.advance(change), None, "{change:?}");
            assert_eq!(same, state, "{change:?}");
        }
        let mut last = state;
        last.advance(Change::Purge { before: u64::MAX - 1 }).unwrap();
        last.advance(Change::Entries { first: u64::MAX - 1, count: 1, skip: 0 }).unwrap();
        assert_eq!((last.first, last.last()), (u64::MAX - 1, u64::MAX - 1));
    }

    #[test]
    fn a_truncate_and_a_purge_move_the_ends() {
        let mut state = State { first: 1, next: 11, hard_state: None };
        assert!(state.advance(Change::Truncate { after: 11 }).is_none());
        state.advance(Change::Truncate { after: 5 }).unwrap();
        assert_eq!((state.first, state.next), (1, 6));
        state.advance(Change::Purge { before: 3 }).unwrap();
        assert!(state.advance(Change::Truncate { after: 1 }).is_none());
        state.advance(Change::Truncate { after: 2 }).unwrap();
        assert_eq!((state.first, state.next), (3, 3));
        state.advance(Change::Purge { before: 100 }).unwrap();
        assert_eq!((state.first, state.next, state.last()), (100, 100, 99));
    }
}
