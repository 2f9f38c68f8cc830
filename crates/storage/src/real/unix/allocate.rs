//! Blocks that exist, and are written where there is time for it, before they are used.
//!
//! A file that `fallocate` grew still needs a journal commit for each first write, because its
//! blocks are marked as unwritten. So zeros are written: by the device where the kernel can ask it
//! to (`FALLOC_FL_WRITE_ZEROES`, Linux 6.17), else by hand.
//!
//! Not promised: anything about what the file held already, and nothing is durable before a sync.

use rustix::fd::OwnedFd;
use rustix::fs;
use rustix::io::{self, Errno, retry_on_intr};

use super::file::{stat_from, writes};
use super::{at, system};
use crate::{FileKind, OsError, Pages, Result};

/// Large enough that system calls do not count. The page cache keeps such a piece together, and a
/// write or a sync of any block of it walks over all its blocks: in pieces of a MiB a lone block
/// took up to 10 us more.
const PIECE_SIZE: usize = 64 << 10;
const PAGE_SIZE: usize = 4096;

/// What is asked of blocks that nobody wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocks {
    /// They exist, and zeros are written.
    Written(Pages),
    /// They exist.
    Reserved,
}

/// Makes the blocks from the end of the file to the end of the range. On an error the file is as
/// long as it was.
pub(super) fn allocate(file: &OwnedFd, offset: u64, size_bytes: u64, blocks: Blocks) -> Result<()> {
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
    let made = match blocks {
        Blocks::Written(pages) => write(file, held, end, pages),
        Blocks::Reserved => match reserve(file, held, end) {
            // Only a block that is written is certain to exist here.
            Ok(false) => write_zeros(file, held, end, PIECE_SIZE),
            made => made.map(drop),
        },
    };
    if made.is_err() {
        // Best effort: gives the room back, and the first error is the one that matters.
        let _ = retry_on_intr(|| fs::ftruncate(file, held));
    }
    made
}

/// Has zeros written to `start..end`, by the device where it can.
fn write(file: &OwnedFd, start: u64, end: u64, pages: Pages) -> Result<()> {
    let piece_size = match pages {
        Pages::Together => PIECE_SIZE,
        Pages::Single => PAGE_SIZE,
    };
    match system::write_zeroes(file, start, end - start) {
        Ok(()) => Ok(()),
        // This kernel, file system or device cannot, or cannot in this place.
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
            reserve(file, start, end).and_then(|_| write_zeros(file, start, end, piece_size))
        }
        Err(errno) => Err(at("fallocate")(errno)),
    }
}

/// Asks for the blocks of `start..end` in one piece; false where the file system cannot. What does
/// not fit is refused before anything is written, rather than by filling the disk.
fn reserve(file: &OwnedFd, start: u64, end: u64) -> Result<bool> {
    match system::reserve(file, start, end - start) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(errno) => Err(at("fallocate")(errno)),
    }
}

/// Writes zeros to `start..end`, so many with a call.
fn write_zeros(file: &OwnedFd, start: u64, end: u64, piece_size: usize) -> Result<()> {
    let left = |from: u64| usize::try_from(end - from).unwrap_or(usize::MAX).min(piece_size);
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
