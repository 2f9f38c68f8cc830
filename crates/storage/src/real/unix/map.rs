//! A shared mapping of a file of this machine.
//!
//! Each access asks the guard before, because a map that lost a page stays lost, and again after
//! it: the answer is then about that very access. The fence in between keeps the processor from
//! asking too early (G3 of [`super::bus_guard`]).

use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Acquire, Release, SeqCst};
use std::sync::atomic::fence;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs;
use rustix::io::Errno;

use super::at;
use super::bus_guard::{self, Guarded};
use super::file::{stat_from, writes};
use super::mapping::{Pages, low_half};
use super::system;
use super::words::{WORD_SIZE, copy_in, copy_out};
use crate::{FileKind, Interrupt, Map, OsError, Result, Site};

/// A mapping, what guards it, and the open file, whose lock lives as long.
#[derive(Debug)]
pub(super) struct RealMap {
    // Dropped in this order: the guard must not know what is unmapped (G2).
    guarded: Guarded,
    pages: Pages,
    size: usize,
    writes: bool,
    file: Arc<OwnedFd>,
}

impl RealMap {
    pub(super) fn new(file: &Arc<OwnedFd>, size: usize) -> Result<Self> {
        let stat = fs::fstat(file).map(|stat| stat_from(&stat)).map_err(at("fstat"))?;
        if stat.kind != FileKind::Regular {
            return Err(at("mmap")(Errno::NODEV));
        }
        if size == 0 || size as u64 > stat.size_bytes {
            return Err(OsError::new(OsError::EINVAL, "mmap"));
        }
        let writes = writes(file)?;
        let pages = Pages::map(file, size, writes).map_err(at("mmap"))?;
        let guarded = bus_guard::guard(pages.address(), pages.size());
        let guarded = guarded.ok_or(OsError::new(OsError::ENOMEM, "mmap"))?;
        Ok(Self { guarded, pages, size, writes, file: Arc::clone(file) })
    }

    /// Whether the bytes are mapped, still there, and may be touched in this way.
    fn check(&self, syscall: &'static str, offset: usize, len: usize, writes: bool) -> Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(OsError::new(OsError::EINVAL, syscall));
        }
        if self.guarded.is_lost() {
            return Err(OsError::new(OsError::EIO, syscall));
        }
        if writes && !self.writes {
            return Err(OsError::new(OsError::EACCES, syscall));
        }
        Ok(())
    }

    /// The aligned word at `offset`.
    fn word(&self, syscall: &'static str, offset: usize, writes: bool) -> Result<&AtomicU64> {
        let invalid = OsError::new(OsError::EINVAL, syscall);
        if !offset.is_multiple_of(WORD_SIZE) {
            return Err(invalid);
        }
        self.check(syscall, offset, WORD_SIZE, writes)?;
        self.pages.words().get(offset / WORD_SIZE).ok_or(invalid)
    }

    /// Whether the access that was just made has found its page.
    fn after(&self, syscall: &'static str, order: Ordering) -> Result<()> {
        fence(order);
        if self.guarded.is_lost() { Err(OsError::new(OsError::EIO, syscall)) } else { Ok(()) }
    }

    /// The answer to a failed `futex`, which gets an error where we would get a signal.
    fn futex_failed(&self, errno: Errno) -> OsError {
        if errno == Errno::FAULT {
            self.guarded.mark_lost();
            return OsError::new(OsError::EIO, "futex");
        }
        at("futex")(errno)
    }
}

impl Map for RealMap {
    fn len(&self) -> usize {
        self.size
    }

    fn load(&self, _site: Site, offset: usize) -> Result<u64> {
        let word = u64::from_le(self.word("mmap", offset, false)?.load(Acquire));
        self.after("mmap", Acquire)?;
        Ok(word)
    }

    fn store(&self, _site: Site, offset: usize, word: u64) -> Result<()> {
        self.word("mmap", offset, true)?.store(word.to_le(), Release);
        self.after("mmap", SeqCst)
    }

    fn read(&self, _site: Site, offset: usize, into: &mut [u8]) -> Result<()> {
        self.check("mmap", offset, into.len(), false)?;
        copy_out(self.pages.words(), offset, into);
        self.after("mmap", Acquire)
    }

    fn write(&self, _site: Site, offset: usize, from: &[u8]) -> Result<()> {
        self.check("mmap", offset, from.len(), true)?;
        copy_in(self.pages.words(), offset, from);
        self.after("mmap", SeqCst)
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
        let word = self.word("futex", offset, false)?;
        let found = u64::from_le(word.load(Acquire));
        self.after("futex", Acquire)?;
        if found != seen || interrupt.is_some_and(Interrupt::is_raised) {
            return Ok(());
        }
        match system::wait(word, seen, timeout, interrupt) {
            // Woken, changed, too late, or a signal came: the caller looks which.
            Ok(()) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => {
                self.after("futex", Acquire)
            }
            Err(errno) => Err(self.futex_failed(errno)),
        }
    }

    fn wake(&self, _site: Site, offset: usize) -> Result<()> {
        let word = self.word("futex", offset, false)?;
        system::wake(low_half(word)).map_err(|errno| self.futex_failed(errno))?;
        self.after("futex", Acquire)
    }

    fn sync(&self, _site: Site) -> Result<()> {
        self.check("msync", 0, 0, false)?;
        // Not retried, not even after EINTR: whether the pages are still dirty is then unknown.
        self.pages.sync().map_err(at("msync"))?;
        if !system::MSYNC_REACHES_THE_MEDIUM {
            system::sync_data(&self.file).map_err(at("fsync"))?;
        }
        self.after("msync", SeqCst)
    }
}

/// Wakes everybody who sleeps on a word of this process.
pub(crate) fn wake_all(word: &AtomicU32) {
    // It can fail only for an address that is none.
    let _woken = system::wake(word);
}
