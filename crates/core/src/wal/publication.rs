//! The page on which a writer tells readers in other processes how far the log is.
//!
//! ```text
//! state: one block, mapped; words of 8 bytes
//! 0 magic | 8 generation | 16 written | 24 durable | 32 check | 40 poison | 48 signal
//! ```
//!
//! Invariants
//! - P-1 A word announces only what is true already, by one store: `written` after the write,
//!   `durable` after the sync, `generation` after everything else of a new writer.
//! - P-2 The words mean something only while a writer has the file locked. Nothing is recovered
//!   from them.
//!
//! Not promised: that a reader sees every value; it sees the last one.

use std::ffi::OsString;
use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::{File, LockMode, Map, Open, OsError, Site, Storage};

use crate::error::{Error, ErrorKind, Result};
use crate::segment::{BLOCK_BYTES, Position, h64};

/// The file's name in the directory of the log.
pub(super) const NAME: &str = "state";
/// `89 54 4D 53 54 41 54 01`.
pub(super) const MAGIC: u64 = u64::from_le_bytes([0x89, 0x54, 0x4D, 0x53, 0x54, 0x41, 0x54, 0x01]);
pub(super) const MAGIC_AT: usize = 0;
pub(super) const GENERATION_AT: usize = 8;
pub(super) const WRITTEN_AT: usize = 16;
pub(super) const DURABLE_AT: usize = 24;
pub(super) const CHECK_AT: usize = 32;
pub(super) const POISON_AT: usize = 40;
pub(super) const SIGNAL_AT: usize = 48;

const FILE_MODE: u32 = 0o600;
/// A reader that looks whether there is a writer has the lock for a moment.
const LOCK_ATTEMPTS_MAX: usize = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// What the word beside `durable` has to be.
pub(super) fn check_word(generation: u64, durable: u64) -> u64 {
    h64(&[&generation.to_le_bytes(), &durable.to_le_bytes()])
}

/// Whether a directory has no segment yet. Fails if it has a page nevertheless: the first segment
/// was durable before the page was made, so that the log has lost them all, and is not a new one.
///
/// # Errors
/// `TIDEMARK_CORRUPT`, `TIDEMARK_IO`.
pub(super) fn is_new(storage: &dyn Storage, directory: &Path) -> Result<bool> {
    let names = storage
        .read_dir(Site::SegmentList, directory)
        .map_err(|os| Error::os("list", directory, os))?;
    let is_segment = |name: &OsString| Path::new(name).extension() == Some("segment".as_ref());
    if names.iter().any(is_segment) {
        return Ok(false);
    }
    if !names.iter().any(|name| name == NAME) {
        return Ok(true);
    }
    let message = format!(
        "{} has lost all its segments: only {NAME} is left; restore the log from a backup, or \
         remove {NAME} to begin a new one",
        directory.display()
    );
    Err(Error::new(ErrorKind::Corrupt, message).at(directory))
}

/// A writer's page.
pub(super) struct Publication {
    /// Locked; the lock ends with it at the latest.
    file: Box<dyn File>,
    map: Box<dyn Map>,
    path: PathBuf,
    generation: u64,
}

impl Publication {
    /// Opens or makes the page, and announces where the log is. The caller has the log's lock.
    ///
    /// # Errors
    /// `TIDEMARK_IO`, `TIDEMARK_NO_SPACE`; `TIDEMARK_LOCKED` if a reader that stands still keeps
    /// it locked.
    pub(super) fn open(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        written: Position,
    ) -> Result<Self> {
        let path = directory.join(NAME);
        let failed = |os| Error::os("open the state page", &path, os);
        let file = Self::open_file(storage, directory, &path)?;
        let map = file.map(Site::StateMap, BLOCK_BYTES as usize).map_err(failed)?;
        Self::lock(file.as_ref(), map.as_ref(), &path)?;
        let mut random = [0; 8];
        storage.random(Site::StateOpen, &mut random).map_err(failed)?;
        let generation = u64::from_le_bytes(random) | 1;
        let page = Self { file, map, path: path.clone(), generation };
        page.announce(written).map_err(failed)?;
        Ok(page)
    }

