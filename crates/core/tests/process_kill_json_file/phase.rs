//! Where in a commit a writer is, known from outside even when it was killed there.
//!
//! The storage of a writer notes the phase before each call that begins one: one byte, at the
//! start of a small file. The page cache keeps it when the process dies. A phase is named by what
//! is done; the call that ends it may be under way.

#![allow(clippy::disallowed_methods, reason = "the note is no state of the store")]

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tidemark_storage::Site;

use super::journal::Journal;

/// The phases of a commit, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not in a commit.
    Idle,
    /// About to take the lock, or waiting for it.
    Waiting,
    /// The lock is granted: reading, judging.
    Locked,
    /// The temporary is created, about to be written.
    Created,
    /// It is written, about to be synced.
    Written,
    /// It is synced, about to be renamed.
    Synced,
    /// It is renamed, the directory about to be synced.
    Renamed,
    /// All is done, the lock about to be freed.
    Releasing,
}

impl Phase {
    pub(crate) const ALL: [Self; 8] = [
        Self::Idle,
        Self::Waiting,
        Self::Locked,
        Self::Created,
        Self::Written,
        Self::Synced,
        Self::Renamed,
        Self::Releasing,
    ];

    /// The phase that ends with a call at this site; nothing if the site does not tell.
    const fn before(site: Site) -> Option<Self> {
        match site {
            Site::LockAcquire => Some(Self::Waiting),
            Site::LockVerify => Some(Self::Locked),
            Site::TempWrite => Some(Self::Created),
            Site::JsonSync => Some(Self::Written),
            Site::JsonRename => Some(Self::Synced),
            Site::JsonSyncDir => Some(Self::Renamed),
            Site::LockRelease => Some(Self::Releasing),
            _ => None,
        }
    }

    /// Whether a process that died in this phase held the lock for certain. One that waited may
    /// have been granted it, one that was freeing it may have been done.
    pub(crate) const fn holds_the_lock(self) -> bool {
        !matches!(self, Self::Idle | Self::Waiting | Self::Releasing)
    }

    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_ascii_lowercase()
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// The phase that a killed writer left in its note.
    pub(crate) fn noted(note: &Path) -> Self {
        let byte = std::fs::read(note).ok().and_then(|bytes| bytes.first().copied());
        byte.and_then(|byte| Self::ALL.get(usize::from(byte)).copied()).unwrap_or(Self::Idle)
    }
}

/// Where a writer is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    pub(crate) phase: Phase,
    /// At which time that it comes there, from 1.
    pub(crate) passing: u64,
}

/// Notes the phases of one writer, and stops it where it is to be killed.
pub(crate) struct Phases {
    note: File,
    now: AtomicU8,
    aim: Option<Aim>,
    passings: AtomicU64,
    journal: Journal,
}

impl Phases {
    pub(crate) fn new(note: &Path, aim: Option<Aim>, journal: Journal) -> Self {
        let note = File::create(note).expect("the note can be made");
        Self { note, now: AtomicU8::new(0), aim, passings: AtomicU64::new(0), journal }
    }

    /// A call is about to be made.
    pub(crate) fn reach(&self, site: Site) {
        if let Some(phase) = Phase::before(site) {
            self.enter(phase);
        }
    }

    /// Results are about to be heard: the lock is free, if it was being freed.
    pub(crate) fn rest(&self) {
        if self.now.load(Ordering::Acquire) == Phase::Releasing as u8 {
            self.enter(Phase::Idle);
        }
    }

    fn enter(&self, phase: Phase) {
        self.note.write_all_at(&[phase as u8], 0).expect("the note can be written");
        self.now.store(phase as u8, Ordering::Release);
        let Some(aim) = self.aim.filter(|aim| aim.phase == phase) else { return };
        if self.passings.fetch_add(1, Ordering::AcqRel) + 1 == aim.passing {
            self.journal.tell(&format!("at {} {}", self.journal.writer, phase.name()));
            wait_to_be_killed();
        }
    }
}

/// The observer holds the other end of this process's input: without it, nobody would kill us.
fn wait_to_be_killed() {
    while std::io::stdin().read(&mut [0]).is_ok_and(|count| count > 0) {}
    std::process::exit(1);
}
