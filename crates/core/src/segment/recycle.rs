//! Removing segments from the front of a log, and keeping their files as spares (SG-7).
//!
//! One at a time, each durable before the next: a power cut must not leave a gap. A spare is
//! written again only after the directory was synced (SG-4): until then the medium may still know
//! it as a segment.

use std::sync::Arc;

use tidemark_storage::{LockMode, Site};

use super::Position;
use super::file::Segment;
use super::log::Log;
use crate::error::Result;

impl Log {
    /// Removes the segments before this number, oldest first: what makes them superfluous is
    /// durable. Their files become spares, or go. A segment is kept in any case until something of
    /// a later one is known to be synced ([`Log::synced`]).
    ///
    /// # Durability
    /// On success the segments stay gone after a power cut.
    ///
    /// # Errors
    /// `TIDEMARK_IO`; some segments may be gone, the next call goes on.
    pub fn remove_before(&self, number: u32) -> Result<()> {
        let _work = self.lock_work();
        let synced = self.synced();
        // The start of a segment may be no more than a name: its link is not written yet.
        let safe = if synced > Position::start_of(synced.segment()) {
            synced.segment()
        } else {
            synced.segment().saturating_sub(1)
        };
        let names = self.place().list()?;
        let mut spares_count = names.spares.len();
        for old in names.segments.into_iter().filter(|old| *old < number.min(safe)) {
            let path = self.place().path_of(old);
            // Held until the file has another name: a reader that comes meanwhile waits, and then
            // finds that the name is gone.
            let alone = self.alone_with(old);
            let spare = self.place().take_name(&path)?;
            if alone.is_some() && spares_count < self.place().options.spares_max {
                spares_count += 1;
            } else {
                self.place().remove(Site::RecycleRemove, &spare)?;
            }
        }
        Ok(())
    }

    /// A segment whose file can be used again, and that nobody else has open.
    fn alone_with(&self, number: u32) -> Option<Arc<Segment>> {
        let known = self.forget(number);
        // One that is damaged is no file to use again.
        let segment = known.or_else(|| self.place().open(number).ok().map(Arc::new))?;
        let fits = segment.size_bytes() == self.place().options.segment_bytes;
        (fits && is_alone(&segment)).then_some(segment)
    }
}

/// Whether nobody has the segment open but the caller: no thread of this process, no other one.
fn is_alone(segment: &Arc<Segment>) -> bool {
    Arc::strong_count(segment) == 1
        && segment.file().try_lock(Site::SegmentLock, LockMode::Exclusive).unwrap_or(false)
}
