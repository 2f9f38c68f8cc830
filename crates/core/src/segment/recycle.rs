//! Removing segments from the front of a log, and keeping their files as spares (SG-7).
//!
//! One at a time, each durable before the next: a power cut must not leave a gap. A spare is
//! written again only after the directory was synced (SG-4): until then the medium may still know
//! it as a segment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_storage::{LockMode, Site};

use super::Position;
use super::file::Segment;
use super::log::Log;
use crate::error::{Error, Result};

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
            let keeps = spares_count < self.place().options.spares_max;
            let spare = if keeps { self.recycle(old, &path)? } else { None };
            if spare.is_some() {
                spares_count += 1;
            } else {
                drop(self.forget(old));
                self.place().remove(Site::RecycleRemove, &path)?;
            }
            if let Err(error) = self.place().sync_names(Site::RecycleSyncDir) {
                // The medium may know it as a segment for good: nobody may write into it.
                let removed = spare.map(|spare| self.place().remove(Site::RecycleRemove, &spare));
                return removed.unwrap_or(Ok(())).and(Err(error));
            }
        }
        Ok(())
    }

    /// Makes a spare of a segment that nobody else has open; nothing if that cannot be.
    fn recycle(&self, number: u32, path: &Path) -> Result<Option<PathBuf>> {
        let size_bytes = self.place().options.segment_bytes;
        let known = self.forget(number);
        let segment = match known {
            Some(segment) => segment,
            None => match self.place().open(number) {
                Ok(segment) => Arc::new(segment),
                // It is damaged, or too short: no file to use again.
                Err(_) => return Ok(None),
            },
        };
        if segment.size_bytes() != size_bytes || !is_alone(&segment) {
            return Ok(None);
        }
        let spare = self.place().spare_path()?;
        self.place()
            .storage
            .rename(Site::RecycleRename, path, &spare)
            .map_err(|os| Error::os("make a spare of", path, os))?;
        Ok(Some(spare))
    }
}

/// Whether nobody has the segment open but the caller: no thread of this process, no other one.
fn is_alone(segment: &Arc<Segment>) -> bool {
    Arc::strong_count(segment) == 1
        && segment.file().try_lock(Site::SegmentLock, LockMode::Exclusive).unwrap_or(false)
}
