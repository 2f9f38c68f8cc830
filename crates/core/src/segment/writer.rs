//! The tail of a log, in the process that writes it.
//!
//! Frames are staged in memory, written in one go of whole blocks, and synced. Nothing is tried
//! again: after a failed write or sync nothing is believed, and every later call is refused.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_storage::Site;

use super::cursor::Cursor;
use super::file::Segment;
use super::seal::{Link, Seal};
use super::staging::Staging;
use super::{FIRST_OFFSET, Position};
use crate::error::{Error, ErrorKind, Result};

/// Who measures the syncs of a tail.
pub trait SyncWatch: Debug + Send + Sync {
    /// Runs one.
    ///
    /// # Errors
    /// What it comes to.
    fn during(&self, sync: &dyn Fn() -> Result<()>) -> Result<()>;
}

/// Writes at the end of a log. Whoever has it holds the log's lock.
#[derive(Debug)]
pub struct Writer {
    segment: Arc<Segment>,
    staging: Staging,
    written: Position,
    /// Whether the last frame is a mark.
    is_marked: bool,
    /// Whether the block that the last frame ends in may only be in memory, or not be padded: until
    /// the first write.
    is_stale: bool,
    synced: Position,
    /// What [`super::Log`] knows to be synced.
    proven: Arc<AtomicU64>,
    /// Where the staged link goes on from, as long as it is not written.
    link: Option<Link>,
    watch: Option<Arc<dyn SyncWatch>>,
    is_broken: bool,
}

impl Writer {
    /// A writer behind what the staging area begins with, all of which is written.
    pub(super) fn new(segment: &Arc<Segment>, staging: Staging, proven: &Arc<AtomicU64>) -> Self {
        let written = staging.position();
        let synced = staging.synced();
        proven.fetch_max(synced.word(), Ordering::AcqRel);
        Self {
            segment: Arc::clone(segment),
            staging,
            written,
            is_marked: false,
            is_stale: false,
            synced,
            proven: Arc::clone(proven),
            link: None,
            watch: None,
            is_broken: false,
        }
    }

    /// The same, behind a mark.
    pub(super) const fn behind_a_mark(mut self) -> Self {
        self.is_marked = true;
        self
    }

    /// The same, where the block that the last frame ends in is to be written again (SG-10).
    pub(super) const fn over_a_stale_tail(mut self) -> Self {
        self.is_stale = true;
        self
    }

    /// Stages the first frame of the segment.
    pub(super) fn link(&mut self, link: Link, preamble: &[u8]) {
        self.staging.link(link, preamble);
        self.link = Some(link);
    }

    /// Has every sync from now on measured: also those of a seal and of a mark.
    pub fn watch_syncs(&mut self, watch: Arc<dyn SyncWatch>) {
        self.watch = Some(watch);
    }

    /// The segment that is written.
    #[must_use]
    pub const fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The end of what was staged.
    #[must_use]
    pub fn position(&self) -> Position {
        self.staging.position()
    }

    /// The end of what was written.
    #[must_use]
    pub const fn written(&self) -> Position {
        self.written
    }

    /// The end of what is known to be on the medium.
    #[must_use]
    pub const fn synced(&self) -> Position {
        self.synced
    }

    /// The largest frame that can still be staged, without the reserve (see
    /// [`super::frame_bytes`]).
    #[must_use]
    pub fn room(&self) -> u32 {
        self.staging.room()
    }

    /// The same with the reserve: for small frames that make room when no segment is to be had.
    #[must_use]
    pub fn room_with_reserve(&self) -> u32 {
        self.staging.room_with_reserve()
    }

