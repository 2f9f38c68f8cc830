//! What only Linux is asked for. `macos.rs` has the same functions.
//!
//! The kernel waits on halves of words. So a waiter gives it both halves to compare, the low one
//! first, and is woken by the low one: a change of the high half alone is seen either by the second
//! comparison, or comes so late that the waiter is already listed for the wake that follows it.
#![expect(unsafe_code, reason = "sync_file_range has no safe wrapper")]

use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{self, FallocateFlags, Mode, OFlags};
use rustix::io::{self, Errno, retry_on_intr};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::thread::futex::{self, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::at;
use super::mapping::low_half;
use crate::{Interrupt, Result};

/// `FALLOC_FL_WRITE_ZEROES`, which `rustix` has no name for yet.
const WRITE_ZEROES: FallocateFlags = FallocateFlags::from_bits_retain(0x80);
/// What a wait lasts at most where the kernel compares the low half alone (before Linux 5.16): a
/// change of the high half is then seen by the next look.
const BLIND_WAIT_MAX: Duration = Duration::from_millis(10);
/// No wait is longer; the kernel's clock has an end.
const WAIT_MAX: Duration = Duration::from_secs(1 << 30);

/// A page of a map that cannot be brought, and one whose memory failed as it was touched.
pub(super) const LOST_PAGE: [i32; 2] = [libc::BUS_ADRERR, libc::BUS_MCEERR_AR];
/// Memory that failed before anybody touched it: no fault of the access that it comes to.
pub(super) const NO_FAULT: Option<i32> = Some(libc::BUS_MCEERR_AO);

/// An `msync` of a map is a sync of its file.
pub(super) const MSYNC_REACHES_THE_MEDIUM: bool = true;

/// Bits of a mode as the calls take them.
pub(super) const fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

/// Brings the bytes of a file to the medium, with what is needed to read them back.
pub(super) fn sync_data(file: &OwnedFd) -> io::Result<()> {
    fs::fdatasync(file)
}

/// Brings a file or a directory to the medium.
pub(super) fn sync_all(file: &OwnedFd) -> io::Result<()> {
    fs::fsync(file)
}

/// Has the device write zeros (Linux 6.17).
pub(super) fn write_zeroes(file: &OwnedFd, start: u64, size: u64) -> io::Result<()> {
    retry_on_intr(|| fs::fallocate(file, WRITE_ZEROES, start, size))
}

/// Asks for blocks that are not written.
pub(super) fn reserve(file: &OwnedFd, start: u64, size: u64) -> io::Result<()> {
    retry_on_intr(|| fs::fallocate(file, FallocateFlags::empty(), start, size))
}

/// Has the kernel begin to bring a range to the medium.
pub(super) fn start_writing_back(file: &OwnedFd, start: i64, size: i64) -> io::Result<()> {
    let how = libc::SYNC_FILE_RANGE_WRITE;
    retry_on_intr(|| {
        // SAFETY: it takes numbers, and the descriptor is open for as long as it is borrowed.
        match unsafe { libc::sync_file_range(file.as_raw_fd(), start, size, how) } {
            0 => Ok(()),
            _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        }
    })
}

/// Fills a part with random bytes; how many.
pub(super) fn random(into: &mut [u8]) -> io::Result<usize> {
    retry_on_intr(|| getrandom(&mut *into, GetRandomFlags::empty()))
}

/// Wakes everybody who sleeps on a word, in whatever process.
pub(super) fn wake(word: &AtomicU32) -> io::Result<()> {
    futex::wake(word, futex::Flags::empty(), i32::MAX.unsigned_abs()).map(drop)
}

/// Sleeps until the word is woken, is no longer `seen`, the interrupt is raised, or the time is
/// over.
pub(super) fn wait(
    word: &AtomicU64,
    seen: u64,
    timeout: Duration,
    interrupt: Option<&Interrupt>,
) -> io::Result<()> {
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
        // A kernel before 5.16, or a sandbox or an emulator that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            let value =
                words.first().and_then(|low| u32::try_from(low.val).ok()).unwrap_or_default();
            wait_blind(word, value, timeout)
        }
        answer => answer.map(drop),
    }
}

