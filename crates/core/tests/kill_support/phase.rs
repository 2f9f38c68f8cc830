//! Where a process is, known from outside even when it was killed there.
//!
//! The storage of a process notes the phase before each call that begins one: one byte, at the
//! start of a small file. The page cache keeps it when the process dies. Where several threads
//! work, it is the phase that any of them entered last.

use std::fmt::Debug;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tidemark_storage::Site;

use super::Journal;

/// The phases of what a process does.
pub(crate) trait Phased: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// All of them, first that of a process that does nothing.
    const ALL: &'static [Self];

    /// The phase that ends with a call at this site; nothing if the site does not tell.
    fn before(site: Site) -> Option<Self>;

    fn name(self) -> String {
        format!("{self:?}").to_ascii_lowercase()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|phase| phase.name() == name)
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|phase| *phase == self).expect("it is one of all")
    }

    fn byte(self) -> u8 {
        u8::try_from(self.index()).expect("there are few")
    }

    /// The phase that a killed process left in its note.
    fn noted(note: &Path) -> Self {
        let byte = std::fs::read(note).ok().and_then(|bytes| bytes.first().copied());
        let index = byte.map_or(0, usize::from);
        Self::ALL.get(index).copied().unwrap_or(Self::ALL[0])
    }
}

/// Where a process is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim<P> {
    pub(crate) phase: P,
    /// At which time that it comes there, from 1.
    pub(crate) passing: u64,
}

impl<P: Phased> Aim<P> {
    /// As two command line arguments.
    pub(crate) fn to_args(aim: Option<Self>) -> [String; 2] {
        let phase = aim.map_or_else(|| "none".to_owned(), |aim| aim.phase.name());
        [phase, aim.map_or(0, |aim| aim.passing).to_string()]
    }

    /// From them.
    pub(crate) fn from_args(phase: &str, passing: &str) -> Option<Self> {
        let passing = passing.parse().expect("a number");
        P::from_name(phase).map(|phase| Self { phase, passing })
    }
}

/// Notes the phases of one process, and stops it where it is to be killed.
pub(crate) struct Phases<P> {
    note: File,
    now: AtomicU8,
    aim: Option<Aim<P>>,
    passings: AtomicU64,
    journal: Journal,
}

impl<P: Phased> Phases<P> {
    pub(crate) fn new(note: &Path, aim: Option<Aim<P>>, journal: Journal) -> Self {
        let note = File::create(note).expect("the note can be made");
        Self { note, now: AtomicU8::new(0), aim, passings: AtomicU64::new(0), journal }
    }

    /// A call is about to be made.
    pub(crate) fn reach(&self, site: Site) {
        if let Some(phase) = P::before(site) {
            self.enter(phase);
        }
    }

    /// Nothing is done any more, if this was the last that was.
    pub(crate) fn rest_after(&self, phase: P) {
        if self.now.load(Ordering::Acquire) == phase.byte() {
            self.rest();
        }
    }

    /// Nothing is done.
    pub(crate) fn rest(&self) {
        self.enter(P::ALL[0]);
    }

    /// Whether this is where it is to be killed, this time.
    pub(crate) fn is_aimed_at(&self, phase: P) -> bool {
        let Some(aim) = self.aim.filter(|aim| aim.phase == phase) else { return false };
        self.passings.fetch_add(1, Ordering::AcqRel) + 1 == aim.passing
    }

    fn enter(&self, phase: P) {
        self.note(phase);
        if self.is_aimed_at(phase) {
            self.stop(phase);
        }
    }

    fn note(&self, phase: P) {
        self.note.write_all_at(&[phase.byte()], 0).expect("the note can be written");
        self.now.store(phase.byte(), Ordering::Release);
    }

    /// Says where it stands, and waits there.
    pub(crate) fn stop(&self, phase: P) {
        self.note(phase);
        self.journal.tell(&format!("at {} {}", self.journal.writer, phase.name()));
        wait_to_be_killed();
    }
}

/// The observer holds the other end of this process's input: without it, nobody would kill us.
fn wait_to_be_killed() {
    while std::io::stdin().read(&mut [0]).is_ok_and(|count| count > 0) {}
    std::process::exit(1);
}