    /// Makes a frame, in memory; returns where it starts and ends. The caller has seen that there
    /// is room for it: otherwise nothing is staged, and the next write fails.
    pub fn stage<'a, I>(
        &mut self,
        kind: u8,
        flags: u8,
        number: u64,
        records: I,
    ) -> (Position, Position)
    where
        I: IntoIterator<Item = &'a [u8]>,
        I::IntoIter: Clone,
    {
        self.staging.stage(kind, flags, number, records.into_iter())
    }

    /// Writes everything that is staged, in one go of whole blocks; returns its end.
    ///
    /// # Durability
    /// None: a kill loses nothing of it, a power cut any part.
    ///
    /// # Errors
    /// `TIDEMARK_NO_SPACE`, `TIDEMARK_IO`, indeterminate: nothing is believed to be written, and
    /// the writer is done for. `TIDEMARK_POISONED` after that.
    pub fn write(&mut self) -> Result<Position> {
        self.check()?;
        if self.staging.is_overflown() {
            self.is_broken = true;
            let message = "a frame was staged that its segment has no room for";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        if self.position() != self.written {
            self.is_marked = false;
            self.write_blocks()?;
        }
        Ok(self.written)
    }

    fn write_blocks(&mut self) -> Result<()> {
        // Broken until it is done: a panic of the storage must not leave it in between.
        self.is_broken = true;
        let segment = &self.segment;
        self.staging
            .write_to(self.is_stale, |bytes, offset| {
                segment.write_blocks(Site::SegmentWrite, bytes, offset)
            })
            .map_err(Error::indeterminate)?;
        self.is_broken = false;
        self.link = None;
        self.is_stale = false;
        self.written = self.position();
        Ok(())
    }

    /// Brings what is written to the medium; returns its end.
    ///
    /// # Durability
    /// On success everything up to the returned position survives a power cut.
    ///
    /// # Errors
    /// `TIDEMARK_IO`, indeterminate, final: the writer is done for. `TIDEMARK_POISONED` after that.
    pub fn sync(&mut self) -> Result<Position> {
        self.check()?;
        if self.synced < self.written {
            self.sync_at(Site::SegmentSync)?;
            self.set_synced(self.written);
        }
        Ok(self.synced)
    }

    /// Writes the block in which the last frame ends again, and syncs it. Whoever opened a log and
    /// found it whole calls this first: who wrote its mark may have ended before the sync, and no
    /// frame may call it synced before it is (SG-2).
    ///
    /// # Errors
    /// As for [`Writer::write`] and [`Writer::sync`].
    pub fn prove_tail(&mut self) -> Result<()> {
        self.check()?;
        if self.is_stale {
            self.write_blocks()?;
            self.sync_at(Site::SegmentSync)?;
        }
        Ok(())
    }

    fn sync_at(&mut self, site: Site) -> Result<()> {
        self.is_broken = true;
        let sync = || self.segment.sync(site);
        match &self.watch {
            Some(watch) => watch.during(&sync)?,
            None => sync()?,
        }
        self.is_broken = false;
        Ok(())
    }

    fn set_synced(&mut self, synced: Position) {
        self.synced = synced;
        self.staging.set_synced(synced);
        self.proven.fetch_max(synced.word(), Ordering::AcqRel);
    }

    /// Writes what is pending, seals the segment, syncs it, and goes on in the next one, whose
    /// link is staged (SG-3).
    ///
    /// # Durability
    /// On success everything before the link survives a power cut.
    ///
    /// # Errors
    /// As for [`Writer::write`] and [`Writer::sync`]; `TIDEMARK_TOO_LARGE` for a summary larger
    /// than [`super::SUMMARY_BYTES_MAX`], `TIDEMARK_INVALID_ARGUMENT` for a segment that does not
    /// follow: nothing was done.
    pub fn roll(&mut self, next: Arc<Segment>, summary: &[u8], preamble: &[u8]) -> Result<()> {
        self.check()?;
        let own = self.segment.number();
        if own.checked_add(1) != Some(next.number()) {
            let message = format!("segment {} does not follow {own}", next.number());
            return Err(Error::invalid_argument(message));
        }
        // Before the seal's bytes are made: the chain goes on through what is staged.
        let seal = self.seal(summary)?;
        self.write()?;
        if self.is_stale {
            self.write_blocks()?;
        }
        self.is_broken = true;
        self.segment
            .write_blocks(Site::SegmentSeal, &seal, self.segment.frames_end())
            .map_err(Error::indeterminate)?;
        self.sync_at(Site::SegmentSealSync)?;
        let end = self.written;
        let link = Link {
            before: own,
            end: end.offset(),
            chain: self.staging.chain(),
            by_recovery: false,
        };
        self.staging = self.staging.next(next.header(), next.frames_end());
        self.segment = next;
        self.is_marked = false;
        self.written = self.staging.position();
        self.set_synced(self.written);
        self.link(link, preamble);
        Ok(())
    }

    fn seal(&self, summary: &[u8]) -> Result<Vec<u8>> {
        let seal = Seal {
            number: self.segment.number(),
            end: self.position().offset(),
            chain: self.staging.chain(),
            summary: summary.to_vec(),
        };
        let block = seal.encode(self.segment.salt()).ok_or_else(|| {
            let message = format!("a summary of {} bytes is too large", summary.len());
            Error::new(ErrorKind::TooLarge, message)
        })?;
        Ok(block.to_vec())
    }

    /// Says that the log is closed: syncs what is not, then writes a mark and syncs that.
    ///
    /// # Durability
    /// On success everything survives a power cut, and opening the log again has nothing to do.
    ///
    /// # Errors
    /// As for [`Writer::write`] and [`Writer::sync`].
    pub fn close_mark(&mut self) -> Result<()> {
        self.write()?;
        self.sync()?;
        self.mark()?;
        self.sync()?;
        Ok(())
    }

    /// Writes a mark: everything before it is on the medium, and is proven to be as soon as the
    /// mark is synced. Nothing is written behind another mark, nor where there is no room: then
    /// the next opener copies the end of the log.
    ///
    /// # Errors
    /// As for [`Writer::write`]; `TIDEMARK_INTERNAL` if not everything is synced.
    pub fn mark(&mut self) -> Result<()> {
        self.check()?;
        if self.is_marked || !self.staging.has_room_for_mark() {
            return Ok(());
        }
        if self.position() != self.synced {
            let message = "a mark is behind what is synced, and nothing else";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        self.staging.mark();
        self.write()?;
        self.is_marked = true;
        Ok(())
    }

    /// Hands the log to whoever writes next: a cursor behind what was written.
    ///
    /// # Errors
    /// `TIDEMARK_POISONED` after a failure; `TIDEMARK_INTERNAL` if frames are staged that were
    /// not written.
    pub fn into_cursor(self) -> Result<Cursor> {
        self.check()?;
        if let Some(link) = self.link {
            // The link is only staged: the next writer makes its own.
            let cursor = Cursor::start(&self.segment);
            return Ok(cursor.expecting(link.before, link.end, link.chain));
        }
        if self.position() != self.written {
            let message = "frames are staged that were not written";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let tail = self.staging.tail().to_vec();
        let (offset, chain) = (self.written.offset(), self.staging.chain());
        debug_assert!(offset > FIRST_OFFSET, "a segment begins with its link");
        Ok(Cursor::behind(&self.segment, offset, chain, None, tail))
    }

    fn check(&self) -> Result<()> {
        if self.is_broken {
            let message = "an earlier write or sync failed; open the log again";
            return Err(Error::new(ErrorKind::Poisoned, message));
        }
        Ok(())
    }
}
