//! A shared mapping: words and bytes of the cached file, as every process sees them.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tidemark_storage::{Interrupt, Map, OsError, Result, Site};

use crate::call::{Injected, Turn, leave, pause};
use crate::file::SimFile;
use crate::node::{Answer, NodeId};
use crate::schedule::Status;

const WORD_SIZE: usize = 8;
/// What is mapped, and lost, at a time.
const PAGE_SIZE: usize = 4096;

/// A mapping of the first bytes of a file. It holds the open file description: a lock lives as
/// long as the map does.
#[derive(Debug)]
pub(crate) struct SimMap {
    file: SimFile,
    size: usize,
    writes: bool,
    lost: AtomicBool,
}

impl SimMap {
    pub(crate) const fn new(file: SimFile, size: usize, writes: bool) -> Self {
        Self { file, size, writes, lost: AtomicBool::new(false) }
    }

    /// The file of the bytes `range`, which must be mapped, and their pages not lost (S6).
    fn check(&self, turn: &Turn<'_>, range: &Range<usize>, writes: bool) -> Answer<NodeId> {
        let node = turn.handle(self.file.handle)?.node;
        if range.end > self.size {
            return Err(OsError::EINVAL);
        }
        if self.lost.load(Relaxed) {
            return Err(OsError::EIO);
        }
        if writes && !self.writes {
            return Err(OsError::EACCES);
        }
        let held = turn.disk.node(node).cached.size().next_multiple_of(PAGE_SIZE);
        if range.end > held && !range.is_empty() {
            return Err(OsError::EIO);
        }
        Ok(node)
    }

    fn get(&self, turn: &Turn<'_>, offset: usize, into: &mut [u8]) -> Answer<()> {
        let end = offset.checked_add(into.len()).ok_or(OsError::EINVAL)?;
        let node = self.check(turn, &(offset..end), false)?;
        into.fill(0);
        turn.disk.read_at(node, into, offset as u64).map(drop)
    }

    fn put(&self, turn: &mut Turn<'_>, offset: usize, from: &[u8]) -> Answer<()> {
        let end = offset.checked_add(from.len()).ok_or(OsError::EINVAL)?;
        let node = self.check(turn, &(offset..end), true)?;
        // What lies behind the end of the file, in its last page, is nobody's.
        let held = turn.disk.node(node).cached.size().saturating_sub(offset);
        let from = from.get(..held).unwrap_or(from);
        turn.disk.write_at(node, from, offset as u64).map(drop)
    }

    /// Remembers a lost page, one that a fault of the plan stands for as well.
    fn noted<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.as_ref().is_err_and(|error| error.errno == OsError::EIO) {
            self.lost.store(true, Relaxed);
        }
        answer
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
        self.noted(self.file.world.call(&at, |turn| self.word(turn, offset)))
    }

    fn store(&self, site: Site, offset: usize, word: u64) -> Result<()> {
        let at = self.file.at(site, "store", "mmap");
        self.noted(
            self.file.world.call(&at, |turn| self.put(turn, aligned(offset)?, &word.to_le_bytes())),
        )
    }

    fn read(&self, site: Site, offset: usize, into: &mut [u8]) -> Result<()> {
        let at = self.file.at(site, "map_read", "mmap");
        self.noted(self.file.world.call(&at, |turn| self.get(turn, offset, into)))
    }

    fn write(&self, site: Site, offset: usize, from: &[u8]) -> Result<()> {
        let at = self.file.at(site, "map_write", "mmap");
        self.noted(self.file.world.call(&at, |turn| self.put(turn, offset, from)))
    }

    fn wait(&self, site: Site, offset: usize, seen: u64, timeout: Duration) -> Result<()> {
        let at = self.file.at(site, "wait", "futex");
        let mut turn = self.file.world.enter(&at)?;
        if let Injected::Fail(errno) = turn.injected {
            return self.noted(leave(turn, &at, Err(errno)));
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
        self.noted(leave(turn, &at, answer.map(drop)))
    }

    fn wait_or(
        &self,
        site: Site,
        offset: usize,
        seen: u64,
        timeout: Duration,
        interrupt: Option<&Interrupt>,
    ) -> Result<()> {
        // Nobody raises it meanwhile: where one actor waits, no other thread of its process is.
        let is_raised = interrupt.is_some_and(Interrupt::is_raised);
        self.wait(site, offset, seen, if is_raised { Duration::ZERO } else { timeout })
    }

    fn wake(&self, site: Site, offset: usize) -> Result<()> {
        let at = self.file.at(site, "wake", "futex");
        self.noted(self.file.world.call(&at, |turn| {
            self.word(turn, offset)?;
            let node = turn.handle(self.file.handle)?.node;
            if let Some(run) = &mut turn.run {
                run.wake((node, offset));
            }
            Ok(())
        }))
    }

    fn sync(&self, site: Site) -> Result<()> {
        if self.lost.load(Relaxed) {
            return Err(OsError::new(OsError::EIO, "msync"));
        }
        // A failed sync loses what it should have written (V4), not the map.
        self.file.sync(&self.file.at(site, "map_sync", "msync"), false)
    }
}

/// A word's offset, which must be a multiple of its size.
const fn aligned(offset: usize) -> Answer<usize> {
    if offset.is_multiple_of(WORD_SIZE) { Ok(offset) } else { Err(OsError::EINVAL) }
}
