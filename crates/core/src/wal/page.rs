//! A reader's view of the page on which a writer in another process tells how far it is.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::{File, Interrupt, LockMode, Map, Open, Site, Storage};

use super::publication::{
    CHECK_AT, DURABLE_AT, GENERATION_AT, MAGIC, MAGIC_AT, NAME, POISON_AT, SIGNAL_AT, WRITTEN_AT,
    check_word,
};
use crate::error::{Error, Result};
use crate::segment::{BLOCK_BYTES, Position};

/// The words are read again if the writer was at them; it is for some nanoseconds at a time. If it
/// was stopped or killed there, its next signal is waited for.
const ATTEMPTS_MAX: usize = 100;

/// What a writer announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) generation: u64,
    /// All durable words up to here are at most this.
    pub(super) written: Position,
    pub(super) durable: Position,
    pub(super) is_poisoned: bool,
}

/// What is on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Nothing while the words make no sense.
    pub(super) words: Option<Words>,
    /// What to wait on for something newer: whatever a writer stores, it changes this after it.
    pub(super) signal: u64,
}

/// The page, mapped to read.
pub(super) struct Page {
    file: Box<dyn File>,
    map: Box<dyn Map>,
    path: PathBuf,
}

impl Page {
    /// Opens the page; nothing if no writer ever made it, or it is not whole yet.
    pub(super) fn open(storage: &Arc<dyn Storage>, directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(NAME);
        let failed = |os| Error::os("open the state page", &path, os);
        let file = match storage.open(Site::StateOpen, &path, Open::READ) {
            Ok(file) => file,
            Err(os) if os.is_not_found() => return Ok(None),
            Err(os) => return Err(failed(os)),
        };
        if file.stat(Site::StateOpen).map_err(failed)?.size_bytes < u64::from(BLOCK_BYTES) {
            return Ok(None);
        }
        let map = file.map(Site::StateMap, BLOCK_BYTES as usize).map_err(failed)?;
        Ok(Some(Self { file, map, path }))
    }

    /// Whether a writer lives: it has the file locked (P-2).
    pub(super) fn has_writer(&self) -> Result<bool> {
        let failed = |os| Error::os("lock the state page", &self.path, os);
        let free = self.file.try_lock(Site::StateProbe, LockMode::Shared).map_err(failed)?;
        if free {
            self.file.unlock(Site::StateProbe).map_err(failed)?;
        }
        Ok(!free)
    }

    /// What was announced last.
    pub(super) fn read(&self) -> Result<Told> {
        let mut signal = 0;
        for _ in 0..ATTEMPTS_MAX {
            signal = self.load(SIGNAL_AT)?;
            let generation = self.load(GENERATION_AT)?;
            let durable = self.load(DURABLE_AT)?;
            let check = self.load(CHECK_AT)?;
            let written = self.load(WRITTEN_AT)?;
            let poison = self.load(POISON_AT)?;
            // Unchanged around it, so that what was written then is below the next durable word.
            let stands = self.load(DURABLE_AT)? == durable
                && self.load(GENERATION_AT)? == generation
                && self.load(MAGIC_AT)? == MAGIC;
            if stands && check == check_word(generation, durable) && written >= durable {
                let words = Words {
                    generation,
                    written: Position::from_word(written),
                    durable: Position::from_word(durable),
                    is_poisoned: poison != 0,
                };
                return Ok(Told { words: Some(words), signal });
            }
        }
        Ok(Told { words: None, signal })
    }

    /// Waits until the writer has something new to tell, somebody interrupts, or the time is over.
    pub(super) fn wait(
        &self,
        signal: u64,
        timeout: Duration,
        interrupt: Option<&Interrupt>,
    ) -> Result<()> {
        let failed = |os| Error::os("wait on the state page", &self.path, os);
        self.map.wait_or(Site::StateWait, SIGNAL_AT, signal, timeout, interrupt).map_err(failed)
    }

    fn load(&self, at: usize) -> Result<u64> {
        let failed = |os| Error::os("read the state page", &self.path, os);
        self.map.load(Site::StateLoad, at).map_err(failed)
    }
}

impl Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({})", self.path.display())
    }
}
