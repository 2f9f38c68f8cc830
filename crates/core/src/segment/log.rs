//! A log that is open: what its commit thread, its readers and its background thread share.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_storage::{Open, OsError, Storage};

use super::file::Segment;
use super::inspect::{self, Inspected};
use super::place::Place;
use super::recovery;
use super::staging::Identity;
use super::writer::Writer;
use super::{LogOptions, Position, Replay, Report};
use crate::error::{Error, ErrorKind, Result};

/// How many segments are kept open for cold reads.
const OPEN_MAX: usize = 8;

/// The directory of a log. Cloning gives another handle on the same one.
#[derive(Clone, Debug)]
pub struct Log {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    place: Place,
    log_id: [u8; 16],
    identity: Arc<Identity>,
    /// What is known to be on the medium.
    proven: Arc<AtomicU64>,
    open: Mutex<OpenSegments>,
    /// Held while files are prepared or removed.
    work: Mutex<()>,
    /// Whether a writer waits for the segment that is being prepared.
    is_needed_now: AtomicBool,
    /// Whether the log is about to be closed: no segment is prepared any more.
    is_ending: AtomicBool,
}

/// The open segments, the one used last at the end.
#[derive(Debug, Default)]
struct OpenSegments {
    recent: Vec<Arc<Segment>>,
    /// The newest one: prepared, or in use by the writer.
    prepared: Option<Arc<Segment>>,
    /// Segments below this number are no longer of use, and not kept.
    first: u32,
    /// Whether the log has ended: nothing is kept open any more.
    released: bool,
}

/// A log that was just opened.
#[derive(Debug)]
pub struct Opened {
    /// The directory.
    pub log: Log,
    /// The tail.
    pub writer: Writer,
    /// What was found and done.
    pub report: Report,
}

impl Log {
    pub(super) fn new(place: Place, log_id: [u8; 16], nonce: u64) -> Self {
        let state = State {
            place,
            log_id,
            identity: Arc::new(Identity::new(nonce)),
            proven: Arc::default(),
            open: Mutex::default(),
            work: Mutex::default(),
            is_needed_now: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
        };
        Self { state: Arc::new(state) }
    }

    /// Opens a log to write, or makes one in an empty directory. The caller holds the directory's
    /// lock. Recovers what is not proven, as the format says.
    ///
    /// # Durability
    /// On success everything below the writer's [`Writer::synced`] survives a power cut; the link
    /// of an empty segment may only be staged.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` with path and offset; `TIDEMARK_CONFLICT` for another kind of log;
    /// `TIDEMARK_UNSUPPORTED_FILE_VERSION`; `TIDEMARK_INVALID_ARGUMENT` for options that make no
    /// sense; `TIDEMARK_NO_SPACE`, `TIDEMARK_IO`: open it again, nothing is lost.
    pub fn open(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        options: &LogOptions,
        replay: &mut dyn Replay,
    ) -> Result<Opened> {
        let place = Place::new(storage, directory, options, Open::READ_WRITE)?;
        recovery::open(place, replay)
    }

    /// Opens a log to read, without a lock, and changes nothing: a living writer may roll and
    /// purge meanwhile, so each attempt begins with a fresh replay from `make`.
    ///
    /// `limit` is what a living writer has published; without it, what is proven is replayed.
    ///
    /// # Errors
    /// As for [`Log::open`]; `TIDEMARK_NOT_FOUND` if there is no log.
    pub fn inspect<R: Replay>(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        options: &LogOptions,
        limit: Option<Position>,
        make: impl FnMut() -> R,
    ) -> Result<Inspected<R>> {
        let place = Place::new(storage, directory, options, Open::READ)?;
        inspect::inspect(&place, limit, make)
    }

    /// Opens a log that other processes have open, to take turns with them: nothing is recovered.
    /// The caller holds the log's lock; `limit` is what was written in the turn before. The cursor
    /// then makes the writer ([`super::Cursor::into_writer`]).
    ///
    /// # Errors
    /// As for [`Log::inspect`].
    pub fn join<R: Replay>(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        options: &LogOptions,
        limit: Position,
        make: impl FnMut() -> R,
    ) -> Result<Inspected<R>> {
        let place = Place::new(storage, directory, options, Open::READ_WRITE)?;
        inspect::inspect(&place, Some(limit), make)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.state.place.directory
    }

    /// What is known to be on the medium, in this process.
    #[must_use]
    pub fn synced(&self) -> Position {
        Position::from_word(self.state.proven.load(Ordering::Acquire))
    }

    /// Takes notice of what another process has synced.
    pub fn note_synced(&self, synced: Position) {
        self.state.proven.fetch_max(synced.word(), Ordering::AcqRel);
    }

    /// Says that a writer waits for the segment that is prepared now or next, or no longer does: it
    /// is to be had sooner, and costs more to write to.
    pub fn set_needed_now(&self, is_needed: bool) {
        self.state.is_needed_now.store(is_needed, Ordering::Relaxed);
    }

    pub(super) fn is_needed_now(&self) -> bool {
        self.state.is_needed_now.load(Ordering::Relaxed)
    }

    /// Has no segment prepared from now on, because the log is about to be closed. One that is half
    /// made is given up at the next look, and its file removed.
    pub fn stop_preparing(&self) {
        self.state.is_ending.store(true, Ordering::Relaxed);
    }

