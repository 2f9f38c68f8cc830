//! What only macOS is asked for. `linux.rs` has the same functions.
//!
//! Compiled for `x86_64-apple-darwin` as far as types go; never run.
//!
//! - An `fsync` reaches the drive and may stay in its cache: `F_FULLFSYNC` has the drive write it.
//!   Where a file system does not know it, `fsync` has to do, and [`super::mount`] proves nothing.
//! - Nobody can sleep on a word that processes share before macOS 14.4: a waiter looks again and
//!   again.
//! - A range can neither be filled with zeros by the device nor be written back early: both are
//!   done by writing and by the sync.

use std::path::Path;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RawMode};
use rustix::io::{self, Errno, retry_on_intr};

use super::at;
use crate::{Interrupt, Result};

/// How long a waiter looks away.
const NAP: Duration = Duration::from_millis(2);
const PERMISSION_BITS: u32 = 0o7777;

/// A page of a map that cannot be brought: as arm64 tells it, which has one code for all, and x64.
pub(super) const LOST_PAGE: [i32; 2] = [libc::BUS_ADRALN, libc::BUS_ADRERR];
/// Memory that failed before anybody touched it is not told of.
pub(super) const NO_FAULT: Option<i32> = None;

/// An `msync` leaves in the drive's cache what an `fsync` does.
pub(super) const MSYNC_REACHES_THE_MEDIUM: bool = false;

/// Bits of a mode as the calls take them.
pub(super) fn mode(bits: u32) -> Mode {
    // They fit: no bit of a mode lies higher.
    Mode::from_raw_mode(RawMode::try_from(bits & PERMISSION_BITS).unwrap_or_default())
}

/// Brings the bytes of a file to the medium, with what is needed to read them back.
pub(super) fn sync_data(file: &OwnedFd) -> io::Result<()> {
    sync_all(file)
}

/// Brings a file or a directory to the medium.
pub(super) fn sync_all(file: &OwnedFd) -> io::Result<()> {
    match fs::fcntl_fullfsync(file) {
        Err(Errno::NOTSUP | Errno::NOTTY | Errno::INVAL) => fs::fsync(file),
        answer => answer,
    }
}

/// The device cannot be asked: whoever wants zeros writes them.
pub(super) fn write_zeroes(_file: &OwnedFd, _start: u64, _size: u64) -> io::Result<()> {
    Err(Errno::OPNOTSUPP)
}

/// Blocks are had by writing to them.
pub(super) fn reserve(_file: &OwnedFd, _start: u64, _size: u64) -> io::Result<()> {
    Err(Errno::OPNOTSUPP)
}

/// The sync does all.
pub(super) fn start_writing_back(_file: &OwnedFd, _start: i64, _size: i64) -> io::Result<()> {
    Err(Errno::NOSYS)
}

/// Fills a part with random bytes; how many.
pub(super) fn random(into: &mut [u8]) -> io::Result<usize> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let source = retry_on_intr(|| fs::open("/dev/urandom", flags, Mode::empty()))?;
    match retry_on_intr(|| io::read(&source, &mut *into))? {
        0 => Err(Errno::IO),
        count => Ok(count),
    }
}

/// Nobody sleeps on a word here.
pub(super) fn wake(_word: &AtomicU32) -> io::Result<()> {
    Ok(())
}

/// Looks until the word is no longer `seen`, the interrupt is raised, or the time is over.
pub(super) fn wait(
    word: &AtomicU64,
    seen: u64,
    timeout: Duration,
    interrupt: Option<&Interrupt>,
) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "this is what Map::wait is made of here")]
    let began = Instant::now();
    let is_raised = || interrupt.is_some_and(|interrupt| interrupt.word().load(Acquire) != 0);
    loop {
        if u64::from_le(word.load(Acquire)) != seen || is_raised() {
            return Ok(());
        }
        let rest = timeout.saturating_sub(began.elapsed());
        if rest.is_zero() {
            return Err(Errno::TIMEDOUT);
        }
        thread::park_timeout(rest.min(NAP));
    }
}

/// Gives a directory that was just made its mode, which the umask has cut; a link that somebody has
/// put there is not followed.
pub(super) fn set_directory_mode(path: &Path, mode: Mode) -> Result<()> {
    fs::chmodat(CWD, path, mode, AtFlags::SYMLINK_NOFOLLOW).map_err(at("fchmodat"))
}