    fn open_file(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        path: &Path,
    ) -> Result<Box<dyn File>> {
        let failed = |os| Error::os("make the state page", path, os);
        let (file, is_new) = match storage.open(Site::StateOpen, path, Open::READ_WRITE) {
            Ok(file) => (file, false),
            Err(os) if os.is_not_found() => {
                let how = Open::new_file(FILE_MODE);
                (storage.open(Site::StateOpen, path, how).map_err(failed)?, true)
            }
            Err(os) => return Err(failed(os)),
        };
        let stat = file.stat(Site::StateOpen).map_err(failed)?;
        if stat.kind != tidemark_storage::FileKind::Regular || stat.link_count != 1 {
            let message = format!("{} is not the state page of a log", path.display());
            return Err(Error::new(ErrorKind::Conflict, message).at(path));
        }
        if stat.size_bytes < u64::from(BLOCK_BYTES) {
            // The blocks are written, so that storing into the map never lacks space.
            file.write_all(Site::StateOpen, &[0; BLOCK_BYTES as usize], 0).map_err(failed)?;
        }
        if is_new {
            file.sync_all(Site::StateOpen).map_err(failed)?;
            storage.sync_dir(Site::StateOpen, directory).map_err(failed)?;
        }
        Ok(file)
    }

    /// Says that there is a writer. A reader that is looking whether there is one is in the way
    /// for a moment only.
    fn lock(file: &dyn File, map: &dyn Map, path: &Path) -> Result<()> {
        let failed = |os| Error::os("lock the state page", path, os);
        for _ in 0..LOCK_ATTEMPTS_MAX {
            if file.try_lock(Site::StateLock, LockMode::Exclusive).map_err(failed)? {
                return Ok(());
            }
            let seen = map.load(Site::StateLock, MAGIC_AT).map_err(failed)?;
            map.wait(Site::StateLock, MAGIC_AT, seen, LOCK_PAUSE).map_err(failed)?;
        }
        let message = format!("a reader that stands still has {} locked", path.display());
        Err(Error::new(ErrorKind::Locked, message).at(path))
    }

    fn announce(&self, written: Position) -> Result<(), OsError> {
        let word = written.word();
        self.store(POISON_AT, 0)?;
        self.store(WRITTEN_AT, word)?;
        self.store(DURABLE_AT, word)?;
        self.store(CHECK_AT, check_word(self.generation, word))?;
        self.store(MAGIC_AT, MAGIC)?;
        self.store(GENERATION_AT, self.generation)?;
        self.signal()
    }

    /// This much is written.
    pub(super) fn written(&self, position: Position) {
        self.tell(|page| page.store(WRITTEN_AT, position.word()));
    }

    /// This much is durable.
    pub(super) fn durable(&self, position: Position) {
        self.tell(|page| {
            page.store(DURABLE_AT, position.word())?;
            page.store(CHECK_AT, check_word(page.generation, position.word()))
        });
    }

    /// The writer gave up.
    pub(super) fn poisoned(&self) {
        self.tell(|page| page.store(POISON_AT, 1));
    }

    /// The words mean nothing from now on: the writer is done.
    pub(super) fn unlock(&self) {
        let _it_ends_with_the_descriptor = self.file.unlock(Site::StateLock);
    }

    /// Tells, and wakes who waits. Somebody may have cut the file: then readers have lost their
    /// pages too and hear of it by themselves, and the log is none the worse.
    fn tell(&self, tell: impl FnOnce(&Self) -> Result<(), OsError>) {
        let _told = tell(self).and_then(|()| self.signal());
    }

    fn store(&self, at: usize, word: u64) -> Result<(), OsError> {
        self.map.store(Site::StateStore, at, word)
    }

    /// Readers load this word, look at the others, and wait for it to change.
    fn signal(&self) -> Result<(), OsError> {
        let signal = self.map.load(Site::StateStore, SIGNAL_AT)?;
        self.store(SIGNAL_AT, signal.wrapping_add(1))?;
        self.map.wake(Site::StateWake, SIGNAL_AT)
    }
}

impl Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publication({})", self.path.display())
    }
}
