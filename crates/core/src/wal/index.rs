//! Where the entries are: for each segment the live LSNs and a sparse list of points.
//!
//! Points of one segment rise in LSN and in offset. From the last point that is not above an LSN,
//! the first frame of entries that has the LSN is the one that counts: what a truncate killed lies
//! behind the frames that it left, and every truncate makes the next entries begin a new point.
//!
//! A complete segment's index is in its seal (docs/format/segment.md, part 2):
//!
//! ```text
//! first LSN u64 | next LSN u64 | cut u64 | points u32 | reserved u32 | (LSN u64, offset u32)...
//! ```

use std::collections::VecDeque;

use super::state::{Change, State, is_lsn};

/// Points that a seal has room for.
const POINTS_MAX: usize = 330;
/// From so many points on, a segment is better sealed: one group adds but a few.
const POINTS_FULL: usize = 300;
/// A segment's size is at most so many times the distance of two points.
const POINTS_PER_SEGMENT: u32 = 256;
const SUMMARY_BYTES: usize = 32;
const POINT_BYTES: usize = 12;
/// No truncate.
const NO_CUT: u64 = u64::MAX;

/// A frame of entries, by the LSN that it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    lsn: u64,
    offset: u32,
}

/// What one segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentIndex {
    pub(super) number: u32,
    points: Vec<Point>,
    /// The LSN after the last live entry.
    end: u64,
    /// The lowest next LSN that a truncate or purge in this segment led to.
    cut: u64,
    /// Least distance of two points.
    stride_bytes: u32,
    /// Whether the next entries begin a point, wherever they are.
    force: bool,
}

impl SegmentIndex {
    /// A segment without entries.
    pub(super) fn new(number: u32, size_bytes: u32) -> Self {
        let stride_bytes = size_bytes / POINTS_PER_SEGMENT;
        Self { number, points: Vec::new(), end: 0, cut: NO_CUT, stride_bytes, force: true }
    }

    /// Takes note of entries in a frame.
    fn add(&mut self, first: u64, count: u64, offset: u32) {
        let far = self
            .points
            .last()
            .is_none_or(|last| offset.saturating_sub(last.offset) >= self.stride_bytes);
        if self.force || far {
            self.points.push(Point { lsn: first, offset });
            self.force = false;
        }
        self.end = first.saturating_add(count);
    }

    /// Nothing stays from this LSN on.
    fn cut_from(&mut self, lsn: u64) {
        self.points.retain(|point| point.lsn < lsn);
        self.end = self.end.min(lsn);
    }

    /// The live LSNs, as far as they are not below the log's first; nothing if there is none.
    fn live(&self, first: u64) -> Option<(u64, u64)> {
        let start = self.points.first()?.lsn.max(first);
        (start < self.end).then_some((start, self.end))
    }

    /// Whether a seal will soon have no room for the points.
    pub(super) fn is_full(&self) -> bool {
        self.points.len() >= POINTS_FULL
    }

    /// As the summary in a seal.
    pub(super) fn encode(&self, state: &State) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SUMMARY_BYTES + self.points.len() * POINT_BYTES);
        for word in [state.first, state.next, self.cut] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        // Bounded by POINTS_MAX: a segment that is full is sealed.
        let count = u32::try_from(self.points.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for point in &self.points {
            bytes.extend_from_slice(&point.lsn.to_le_bytes());
            bytes.extend_from_slice(&point.offset.to_le_bytes());
        }
        bytes
    }

    /// From a seal: the first and the next LSN at that time, and the index; nothing if it is none.
    pub(super) fn decode(number: u32, bytes: &[u8]) -> Option<(u64, u64, Self)> {
        let (head, points) = bytes.split_first_chunk::<SUMMARY_BYTES>()?;
        let word = |at: usize| {
            head.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes)
        };
        let (first, next, cut) = (word(0)?, word(8)?, word(16)?);
        let count = usize::try_from(word(24)?).ok()?;
        if count > POINTS_MAX || points.len() != count * POINT_BYTES {
            return None;
        }
        let mut index = Self::new(number, 0);
        for point in points.as_chunks::<POINT_BYTES>().0 {
            let (lsn, offset) = point.split_first_chunk::<8>()?;
            let point = Point {
                lsn: u64::from_le_bytes(*lsn),
                offset: u32::from_le_bytes(offset.try_into().ok()?),
            };
            let rises = index
                .points
                .last()
                .is_none_or(|last| last.lsn < point.lsn && last.offset < point.offset);
            if !rises || point.lsn >= next {
                return None;
            }
            index.points.push(point);
        }
        index.cut = cut;
        index.end = next;
        (is_lsn(first) && first <= next).then_some((first, next, index))
    }
}

