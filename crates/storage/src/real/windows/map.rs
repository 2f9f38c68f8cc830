//! A shared mapping of a file of this machine.
//!
//! Only pages like a log's `state` are mapped: they are kept in memory, so that no access can fail
//! (V4 of [`super::view`]). Whole segments are not, and [`crate::Storage::maps_large_files`] says
//! so.
//!
//! Nobody can sleep on a word that processes share: a waiter looks again and again, also for the
//! interrupt.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use super::errno::at;
use super::file::Opened;
use super::stat;
use super::view::View;
use crate::real::words::{WORD_SIZE, copy_in, copy_out};
use crate::{FileKind, Interrupt, Map, OsError, Result, Site};

/// What may be kept in memory at a time.
const SIZE_MAX: usize = 64 << 10;
/// How long a waiter looks away.
const NAP: Duration = Duration::from_millis(2);

/// A mapping, and the open file, whose lock lives as long.
#[derive(Debug)]
pub(super) struct RealMap {
    view: View,
    size: usize,
    writes: bool,
    open: Arc<Opened>,
}

impl RealMap {
    pub(super) fn new(open: &Arc<Opened>, size: usize, writes: bool) -> Result<Self> {
        let call = "MapViewOfFile";
        let stat = stat::describe(&open.file)?;
        if stat.kind != FileKind::Regular {
            return Err(OsError::new(OsError::ENXIO, call));
        }
        if size == 0 || size as u64 > stat.size_bytes {
            return Err(OsError::new(OsError::EINVAL, call));
        }
        if size > SIZE_MAX {
            return Err(OsError::new(OsError::ENOMEM, call));
        }
        let view = View::map(&open.file, size, writes).map_err(at(call))?;
        Ok(Self { view, size, writes, open: Arc::clone(open) })
    }

    /// Whether the bytes are mapped, and may be touched in this way.
    fn check(&self, offset: usize, len: usize, writes: bool) -> Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(OsError::new(OsError::EINVAL, "MapViewOfFile"));
        }
        if writes && !self.writes {
            return Err(OsError::new(OsError::EACCES, "MapViewOfFile"));
        }
        Ok(())
    }

    /// The aligned word at `offset`.
    fn word(&self, offset: usize, writes: bool) -> Result<&AtomicU64> {
        let invalid = OsError::new(OsError::EINVAL, "MapViewOfFile");
        if !offset.is_multiple_of(WORD_SIZE) {
            return Err(invalid);
        }
        self.check(offset, WORD_SIZE, writes)?;
        self.view.words().get(offset / WORD_SIZE).ok_or(invalid)
    }
}

impl Map for RealMap {
    fn len(&self) -> usize {
        self.size
    }

    fn load(&self, _site: Site, offset: usize) -> Result<u64> {
        Ok(u64::from_le(self.word(offset, false)?.load(Acquire)))
    }

    fn store(&self, _site: Site, offset: usize, word: u64) -> Result<()> {
        self.word(offset, true)?.store(word.to_le(), Release);
        Ok(())
    }

    fn read(&self, _site: Site, offset: usize, into: &mut [u8]) -> Result<()> {
        self.check(offset, into.len(), false)?;
        copy_out(self.view.words(), offset, into);
        Ok(())
    }

    fn write(&self, _site: Site, offset: usize, from: &[u8]) -> Result<()> {
        self.check(offset, from.len(), true)?;
        copy_in(self.view.words(), offset, from);
        Ok(())
    }

    fn wait(&self, site: Site, offset: usize, seen: u64, timeout: Duration) -> Result<()> {
        self.wait_or(site, offset, seen, timeout, None)
    }

    fn wait_or(
        &self,
        _site: Site,
        offset: usize,
        seen: u64,
        timeout: Duration,
        interrupt: Option<&Interrupt>,
    ) -> Result<()> {
        let word = self.word(offset, false)?;
        #[expect(clippy::disallowed_methods, reason = "this is what Map::wait is made of here")]
        let began = Instant::now();
        loop {
            let rest = timeout.saturating_sub(began.elapsed());
            let ends = rest.is_zero() || interrupt.is_some_and(Interrupt::is_raised);
            if ends || u64::from_le(word.load(Acquire)) != seen {
                return Ok(());
            }
            // Shorter than what a parked thread can be woken after: a sleep has a timer of its own.
            #[expect(clippy::disallowed_methods, reason = "nobody tells when the word changes")]
            thread::sleep(rest.min(NAP));
        }
    }

    fn wake(&self, _site: Site, offset: usize) -> Result<()> {
        // Nobody sleeps on it.
        self.word(offset, false).map(drop)
    }

    fn sync(&self, _site: Site) -> Result<()> {
        if self.writes {
            self.view.flush().map_err(at("FlushViewOfFile"))?;
            // Not retried: whether the bytes are still there to be written is then unknown.
            self.open.file.sync_all().map_err(at("FlushFileBuffers"))?;
        }
        Ok(())
    }
}

/// Nobody sleeps on a word here: the next look sees it.
pub(crate) const fn wake_all(_word: &AtomicU32) {}
