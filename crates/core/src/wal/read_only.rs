//! A log that another process may be writing to, opened to read.
//!
//! A thread waits on the writer's page, walks the frames that were announced since, and shows them
//! in the view. Without a living writer only what is proven is shown.
//!
//! Invariants
//! - R-1 Nothing is read beyond what a living writer published, or, without one, what is proven.
//! - R-2 Nothing is written: it works on a read-only mount.
//! - R-3 While nothing comes, the thread makes one system call in a second.
//! - R-4 When another writer takes over, what was shown stays: its recovery keeps all that was
//!   durable, and what a truncate took back meanwhile is told to who had read it.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_storage::Storage;

use super::op::Records;
use super::page::{Page, Words};
use super::publication::is_new;
use super::replay::Found;
use super::state::{Change, FLAG_HARD_STATE, FLAG_NO_HARD_STATE, State};
use super::take_over::{Behind, Unproven};
use super::view::{Update, View};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Cursor, Frame, KIND_USER_MIN, Log, LogOptions, Position};

/// How often a reader looks whether there is a writer, while nothing comes.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// A writer may recover or close while a reader opens; more often somebody else must be at work.
const ATTEMPTS_MAX: usize = 16;

/// A reader's place behind a writer.
pub(super) struct Trailer {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    options: LogOptions,
    page: Option<Arc<Page>>,
    generation: Option<u64>,
    log: Log,
    cursor: Cursor,
    /// What was walked in the segment of the cursor, and may be copied by a recovery.
    unproven: Unproven,
    /// The log as it is at the cursor.
    state: State,
    pub(super) view: Arc<View>,
}

/// What a log was found to hold, and where to go on.
struct Start {
    log: Log,
    cursor: Cursor,
    found: Found,
    generation: Option<u64>,
}

impl Trailer {
    /// Opens a log to read.
    ///
    /// # Errors
    /// `TIDEMARK_NOT_FOUND` if there is none; as for a writer otherwise.
    pub(super) fn open(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        options: LogOptions,
    ) -> Result<Self> {
        // It says so if the segments are lost; that there is none is said below.
        let _is_new = is_new(storage.as_ref(), directory)?;
        let page = Page::open(storage, directory)?.map(Arc::new);
        let start = start(storage, directory, &options, page.as_deref())?;
        let view =
            Arc::new(View::new(start.found.state.clone(), start.found.index, start.log.clone()));
        Ok(Self {
            storage: Arc::clone(storage),
            directory: directory.to_owned(),
            options,
            page,
            generation: start.generation,
            log: start.log,
            cursor: start.cursor,
            unproven: start.found.unproven,
            state: start.found.state,
            view,
        })
    }

    pub(super) fn page(&self) -> Option<&Arc<Page>> {
        self.page.as_ref()
    }

    /// Whether there was a living writer when it was last looked at.
    pub(super) const fn has_writer(&self) -> bool {
        self.generation.is_some()
    }

    /// Shows what was announced since the last time; the signal to wait on for more.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT`, `TIDEMARK_IO`: nothing more can be shown.
    pub(super) fn advance(&mut self) -> Result<Option<u64>> {
        if self.page.is_none() {
            self.page = Page::open(&self.storage, &self.directory)?.map(Arc::new);
        }
        let Some(page) = self.page.clone() else { return Ok(None) };
        let Some(words) = page.read()? else { return Ok(None) };
        let is_known = self.generation == Some(words.generation);
        if !is_known && !page.has_writer()? {
            return Ok(Some(words.signal));
        }
        // Another writer may have recovered the log, and so written again what was beyond its
        // proof. Behind the same one, a purge may have been faster; if it is damage that this
        // reader came upon, reading again says so.
        if !is_known || self.show(&words).is_err() {
            self.read_again()?;
        }
        if words.is_poisoned {
            self.view.end(gave_up(&self.directory));
        }
        Ok(Some(words.signal))
    }

    fn show(&mut self, words: &Words) -> Result<()> {
        if self.cursor.position() < words.durable {
            self.walk(words.durable)?;
        }
        if self.cursor.position() <= words.durable {
            self.view.durable();
        }
        if self.cursor.position() < words.written {
            self.walk(words.written)?;
        }
        Ok(())
    }

    /// Reads on to a position, and shows what was read as written.
    fn walk(&mut self, limit: Position) -> Result<()> {
        let mut updates = Vec::new();
        let walked = self.walk_into(limit, &mut updates);
        // Also where it did not get there: what the cursor has passed must not be lost.
        self.view.written(updates);
        walked
    }

    fn walk_into(&mut self, limit: Position, updates: &mut Vec<Update>) -> Result<()> {
        while self.cursor.position() < limit {
            match self.cursor.next(limit)? {
                Some(frame) if frame.kind() >= KIND_USER_MIN => {
                    let change = self.state.apply(&frame).ok_or_else(|| {
                        let message = "a frame does not continue the log";
                        Error::new(ErrorKind::Corrupt, message)
                            .at(self.cursor.segment().path())
                            .at_offset(u64::from(frame.start().offset()))
                    })?;
                    self.unproven.note(&frame);
                    push(updates, &frame, change);
                }
                Some(_) => {}
                None => {
                    let number = self.cursor.position().segment().saturating_add(1);
                    let next = self.log.open_segment(number)?;
                    self.cursor.go_on(&next)?;
                    self.unproven = Unproven::default();
                    updates.push(Update::Roll { number, size_bytes: next.size_bytes() });
                }
            }
        }
        Ok(())
    }

