//! A shared mapping: words and bytes of the cached file, as every process sees them.

use std::ops::Range;
use std::time::Duration;

use tidemark_storage::{Map, OsError, Result, Site};

use crate::call::{Injected, Turn, leave, pause};
use crate::file::SimFile;
use crate::node::{Answer, NodeId};
use crate::schedule::Status;

const WORD_SIZE: usize = 8;

/// A mapping of the first bytes of a file. It holds the open file description: a lock lives as
/// long as the map does.
#[derive(Debug)]
pub(crate) struct SimMap {
    file: SimFile,
    size: usize,
    writes: bool,
}

impl SimMap {
    pub(crate) const fn new(file: SimFile, size: usize, writes: bool) -> Self {
        Self { file, size, writes }
    }

    /// The bytes `range`, which must be mapped and still be part of the file.
    fn check(&self, turn: &Turn<'_>, range: &Range<usize>) -> Answer<NodeId> {
        let node = turn.handle(self.file.handle)?.node;
        if range.end > self.size {
            return Err(OsError::EINVAL);
        }
        if range.end > turn.disk.node(node).cached.size() {
            return Err(OsError::EIO);
        }
        Ok(node)
    }

    fn get(&self, turn: &Turn<'_>, offset: usize, into: &mut [u8]) -> Answer<()> {
        let end = offset.checked_add(into.len()).ok_or(OsError::EINVAL)?;
        let node = self.check(turn, &(offset..end))?;
        turn.disk.read_at(node, into, offset as u64).map(drop)
    }

    fn put(&self, turn: &mut Turn<'_>, offset: usize, from: &[u8]) -> Answer<()> {
        let end = offset.checked_add(from.len()).ok_or(OsError::EINVAL)?;
        let node = self.check(turn, &(offset..end))?;
        if !self.writes {
            return Err(OsError::EACCES);
        }
        turn.disk.write_at(node, from, offset as u64).map(drop)
    }

    fn word(&self, turn: &Turn<'_>, offset: usize) -> Answer<u64> {
        let mut word = [0; WORD_SIZE];
        self.get(turn, aligned(offset)?, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

impl Map for SimMap {
    fn len(&self) -> usize {
        self.size
    }

    fn load(&self, site: Site, offset: usize) -> Result<u64> {
        let at = self.file.at(site, "load", "mmap");
        self.file.world.call(&at, |turn| self.word(turn, offset))
    }

    fn store(&self, site: Site, offset: usize, word: u64) -> Result<()> {
        let at = self.file.at(site, "store", "mmap");
        self.file.world.call(&at, |turn| self.put(turn, aligned(offset)?, &word.to_le_bytes()))
    }

    fn read(&self, site: Site, offset: usize, into: &mut [u8]) -> Result<()> {
        let at = self.file.at(site, "map_read", "mmap");
        self.file.world.call(&at, |turn| self.get(turn, offset, into))
    }

    fn write(&self, site: Site, offset: usize, from: &[u8]) -> Result<()> {
        let at = self.file.at(site, "map_write", "mmap");
        self.file.world.call(&at, |turn| self.put(turn, offset, from))
    }

    fn wait(&self, site: Site, offset: usize, seen: u64, timeout: Duration) -> Result<()> {
        let at = self.file.at(site, "wait", "futex");
        let mut turn = self.file.world.enter(&at)?;
        if let Injected::Fail(errno) = turn.injected {
            return leave(turn, &at, Err(errno));
        }
        let answer = self.word(&turn, offset).map(|word| word == seen);
        if answer == Ok(true) {
            let until = turn.disk.now() + timeout;
            if let Some(me) = turn.actor
                && let Ok(node) = turn.handle(self.file.handle).map(|open| open.node)
            {
                turn = pause(turn, me, Status::Waiting { node, offset, until });
            } else {
                // Nobody would wake a thread that is alone: the time passes.
                turn.disk.advance(timeout);
            }
        }
        leave(turn, &at, answer.map(drop))
    }

    fn wake(&self, site: Site, offset: usize) -> Result<()> {
        let at = self.file.at(site, "wake", "futex");
        self.file.world.call(&at, |turn| {
            self.word(turn, offset)?;
            let node = turn.handle(self.file.handle)?.node;
            if let Some(run) = &mut turn.run {
                run.wake((node, offset));
            }
            Ok(())
        })
    }

    fn sync(&self, site: Site) -> Result<()> {
        self.file.sync(&self.file.at(site, "map_sync", "msync"), false)
    }
}

/// A word's offset, which must be a multiple of its size.
const fn aligned(offset: usize) -> Answer<usize> {
    if offset.is_multiple_of(WORD_SIZE) { Ok(offset) } else { Err(OsError::EINVAL) }
}