/// As [`wait`], by the low half as it lies in memory, and so never for long.
fn wait_blind(word: &AtomicU64, low: u32, timeout: Duration) -> io::Result<()> {
    let timeout = timespec(timeout.min(BLIND_WAIT_MAX));
    futex::wait(low_half(word), futex::Flags::empty(), low, Some(&timeout))
}

/// A duration of at most [`WAIT_MAX`] as the kernel takes it.
fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or_default(),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Gives a directory that was just made its mode, which the umask has cut.
///
/// `chmod` on the path would follow a link that somebody has put there, and the kernel can be told
/// not to only since Linux 6.6. So the directory is opened without following, and as a mere place:
/// to open it to read would need the very bits that the umask may have taken. What is open like
/// that has no `fchmod`, but a name in `/proc` that leads to it and to nothing else.
pub(super) fn set_directory_mode(path: &Path, mode: Mode) -> Result<()> {
    let only_this = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |how| retry_on_intr(|| fs::open(path, how | only_this, Mode::empty()));
    let place = open(OFlags::PATH).map_err(at("open"))?;
    match fs::chmod(format!("/proc/self/fd/{}", place.as_raw_fd()), mode) {
        // No /proc is mounted: this way serves every umask that leaves the owner's read bit.
        Err(Errno::NOENT) => {
            fs::fchmod(open(OFlags::RDONLY).map_err(at("open"))?, mode).map_err(at("fchmod"))
        }
        answer => answer.map_err(at("chmod")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ends a wait whose low half has not changed: the comparison of the rest, where the
    /// kernel makes one, or that nobody waits for long without it.
    fn by_the_rest() -> io::Result<()> {
        let asked = futex::waitv(&[], WaitvFlags::empty(), None, ClockId::Monotonic);
        let compares = !matches!(asked, Err(Errno::NOSYS | Errno::PERM));
        Err(if compares { Errno::AGAIN } else { Errno::TIMEDOUT })
    }

    /// What a waiter finds that looked just before the word changed: the kernel compares both
    /// halves, so that it does not sleep over a change of the high one alone.
    #[test]
    fn a_change_of_either_half_just_before_the_sleep_is_seen() {
        let seen: u64 = 5 | 6 << 32;
        for now in [seen ^ (1 << 32), seen ^ (1 << 63)] {
            let word = AtomicU64::new(now.to_le());
            let answer = wait(&word, seen, Duration::MAX, None);
            assert_eq!(answer, by_the_rest(), "{now:#x}");
        }
        for now in [seen ^ 1, 6 | 5 << 32, !seen] {
            let word = AtomicU64::new(now.to_le());
            let answer = wait(&word, seen, Duration::MAX, None);
            assert_eq!(answer, Err(Errno::AGAIN), "{now:#x}");
        }
        let word = AtomicU64::new(seen.to_le());
        let answer = wait(&word, seen, Duration::from_millis(1), None);
        assert_eq!(answer, Err(Errno::TIMEDOUT));
    }

    /// An interrupt that comes between the last look and the sleep is not lost.
    #[test]
    fn an_interrupt_just_before_the_sleep_ends_it() {
        let (word, interrupt) = (AtomicU64::new(5), Interrupt::default());
        interrupt.raise();
        let answer = wait(&word, 5, Duration::MAX, Some(&interrupt));
        assert_eq!(answer, by_the_rest());
    }

    /// Before Linux 5.16: whoever sees the low half alone looks again, however long it may wait.
    #[test]
    fn a_wait_by_the_low_half_alone_ends_by_itself() {
        let word = AtomicU64::new((5_u64 | 6 << 32).to_le());
        let low = 5_u32.to_le();
        assert_eq!(wait_blind(&word, low, Duration::MAX), Err(Errno::TIMEDOUT));
        assert_eq!(wait_blind(&word, low ^ 1, Duration::MAX), Err(Errno::AGAIN));
    }
}
