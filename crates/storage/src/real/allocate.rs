//! Blocks that exist and are written before they are used.
//!
//! A file that `fallocate` grew still needs a journal commit for each first write, because its
//! blocks are marked as unwritten. So zeros are written: by the device where the kernel can ask it
//! to (`FALLOC_FL_WRITE_ZEROES`, Linux 6.17), else by hand.
//!
//! Not promised: anything about what the file held already, and nothing is durable before a sync.

use rustix::fd::OwnedFd;
use rustix::fs::{self, FallocateFlags};
use rustix::io::{self, Errno, retry_on_intr};

use super::at;
use super::file::{stat_from, writes};
use crate::{FileKind, OsError, Result};

/// `FALLOC_FL_WRITE_ZEROES`, which `rustix` has no name for yet.
const WRITE_ZEROES: FallocateFlags = FallocateFlags::from_bits_retain(0x80);
/// Large enough that system calls do not count, small enough to stay in the cache.
const PIECE_SIZE: usize = 1 << 20;

/// Writes zeros from the end of the file to the end of the range. On an error the file is as long
/// as it was.
pub(super) fn allocate(file: &OwnedFd, offset: u64, size_bytes: u64) -> Result<()> {
    let stat = fs::fstat(file).map(|stat| stat_from(&stat)).map_err(at("fstat"))?;
    if !writes(file)? {
        return Err(at("fallocate")(Errno::BADF));
    }
    if stat.kind != FileKind::Regular {
        return Err(at("fallocate")(Errno::SPIPE));
    }
    let end = offset.checked_add(size_bytes).filter(|end| i64::try_from(*end).is_ok());
    let end = end.ok_or(OsError::new(OsError::EINVAL, "fallocate"))?;
    let held = stat.size_bytes;
    if end <= held {
        return Ok(());
    }
    let written = match retry_on_intr(|| fs::fallocate(file, WRITE_ZEROES, held, end - held)) {
        Ok(()) => Ok(()),
        // This kernel, file system or device cannot, or cannot in this place.
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
            reserve(file, held, end).and_then(|()| write_zeros(file, held, end))
        }
        Err(errno) => Err(at("fallocate")(errno)),
    };
    if written.is_err() {
        // Best effort: gives the room back, and the first error is the one that matters.
        let _ = retry_on_intr(|| fs::ftruncate(file, held));
    }
    written
}

/// Asks for the blocks of `start..end` in one piece, where the file system can. What does not fit
/// is refused before anything is written, rather than by filling the disk.
fn reserve(file: &OwnedFd, start: u64, end: u64) -> Result<()> {
    match retry_on_intr(|| fs::fallocate(file, FallocateFlags::empty(), start, end - start)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(errno) => Err(at("fallocate")(errno)),
    }
}

/// Writes zeros to `start..end`.
fn write_zeros(file: &OwnedFd, start: u64, end: u64) -> Result<()> {
    let left = |from: u64| usize::try_from(end - from).unwrap_or(usize::MAX).min(PIECE_SIZE);
    let zeros = vec![0; left(start)];
    let mut done = start;
    while done < end {
        let piece = zeros.get(..left(done)).unwrap_or(&zeros);
        match retry_on_intr(|| io::pwrite(file, piece, done)).map_err(at("pwrite"))? {
            0 => return Err(OsError::new(OsError::EIO, "pwrite")),
            count => done += count as u64,
        }
    }
    Ok(())
}
