//! Writes. A large one is done piece by piece, and each piece is on its way to the medium while the
//! next one is copied into the page cache: the sync that follows has the last one to wait for.
//!
//! Not promised: anything about the medium. To start writing back flushes nothing and tells of no
//! piece that it got there; that is the sync's part, and an error that comes later is the sync's to
//! tell (S4).

use rustix::fd::OwnedFd;
use rustix::io::{self, Errno, retry_on_intr};

use super::{at, system};
use crate::Result;

/// A piece: large enough for the device, small enough that the first one is on its way soon.
const PIECE_SIZE: usize = 1 << 20;

/// Writes at an offset, of a large write the first piece alone.
pub(super) fn write_at(file: &OwnedFd, from: &[u8], offset: u64) -> Result<usize> {
    let write = |bytes| retry_on_intr(|| io::pwrite(file, bytes, offset)).map_err(at("pwrite"));
    match from.split_at_checked(PIECE_SIZE) {
        Some((piece, rest)) if !rest.is_empty() => {
            let count = write(piece)?;
            start_writing_back(file, offset, count)?;
            Ok(count)
        }
        _ => write(from),
    }
}

/// Has the kernel begin to bring a range to the medium. Where it cannot be asked, the sync does
/// all.
fn start_writing_back(file: &OwnedFd, offset: u64, count: usize) -> Result<()> {
    let (Ok(start), Ok(size)) = (i64::try_from(offset), i64::try_from(count)) else {
        // The write would have failed.
        return Ok(());
    };
    system::start_writing_back(file, start, size).or_else(ignore_unknown)
}

/// An error that says that the kernel cannot be asked is none. Every other is told: nobody may hear
/// of it again, also not who syncs.
fn ignore_unknown(errno: Errno) -> Result<()> {
    match errno {
        Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::SPIPE => Ok(()),
        errno => Err(at("sync_file_range")(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sandbox or a file system that does not know the call; a device that failed.
    #[test]
    fn a_kernel_that_cannot_be_asked_is_no_failure_and_a_failed_write_back_is() {
        for errno in [Errno::NOSYS, Errno::PERM, Errno::INVAL, Errno::SPIPE] {
            assert_eq!(ignore_unknown(errno), Ok(()), "{errno}");
        }
        for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT] {
            let told = ignore_unknown(errno).unwrap_err();
            assert_eq!((told.errno, told.syscall), (errno.raw_os_error(), "sync_file_range"));
        }
    }
}
