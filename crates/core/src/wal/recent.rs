//! The newest entries, in memory: what a reader that keeps up asks for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::op::{Entries, Records};

/// Bytes of entries that are kept, whatever the size of the log.
const BYTES_MAX: usize = 8 << 20;
/// Batches that are looked up at once: nobody who appends waits for more (V-4).
const PIECES_MAX: usize = 1024;
/// What a batch counts for beside its bytes.
const BATCH_BYTES: usize = 96;
/// What an entry counts for beside its bytes.
const ENTRY_BYTES: usize = 8;

/// The first `count` records of a batch.
#[derive(Clone, Debug)]
struct Batch {
    first: u64,
    count: usize,
    records: Arc<Records>,
}

impl Batch {
    fn end(&self) -> u64 {
        self.first + self.count as u64
    }

    fn size_bytes(&self) -> usize {
        BATCH_BYTES + self.records.size_bytes() + ENTRY_BYTES * self.records.len()
    }
}

/// Batches with consecutive LSNs up to the end of what is written.
#[derive(Debug, Default)]
pub(super) struct Recent {
    batches: VecDeque<Batch>,
    size_bytes: usize,
}

impl Recent {
    /// Adds entries at the end.
    pub(super) fn push(&mut self, first: u64, records: Arc<Records>) {
        if self.batches.back().is_some_and(|last| last.end() != first) {
            self.clear();
        }
        let batch = Batch { first, count: records.len(), records };
        self.size_bytes += batch.size_bytes();
        self.batches.push_back(batch);
        while self.size_bytes > BYTES_MAX {
            self.pop_front();
        }
    }

    /// Forgets what lies from an LSN on.
    pub(super) fn cut_from(&mut self, lsn: u64) {
        while self.batches.back().is_some_and(|last| last.first >= lsn) {
            self.size_bytes -= self.batches.pop_back().map_or(0, |last| last.size_bytes());
        }
        if let Some(last) = self.batches.back_mut() {
            let stays = usize::try_from(lsn - last.first).unwrap_or(usize::MAX);
            last.count = last.count.min(stays);
        }
    }

    /// Forgets the batches that lie before an LSN.
    pub(super) fn drop_before(&mut self, lsn: u64) {
        while self.batches.front().is_some_and(|first| first.end() <= lsn) {
            self.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
        self.size_bytes = 0;
    }

    fn pop_front(&mut self) {
        if let Some(gone) = self.batches.pop_front() {
            self.size_bytes -= gone.size_bytes();
        }
    }

    /// Where entries are from `from` on and before `until`, up to `bytes_max` but at least one;
    /// nothing if the first of them is not here. It may leave some out that are here
    /// ([`Hot::is_whole`]).
    pub(super) fn find(&self, from: u64, until: u64, bytes_max: usize) -> Option<Hot> {
        let after = self.batches.partition_point(|batch| batch.first <= from);
        let mut index = after.checked_sub(1)?;
        let mut found = Hot { first: from, pieces: Vec::new(), bytes_max, is_whole: true };
        let (mut lsn, mut room) = (from, bytes_max);
        while let Some(batch) = self.batches.get(index) {
            if lsn < batch.first || lsn >= batch.end().min(until) {
                break;
            }
            let range = [lsn, batch.end().min(until)].map(|lsn| lsn - batch.first);
            let [start, end] = range.map(|index| usize::try_from(index).unwrap_or(usize::MAX));
            if found.pieces.len() == PIECES_MAX {
                found.is_whole = false;
                break;
            }
            found.pieces.push((Arc::clone(&batch.records), start..end));
            if room == 0 {
                break;
            }
            room = room.saturating_sub(batch.records.bytes_in(start..end));
            lsn = batch.end();
            index += 1;
        }
        Some(found).filter(|found| !found.pieces.is_empty())
    }
}

/// Entries that are kept in memory: shared, so that nobody has to wait while they are copied.
#[derive(Debug)]
pub(super) struct Hot {
    first: u64,
    pieces: Vec<(Arc<Records>, Range<usize>)>,
    bytes_max: usize,
    is_whole: bool,
}

impl Hot {
    /// Whether this is all that was looked for: otherwise there are more behind it.
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Copies them, as many as the limit allows but at least one.
    pub(super) fn copy(&self) -> Entries {
        let mut found = Entries { first: self.first, records: Records::default() };
        for (records, range) in &self.pieces {
            for record in range.clone().map_while(|index| records.get(index)) {
                let full = found.records.size_bytes() + record.len() > self.bytes_max;
                if full && !found.records.is_empty() {
                    return found;
                }
                found.records.push(record);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: &[&str]) -> Arc<Records> {
        Arc::new(records.iter().collect())
    }

    fn texts(found: Option<Hot>) -> Vec<(u64, String)> {
        let found = found.map(|found| found.copy()).unwrap_or_default();
        found.iter().map(|(lsn, data)| (lsn, String::from_utf8_lossy(data).into())).collect()
    }

    #[test]
    fn a_range_crosses_batches_and_stops_at_its_limits() {
        let mut recent = Recent::default();
        recent.push(5, batch(&["a", "b"]));
        recent.push(7, batch(&["c"]));
        let all = [(5, "a"), (6, "b"), (7, "c")].map(|(lsn, text)| (lsn, text.to_owned()));
        assert_eq!(texts(recent.find(5, 100, 100)), all);
        assert_eq!(texts(recent.find(6, 7, 100)), all[1..2]);
        assert_eq!(texts(recent.find(5, 100, 2)), all[..2]);
        assert_eq!(texts(recent.find(6, 100, 0)), all[1..2], "at least one");
        assert!(recent.find(4, 100, 100).is_none());
        assert!(recent.find(8, 100, 100).is_none());
    }

    /// V-4: what is done under the lock is bounded, whatever the size of the entries.
    #[test]
    fn one_look_finds_a_bounded_number_of_batches_and_says_that_there_are_more() {
        let mut recent = Recent::default();
        let count = 2 * PIECES_MAX as u64 + 5;
        (1..=count).for_each(|lsn| recent.push(lsn, batch(&["a"])));
        let (mut next, mut looks) = (1, 0);
        while next <= count {
            let found = recent.find(next, u64::MAX, usize::MAX).unwrap();
            assert!(found.pieces.len() <= PIECES_MAX);
            let entries = found.copy();
            assert_eq!(entries.first, next);
            next += entries.records.len() as u64;
            assert_eq!(found.is_whole(), next > count);
            looks += 1;
        }
        assert_eq!(looks, 3);
        let exactly = recent.find(1, PIECES_MAX as u64 + 1, usize::MAX).unwrap();
        assert!(exactly.is_whole(), "it ends where the range does");
    }

    #[test]
    fn what_was_cut_off_is_gone_and_its_lsns_are_used_again() {
        let mut recent = Recent::default();
        recent.push(1, batch(&["a", "b", "c"]));
        recent.cut_from(2);
        assert!(recent.find(2, 100, 100).is_none());
        recent.push(2, batch(&["B"]));
        assert_eq!(texts(recent.find(1, 9, 99)), [(1, "a".to_owned()), (2, "B".to_owned())]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        for lsn in 1..=100 {
            recent.push(lsn, Arc::new(Records::one(vec![0; 1 << 20])));
        }
        assert!(recent.size_bytes <= BYTES_MAX);
        assert!(recent.find(100, 101, 1).is_some());
        assert!(recent.find(90, 101, 1).is_none());
    }
}