    /// Reads again what the log holds, and keeps what was shown.
    fn read_again(&mut self) -> Result<()> {
        let start = start(&self.storage, &self.directory, &self.options, self.page.as_deref())?;
        let behind = Behind { cursor: &self.cursor, unproven: &self.unproven };
        let cut = behind.lowest_cut(&start.log, &start.found, start.cursor.position());
        let Found { state, index, unproven, .. } = start.found;
        self.view.replace(state.clone(), index, start.log.clone(), cut);
        self.generation = start.generation;
        self.log = start.log;
        self.cursor = start.cursor;
        self.unproven = unproven;
        self.state = state;
        Ok(())
    }
}

/// Reads a log up to what its writer published, or what is proven.
fn start(
    storage: &Arc<dyn Storage>,
    directory: &Path,
    options: &LogOptions,
    page: Option<&Page>,
) -> Result<Start> {
    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        let words = match page {
            Some(page) if page.has_writer()? => page.read()?,
            _ => None,
        };
        let limit = words.map(|words| words.durable);
        let inspected = Log::inspect(storage, directory, options, limit, || Found::new(directory));
        let again = match page {
            Some(page) => page.read()?.map(|words| words.generation),
            None => None,
        };
        if words.is_some_and(|words| again != Some(words.generation)) {
            continue;
        }
        // What a writer purged and removed since it published that position is missing here, and
        // is no damage: what it has published by now says so.
        let checked = inspected.and_then(|found| found.replay.check().map(|()| found));
        match checked {
            Ok(inspected) => {
                return Ok(Start {
                    log: inspected.log,
                    cursor: inspected.cursor,
                    found: inspected.replay,
                    generation: words.map(|words| words.generation),
                });
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let message = format!("writers of {} keep coming and going", directory.display());
        Error::new(ErrorKind::Locked, message).at(directory)
    }))
}

/// For who waits: nothing comes before another writer has recovered the log.
fn gave_up(directory: &Path) -> Error {
    let message = format!(
        "the process that writes to {} gave up after a failed write or sync; follow the log again \
         once it was opened anew there",
        directory.display()
    );
    Error::new(ErrorKind::Poisoned, message).at(directory)
}

/// What a frame is to readers.
fn push(updates: &mut Vec<Update>, frame: &Frame, change: Change) {
    match frame.flags() {
        FLAG_HARD_STATE => updates.push(Update::HardState(frame.record(0).map(Arc::from))),
        FLAG_NO_HARD_STATE => updates.push(Update::HardState(None)),
        _ => {}
    }
    match change {
        Change::Entries { count: 0, .. } => {}
        Change::Entries { first, skip, .. } => {
            let records: Records = frame.records().skip(skip).collect();
            let offset = frame.start().offset();
            updates.push(Update::Entries { first, offset, batches: vec![Arc::new(records)] });
        }
        Change::Truncate { after } => updates.push(Update::Truncate { after }),
        Change::Purge { before } => updates.push(Update::Purge { before }),
    }
}

/// How a thread that follows is ended.
#[derive(Default)]
pub(super) struct Stop {
    state: Mutex<StopState>,
    changed: Condvar,
}

#[derive(Default)]
struct StopState {
    is_set: bool,
    has_ended: bool,
    /// What the thread waits on, if it is not this.
    page: Option<Arc<Page>>,
    done: Option<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// Ends the thread; `done` is called when it has ended.
    pub(super) fn set(&self, done: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        state.is_set = true;
        if state.has_ended {
            drop(state);
            return done();
        }
        state.done = Some(done);
        let page = state.page.clone();
        drop(state);
        self.changed.notify_all();
        if let Some(page) = page {
            page.wake();
        }
    }

    pub(super) fn is_set(&self) -> bool {
        self.lock().is_set
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// Tells who has asked for it that nothing is open any more.
    pub(super) fn ended(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        state.page = None;
        let done = state.done.take();
        drop(state);
        if let Some(done) = done {
            done();
        }
    }

    /// Waits for a while, or until it is set.
    fn wait(&self) {
        let state = self.lock();
        if !state.is_set {
            drop(self.changed.wait_timeout(state, LOOK_PERIOD));
        }
    }

    /// The thread waits on this page from now on.
    fn waits_on(&self, page: &Arc<Page>) {
        self.lock().page = Some(Arc::clone(page));
    }

    fn lock(&self) -> MutexGuard<'_, StopState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of the thread. It wakes up by itself once in a while: a wake-up that comes between its
/// look at `stop` and its wait is not lost for longer.
pub(super) fn trail(mut trailer: Trailer, stop: &Stop) {
    while !stop.is_set() {
        match (trailer.advance(), trailer.page()) {
            (Ok(Some(signal)), Some(page)) => {
                stop.waits_on(page);
                if stop.is_set() {
                    return;
                }
                if let Err(error) = page.wait(signal, LOOK_PERIOD) {
                    return trailer.view.end(error);
                }
            }
            (Ok(_), _) => stop.wait(),
            (Err(error), _) => return trailer.view.end(error),
        }
    }
}

impl Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stop({})", self.is_set())
    }
}

impl Debug for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trailer").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