    /// Looked at between the steps of a preparation that take long.
    pub(super) fn check_preparing(&self) -> Result<()> {
        if self.state.is_ending.load(Ordering::Relaxed) { Err(Error::closed()) } else { Ok(()) }
    }

    /// The segment that was prepared under this number, if it was, or is in use by the writer.
    #[must_use]
    pub fn prepared(&self, number: u32) -> Option<Arc<Segment>> {
        let open = self.lock_open();
        open.prepared.clone().filter(|segment| segment.number() == number)
    }

    /// Opens a segment for reading, or finds it open.
    ///
    /// # Errors
    /// `TIDEMARK_EXPIRED` if it was removed from the front; `TIDEMARK_CORRUPT` if it is missing
    /// otherwise, or not what its name says; `TIDEMARK_IO`.
    pub fn open_segment(&self, number: u32) -> Result<Arc<Segment>> {
        if let Some(segment) = self.prepared(number).or_else(|| self.recent(number)) {
            return Ok(segment);
        }
        // Not under the mutex: another thread may open the same file meanwhile, and the first
        // one counts.
        let place = &self.state.place;
        let segment = match place.open(number) {
            Ok(segment) => segment,
            Err(error) if error.os_error().as_ref().is_some_and(OsError::is_not_found) => {
                return Err(self.gone(number)?);
            }
            Err(error) => return Err(error),
        };
        if segment.header().log_id != self.state.log_id {
            return Err(segment.corrupt(0, "it is of another log"));
        }
        Ok(self.keep(segment))
    }

    /// As [`Log::open_segment`], for a reader that goes on into the newest one: it stays open, so
    /// that its bytes can be read whatever becomes of its name. The one before does not: a reader
    /// that keeps up must not hold what its writer wants to use again.
    ///
    /// # Errors
    /// As for [`Log::open_segment`].
    pub fn enter_segment(&self, number: u32) -> Result<Arc<Segment>> {
        let segment = self.open_segment(number)?;
        let mut open = self.lock_open();
        open.recent.retain(|known| known.number() != number);
        let before = open.prepared.replace(Arc::clone(&segment));
        drop(open);
        drop(before);
        Ok(segment)
    }

    /// Whether this is a handle on the same open log.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// Why there is no such segment.
    fn gone(&self, number: u32) -> Result<Error> {
        let first = self.state.place.list()?.segments.first().copied();
        if first.is_some_and(|first| number < first) {
            let message = format!("segment {number} of {} is gone", self.directory().display());
            return Ok(Error::new(ErrorKind::Expired, message).at(self.directory()));
        }
        Ok(self.state.place.missing(number))
    }

    fn recent(&self, number: u32) -> Option<Arc<Segment>> {
        let mut open = self.lock_open();
        let index = open.recent.iter().position(|segment| segment.number() == number)?;
        let segment = open.recent.remove(index);
        open.recent.push(Arc::clone(&segment));
        Some(segment)
    }

    fn keep(&self, segment: Segment) -> Arc<Segment> {
        let mut open = self.lock_open();
        let known = open.recent.iter().find(|known| known.number() == segment.number());
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let segment = Arc::new(segment);
        if open.released || segment.number() < open.first {
            return segment;
        }
        open.recent.push(Arc::clone(&segment));
        let closed = (open.recent.len() > OPEN_MAX).then(|| open.recent.remove(0));
        drop(open);
        // Closing is a call of its own: not under the mutex.
        drop(closed);
        segment
    }

    /// Closes what is kept open, and keeps nothing open from now on: the log has ended, whoever
    /// still has a handle on it.
    pub fn release(&self) {
        let mut open = self.lock_open();
        let closed = std::mem::take(&mut *open);
        open.released = true;
        drop(open);
        drop(closed);
    }

    /// Closes the segments before this number, and keeps none of them open from now on: whoever
    /// reads this log is past them. One that is being read is closed when it was.
    pub fn close_before(&self, number: u32) {
        let mut open = self.lock_open();
        open.first = open.first.max(number);
        let closed: Vec<_> =
            open.recent.extract_if(.., |segment| segment.number() < number).collect();
        drop(open);
        drop(closed);
    }

    /// Takes a segment out of those that are kept open.
    pub(super) fn forget(&self, number: u32) -> Option<Arc<Segment>> {
        let mut open = self.lock_open();
        let index = open.recent.iter().position(|segment| segment.number() == number)?;
        Some(open.recent.remove(index))
    }

    /// Makes this the newest segment; the one before stays open for a while.
    pub(super) fn set_prepared(&self, segment: &Arc<Segment>) {
        let mut open = self.lock_open();
        let before = open.prepared.replace(Arc::clone(segment));
        open.recent.extend(before);
        let closed = (open.recent.len() > OPEN_MAX).then(|| open.recent.remove(0));
        drop(open);
        drop(closed);
    }

    fn lock_open(&self) -> MutexGuard<'_, OpenSegments> {
        self.state.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to prepare and to remove files. Not to be waited for in a simulated run.
    pub(super) fn lock_work(&self) -> MutexGuard<'_, ()> {
        self.state.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place(&self) -> &Place {
        &self.state.place
    }

    pub(super) fn log_id(&self) -> [u8; 16] {
        self.state.log_id
    }

    pub(super) fn identity(&self) -> &Arc<Identity> {
        &self.state.identity
    }

    pub(super) fn proven(&self) -> &Arc<AtomicU64> {
        &self.state.proven
    }
}
