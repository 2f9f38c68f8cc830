//! Pages of a file in this process's memory: the calls that take raw addresses.
//!
//! - P1 The pages stay mapped for as long as the value lives, whatever happens to the file: the
//!   guard ([`super::bus_guard`]) puts other memory in their place, but never takes it away.
//! - P2 Nobody gets more than a borrow of the words, so nothing is touched after the unmapping.
//! - P3 The words are only seen as atomics.
//!
//! Not promised: that an access succeeds. Whoever touches the pages asks the guard afterwards.
#![expect(unsafe_code, reason = "a mapping is raw memory")]

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fd::OwnedFd;
use rustix::io;
use rustix::mm::{self, MapFlags, MsyncFlags, ProtFlags};

use super::words::WORD_SIZE;

/// Mapped pages; dropping them unmaps them.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<AtomicU64>,
    size: usize,
}

// SAFETY: the pages belong to no thread, and P3 makes every access an atomic one.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps the first pages of a file, shared, up to the end of the page that holds the last of
    /// `size_bytes`, which is more than 0.
    pub(super) fn map(file: &OwnedFd, size_bytes: usize, writes: bool) -> io::Result<Self> {
        let size = size_bytes
            .checked_next_multiple_of(rustix::param::page_size())
            .ok_or(io::Errno::NOMEM)?;
        let access = if writes { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: no address is asked for, so no memory that is in use is replaced.
        let start = unsafe { mm::mmap(ptr::null_mut(), size, access, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::Errno::NOMEM)?;
        Ok(Self { start, size })
    }

    /// Where the pages begin, for the guard, which makes a pointer of it again.
    pub(super) fn address(&self) -> usize {
        self.start.as_ptr().expose_provenance()
    }

    /// How many bytes they are.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// All words of all pages. Where the pages are mapped to be read, they may only be loaded.
    pub(super) const fn words(&self) -> &[AtomicU64] {
        // SAFETY: P1, P3. A page's start is aligned, and its size is a multiple of a word's.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.size / WORD_SIZE) }
    }

    /// Brings the pages to the medium.
    pub(super) fn sync(&self) -> io::Result<()> {
        // SAFETY: the range is mapped (P1), and syncing does not change what is in it.
        let synced = unsafe { mm::msync(self.raw(), self.size, MsyncFlags::SYNC) };
        // rustix takes what libc's function returns for the error; that is -1, and `errno` tells.
        let cause = || io::Errno::from_io_error(&std::io::Error::last_os_error());
        synced.map_err(
            |error| if error.raw_os_error() > 0 { error } else { cause().unwrap_or(error) },
        )
    }

    const fn raw(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is what `mmap` gave, and no borrow of it is left (P2).
        let unmapped = unsafe { mm::munmap(self.raw(), self.size) };
        debug_assert!(unmapped.is_ok(), "P1: {unmapped:?}");
    }
}

/// The half of a word that the kernel compares and wakes by: the low one, which comes first in a
/// word that is kept little-endian. For the kernel only; we touch words as a whole.
pub(super) const fn low_half(word: &AtomicU64) -> &AtomicU32 {
    // SAFETY: a word is larger and aligned more strictly than its half, and lives as long.
    unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
}