/// Where an LSN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    /// A frame from which on it is found, in front of what else has the LSN.
    pub(super) offset: u32,
    /// The LSN from which on another place counts.
    pub(super) until: u64,
    /// Where the frames of the segment end, as far as they are published.
    pub(super) limit: u32,
}

/// What all segments hold, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogIndex {
    segments: VecDeque<SegmentIndex>,
}

impl LogIndex {
    /// Adds a complete segment behind the others.
    pub(super) fn push(&mut self, segment: SegmentIndex) {
        if segment.cut != NO_CUT {
            for before in &mut self.segments {
                before.cut_from(segment.cut);
            }
        }
        self.segments.push_back(segment);
    }

    /// The segment that is written to.
    pub(super) fn active(&self) -> Option<&SegmentIndex> {
        self.segments.back()
    }

    /// The number of the first segment.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.segments.front().map(|segment| segment.number)
    }

    /// Number of segments.
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Takes note of a frame at `offset` of the active segment. `next` is the LSN after it.
    pub(super) fn apply(&mut self, change: Change, offset: u32, next: u64) {
        let Some(active) = self.segments.back_mut() else { return };
        match change {
            Change::Entries { count: 0, .. } => {}
            Change::Entries { first, count, .. } => active.add(first, count, offset),
            Change::Truncate { .. } => {
                active.force = true;
                active.cut = active.cut.min(next);
                for segment in &mut self.segments {
                    segment.cut_from(next);
                }
            }
            Change::Purge { before } if before == next && active.end < next => {
                // Beyond the end, so that LSNs are left out: nothing that was there stays.
                active.points.clear();
                active.force = true;
                active.cut = active.cut.min(next);
            }
            Change::Purge { .. } => {}
        }
    }

    /// Where an LSN is that the log has.
    pub(super) fn find(&self, lsn: u64) -> Option<Place> {
        let holds = |segment: &&SegmentIndex| {
            segment.points.first().is_some_and(|first| first.lsn <= lsn) && lsn < segment.end
        };
        let segment = self.segments.iter().rev().find(holds)?;
        let after = segment.points.partition_point(|point| point.lsn <= lsn);
        let point = segment.points.get(after.checked_sub(1)?)?;
        let until = segment.points.get(after).map_or(segment.end, |next| next.lsn);
        Some(Place { segment: segment.number, offset: point.offset, until, limit: u32::MAX })
    }

    /// Forgets the segments in front that hold nothing live, but never the active one; the number
    /// of the first that stays.
    pub(super) fn drop_before(&mut self, first: u64) -> Option<u32> {
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|segment| segment.live(first).is_none())
        {
            self.segments.pop_front();
        }
        self.segments.front().map(|segment| segment.number)
    }

    /// The lowest next LSN that truncates in the segments from a number on led to.
    pub(super) fn lowest_cut_from(&self, number: u32) -> Option<u64> {
        let later = self.segments.iter().filter(|segment| segment.number >= number);
        later.map(|segment| segment.cut).filter(|cut| *cut != NO_CUT).min()
    }

    /// Whether the live entries are exactly those of the state (W-1).
    pub(super) fn covers(&self, state: &State) -> bool {
        let mut next = state.first;
        for (start, end) in self.segments.iter().filter_map(|segment| segment.live(state.first)) {
            if start != next {
                return false;
            }
            next = end;
        }
        next == state.next
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
