//! A shared mapping of a file: words that processes exchange, and bytes that they copy.

use std::fmt::Debug;
use std::time::Duration;

use crate::{Interrupt, Result, Site};

/// A shared mapping of the first bytes of a file.
///
/// Words are aligned `u64`s, loaded with acquire and stored with release ordering, so that what
/// was written before a store is seen after the load that reads it. Bytes are copied out before
/// anybody looks at them: another process may change them at any time.
///
/// Words are little-endian in the file. Bytes are copied by whole words, so a word is never seen
/// half written; several words may be.
///
/// Every offset is checked against the mapped length; `EINVAL` answers one that is outside or
/// not aligned. A page that the medium or a truncation took away answers `EIO`, never a signal,
/// and from then on so does every call on this map (S6). The page that holds the new end of a file
/// that was cut is not lost: behind the end it reads as zeros, and what is stored there is lost.
/// Of several errors the answer is the first of `EINVAL`, `EIO` for a page known to be lost,
/// `EACCES`.
pub trait Map: Debug + Send + Sync {
    /// Number of mapped bytes.
    fn len(&self) -> usize;

    /// Whether nothing is mapped.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads the aligned word at `offset`.
    ///
    /// # Errors
    /// `EINVAL` for an offset outside the map or not a multiple of 8, `EIO` for a lost page.
    fn load(&self, site: Site, offset: usize) -> Result<u64>;

    /// Stores the aligned word at `offset`.
    ///
    /// # Errors
    /// As for [`Map::load`]; `EACCES` where the map can only be read.
    fn store(&self, site: Site, offset: usize, word: u64) -> Result<()>;

    /// Copies bytes out of the map.
    ///
    /// # Errors
    /// As for [`Map::load`], without the alignment.
    fn read(&self, site: Site, offset: usize, into: &mut [u8]) -> Result<()>;

    /// Copies bytes into the map.
    ///
    /// # Errors
    /// As for [`Map::read`]; `EACCES` where the map can only be read.
    fn write(&self, site: Site, offset: usize, from: &[u8]) -> Result<()>;

    /// Waits until another thread or process wakes the word at `offset`, its value is no longer
    /// `seen`, or `timeout` is over; which of them it was, the caller learns by loading it. It may
    /// return earlier. A change without a wake ends no wait that has begun.
    ///
    /// # Errors
    /// As for [`Map::load`].
    fn wait(&self, site: Site, offset: usize, seen: u64, timeout: Duration) -> Result<()>;

    /// As [`Map::wait`]; the wait ends as well when somebody in this process raises the interrupt,
    /// before it or meanwhile.
    ///
    /// # Errors
    /// As for [`Map::load`].
    fn wait_or(
        &self,
        site: Site,
        offset: usize,
        seen: u64,
        timeout: Duration,
        interrupt: Option<&Interrupt>,
    ) -> Result<()>;

    /// Wakes everybody who waits on the word at `offset`.
    ///
    /// # Errors
    /// As for [`Map::load`].
    fn wake(&self, site: Site, offset: usize) -> Result<()>;

    /// Brings the bytes of the file to the medium (`msync`), with what is needed to read them back:
    /// those that were stored through the map, and those that calls wrote beside it.
    ///
    /// # Errors
    /// Whatever the medium answers. A failed sync is final (S4).
    fn sync(&self, site: Site) -> Result<()>;
}
