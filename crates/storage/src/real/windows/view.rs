//! Pages of a file in this process's memory: the calls that take raw addresses.
//!
//! - V1 The pages stay mapped for as long as the value lives. Nobody can cut the file meanwhile:
//!   Windows refuses it.
//! - V2 Nobody gets more than a borrow of the words, so nothing is touched after the unmapping.
//! - V3 The words are only seen as atomics.
//! - V4 The pages are in memory before anybody touches them, and stay there: they are locked. So no
//!   access can meet a page that the medium does not give, which would be an exception and the end
//!   of the process (S6). That is why a view is small.
#![expect(unsafe_code, reason = "a mapping is raw memory")]

use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Error};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::Foundation::ERROR_WORKING_SET_QUOTA;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, FlushViewOfFile, MEMORY_MAPPED_VIEW_ADDRESS,
    MapViewOfFile, PAGE_READONLY, PAGE_READWRITE, UnmapViewOfFile, VirtualLock,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessWorkingSetSize, SetProcessWorkingSetSize,
};

use super::super::words::WORD_SIZE;

/// What Windows maps at a time.
const PAGE_SIZE: usize = 4096;
/// What the process may have more of in memory, each time that it is not enough.
const MORE: usize = 1 << 20;

/// Mapped pages; dropping them unmaps them.
#[derive(Debug)]
pub(super) struct View {
    start: NonNull<AtomicU64>,
    size: usize,
}

// SAFETY: the pages belong to no thread, and V3 makes every access an atomic one.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// Maps the first pages of a file, shared, up to the end of the page that holds the last of
    /// `size_bytes`, which is more than 0 and not beyond the end of the file.
    pub(super) fn map(file: &File, size_bytes: usize, writes: bool) -> io::Result<Self> {
        let (access, protection) = if writes {
            (FILE_MAP_READ | FILE_MAP_WRITE, PAGE_READWRITE)
        } else {
            (FILE_MAP_READ, PAGE_READONLY)
        };
        let (handle, none, nameless) = (file.as_raw_handle(), ptr::null(), ptr::null());
        // SAFETY: the handle is open; no size is given, so that it is the file's.
        let section = unsafe { CreateFileMappingW(handle, none, protection, 0, 0, nameless) };
        if section.is_null() {
            return Err(Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it. A view outlives it.
        let section = unsafe { OwnedHandle::from_raw_handle(section) };
        // SAFETY: no address is asked for, so no memory that is in use is replaced.
        let start = unsafe { MapViewOfFile(section.as_raw_handle(), access, 0, 0, size_bytes) };
        let start = NonNull::new(start.Value.cast()).ok_or_else(Error::last_os_error)?;
        let view = Self { start, size: size_bytes.next_multiple_of(PAGE_SIZE) };
        view.keep_in_memory()?;
        Ok(view)
    }

    /// All words of all pages. Where the pages are mapped to be read, they may only be loaded.
    pub(super) const fn words(&self) -> &[AtomicU64] {
        // SAFETY: V1, V3. A page's start is aligned, and its size is a multiple of a word's.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.size / WORD_SIZE) }
    }

    /// Hands the pages to the file, whose sync brings them to the medium.
    pub(super) fn flush(&self) -> io::Result<()> {
        // SAFETY: the range is mapped (V1), and flushing does not change what is in it.
        done(unsafe { FlushViewOfFile(self.raw(), self.size) })
    }

    /// Locks the pages in memory (V4); what the process may lock is raised if it is used up.
    fn keep_in_memory(&self) -> io::Result<()> {
        static RAISING: Mutex<()> = Mutex::new(());
        // SAFETY: the range is mapped.
        let lock = || done(unsafe { VirtualLock(self.raw(), self.size) });
        let quota = ERROR_WORKING_SET_QUOTA.cast_signed();
        match lock() {
            Err(error) if error.raw_os_error() == Some(quota) => {
                let _one_at_a_time = RAISING.lock().unwrap_or_else(PoisonError::into_inner);
                raise_working_set(self.size + MORE)?;
                lock()
            }
            locked => locked,
        }
    }

    const fn raw(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let address = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.raw() };
        // SAFETY: the address is what was mapped, and no borrow of it is left (V2).
        let unmapped = done(unsafe { UnmapViewOfFile(address) });
        debug_assert!(unmapped.is_ok(), "V1: {unmapped:?}");
    }
}

/// Lets the process keep more in memory.
fn raise_working_set(by: usize) -> io::Result<()> {
    let (mut least, mut most) = (0, 0);
    // SAFETY: it takes nothing and gives a number that means this process.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: there is room for both answers.
    done(unsafe { GetProcessWorkingSetSize(process, &raw mut least, &raw mut most) })?;
    // SAFETY: it takes numbers.
    done(unsafe { SetProcessWorkingSetSize(process, least + by, most + by) })
}

fn done(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(Error::last_os_error()) } else { Ok(()) }
}
