//! Locks of byte ranges, used as locks of whole files.
//!
//! A lock of Windows is mandatory: nobody else reads or writes the locked bytes. So the stores lock
//! one byte where no file of theirs ever has any, and all others go on reading what is locked.
//!
//! ```text
//! byte 0            the lock file of a store, and files that users lock by name
//! byte 2^63 - 2     segments, the state page, temporaries
//! ```
//!
//! A lock file holds nothing, so that its first byte is free to be locked. That is the byte which
//! the original locks, and which everybody covers who locks the whole file, as Rust's standard
//! library does: they and we exclude each other.
//!
//! Windows does not turn a lock that is held into the other kind, but adds one; `flock` frees the
//! one and then takes the other, and that is done here too.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::calls;
use super::errno::{LOCK_VIOLATION, at};
use crate::{LockMode, Result, Site};

/// Where nobody has bytes: the last offset that a signed number holds has none after it.
const BEYOND: u64 = i64::MAX.unsigned_abs() - 1;

/// The byte that a call site locks. All sites that lock one kind of file agree on it.
const fn byte_of(site: Site) -> u64 {
    match site {
        Site::LockAcquire => 0,
        _ => BEYOND,
    }
}

/// What an open file has locked.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Option<(u64, LockMode)>>);

impl Held {
    /// Locks a file; false if it would have to wait and was not told to.
    pub(super) fn acquire(
        &self,
        file: &File,
        site: Site,
        mode: LockMode,
        waits: bool,
    ) -> Result<bool> {
        let byte = byte_of(site);
        if self.get() == Some((byte, mode)) {
            return Ok(true);
        }
        self.release(file)?;
        match calls::lock(file, byte, mode, waits).map_err(at("LockFileEx")) {
            Err(error) if !waits && error.errno == LOCK_VIOLATION => Ok(false),
            locked => {
                locked?;
                self.set(Some((byte, mode)));
                Ok(true)
            }
        }
    }

    /// Frees what is locked.
    pub(super) fn release(&self, file: &File) -> Result<()> {
        if let Some((byte, _)) = self.get() {
            calls::unlock(file, byte).map_err(at("UnlockFileEx"))?;
            self.set(None);
        }
        Ok(())
    }

    // Not held while the system is asked: a lock may be waited for without end.
    fn get(&self) -> Option<(u64, LockMode)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, held: Option<(u64, LockMode)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}
