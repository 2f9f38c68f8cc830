//! A shared mapping of a file of this machine.
//!
//! Each access asks the guard before, because a map that lost a page stays lost, and again after
//! it: the answer is then about that very access. The fence in between keeps the processor from
//! asking too early (G3 of [`super::bus_guard`]).
//!
//! The kernel waits on halves of words. So a waiter gives it both halves to compare, the low one
//! first, and is woken by the low one: a change of the high half alone is seen either by the second
//! comparison, or comes so late that the waiter is already listed for the wake that follows it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Acquire, Release, SeqCst};
use std::sync::atomic::fence;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs;
use rustix::io::Errno;
use rustix::thread::futex::{self, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::at;
use super::bus_guard::{self, Guarded};
use super::file::{stat_from, writes};
use super::mapping::{Pages, low_half};
use super::words::{WORD_SIZE, copy_in, copy_out};
use crate::{FileKind, Interrupt, Map, OsError, Result, Site};

/// What a wait lasts at most where the kernel compares the low half alone (before Linux 5.16): a
/// change of the high half is then seen by the next look.
const BLIND_WAIT_MAX: Duration = Duration::from_millis(10);
/// No wait is longer; the kernel's clock has an end.
const WAIT_MAX: Duration = Duration::from_secs(1 << 30);

/// A mapping, what guards it, and the open file, whose lock lives as long.
#[derive(Debug)]
pub(super) struct RealMap {
    // Dropped in this order: the guard must not know what is unmapped (G2).
    guarded: Guarded,
    pages: Pages,
    size: usize,
    writes: bool,
    _file: Arc<OwnedFd>,
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
        Ok(Self { guarded, pages, size, writes, _file: Arc::clone(file) })
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
        match wait_for_change(word, seen, timeout, interrupt) {
            // Woken, changed, too late, or a signal came: the caller looks which.
            Ok(()) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => {
                self.after("futex", Acquire)
            }
            Err(errno) => Err(self.futex_failed(errno)),
        }
    }

    fn wake(&self, _site: Site, offset: usize) -> Result<()> {
        let word = self.word("futex", offset, false)?;
        futex::wake(low_half(word), futex::Flags::empty(), i32::MAX.unsigned_abs())
            .map_err(|errno| self.futex_failed(errno))?;
        self.after("futex", Acquire)
    }

    fn sync(&self, _site: Site) -> Result<()> {
        self.check("msync", 0, 0, false)?;
        // Not retried, not even after EINTR: whether the pages are still dirty is then unknown.
        self.pages.sync().map_err(at("msync"))?;
        self.after("msync", SeqCst)
    }
}

/// Wakes everybody who sleeps on a word of this process.
pub(crate) fn wake_all(word: &AtomicU32) {
    // It can fail only for an address that is none.
    let _woken = futex::wake(word, futex::Flags::empty(), i32::MAX.unsigned_abs());
}

/// Sleeps until the word is woken, is no longer `seen`, the interrupt is raised, or the time is
/// over.
fn wait_for_change(
    word: &AtomicU64,
    seen: u64,
    timeout: Duration,
    interrupt: Option<&Interrupt>,
) -> rustix::io::Result<()> {
    let timeout = timeout.min(WAIT_MAX);
    // Compared as they lie in memory: two halves, the low one first, each little-endian.
    let (low, high) = (seen & u64::from(u32::MAX), seen >> u32::BITS);
    let on = |address: *mut u32, value: u64| {
        let mut one = Wait::new();
        one.val = value;
        one.uaddr = WaitPtr::new(address.cast());
        one.flags = WaitFlags::SIZE_U32;
        one
    };
    let half = |value: u64, place: usize| {
        let value = if cfg!(target_endian = "little") { value } else { value.swap_bytes() >> 32 };
        on(word.as_ptr().cast::<u32>().wrapping_add(place), value)
    };
    let mut words = vec![half(low, 0), half(high, 1)];
    words.extend(interrupt.map(|interrupt| on(interrupt.word().as_ptr(), 0)));
    let now = clock_gettime(ClockId::Monotonic);
    let until = now + timespec(timeout);
    match futex::waitv(&words, WaitvFlags::empty(), Some(&until), ClockId::Monotonic) {
        // A kernel before 5.16, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            let value =
                words.first().and_then(|low| u32::try_from(low.val).ok()).unwrap_or_default();
            let timeout = timespec(timeout.min(BLIND_WAIT_MAX));
            futex::wait(low_half(word), futex::Flags::empty(), value, Some(&timeout))
        }
        answer => answer.map(drop),
    }
}

/// A duration of at most [`WAIT_MAX`] as the kernel takes it.
fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or_default(),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a waiter finds that looked just before the word changed: the kernel compares both
    /// halves, so that it does not sleep over a change of the high one alone.
    #[test]
    fn a_change_of_either_half_just_before_the_sleep_is_seen() {
        let seen: u64 = 5 | 6 << 32;
        for now in [seen ^ 1, seen ^ (1 << 32), seen ^ (1 << 63), 6 | 5 << 32, !seen] {
            let word = AtomicU64::new(now.to_le());
            let answer = wait_for_change(&word, seen, Duration::from_secs(2), None);
            assert_eq!(answer, Err(Errno::AGAIN), "{now:#x}");
        }
        let word = AtomicU64::new(seen.to_le());
        let answer = wait_for_change(&word, seen, Duration::from_millis(1), None);
        assert_eq!(answer, Err(Errno::TIMEDOUT));
    }

    /// An interrupt that comes between the last look and the sleep is not lost.
    #[test]
    fn an_interrupt_just_before_the_sleep_ends_it() {
        let (word, interrupt) = (AtomicU64::new(5), Interrupt::default());
        interrupt.raise();
        let answer = wait_for_change(&word, 5, Duration::MAX, Some(&interrupt));
        assert_eq!(answer, Err(Errno::AGAIN));
    }
}
