//! A log that another process may be writing to, opened to read.
//!
//! A thread (`source.rs`) waits on the writer's page, walks the frames that were announced since,
//! and shows them in the view. Without a living writer only what is proven is shown.
//!
//! Invariants
//! - R-1 Nothing is read beyond what a living writer published, or, without one, what is proven.
//! - R-2 Nothing is written: it works on a read-only mount.
//! - R-3 While nothing comes, the thread makes one system call in a second. Where the system has no
//!   call that waits for two words (`futex_waitv`: Linux before 5.16, some sandboxes), it looks
//!   every 10 ms.
//! - R-4 When another writer takes over, what was shown stays: its recovery keeps all that was
//!   durable, and what a truncate took back meanwhile is told to who had read it. Until it has
//!   announced itself, nothing is taken back either.
//! - R-5 Damage is told only if the log is the one in which it was found: a writer that takes over
//!   cuts and replaces files before it announces itself.
//! - R-6 What a writer has acknowledged is found by whoever looks for it, whether or not the thread
//!   has heard of it.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::Storage;

use super::op::Records;
use super::page::{Page, Told, Words};
use super::publication::is_new;
use super::replay::Found;
use super::state::{Change, FLAG_HARD_STATE, FLAG_NO_HARD_STATE, State};
use super::take_over::{Behind, Unproven};
use super::view::{Again, Read, Update, View};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Cursor, Frame, KIND_USER_MIN, Log, LogOptions, Position};

/// How long a writer that is just telling something is waited for at a time.
const SETTLE_PERIOD: Duration = Duration::from_millis(100);
/// A writer may recover or close while a reader opens; more often somebody else must be at work.
const ATTEMPTS_MAX: usize = 16;
/// What is walked before it is shown: who is far behind does not hold all of it.
const PIECE_BYTES: usize = 1 << 20;

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
    /// Up to where the view has taken everything for durable.
    durable: Position,
    pub(super) view: Arc<View>,
}

/// What a log was found to hold, and where to go on.
struct Start {
    log: Log,
    cursor: Cursor,
    found: Found,
    generation: Option<u64>,
}

impl Start {
    /// As the view takes it.
    fn read(&self) -> Read {
        Read {
            state: self.found.state.clone(),
            index: self.found.index.clone(),
            log: self.log.clone(),
            end: self.cursor.position(),
        }
    }
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
        let view = Arc::new(View::new(start.read()));
        Ok(Self {
            storage: Arc::clone(storage),
            directory: directory.to_owned(),
            options,
            page,
            generation: start.generation,
            log: start.log,
            durable: start.cursor.position(),
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
    /// `TIDEMARK_CORRUPT`, `TIDEMARK_IO`: nothing more can be shown for now.
    pub(super) fn advance(&mut self) -> Result<Option<u64>> {
        if self.page.is_none() {
            self.page = Page::open(&self.storage, &self.directory)?.map(Arc::new);
        }
        let Some(page) = self.page.clone() else { return Ok(None) };
        let Told { words, signal } = page.read()?;
        let Some(words) = words else { return Ok(Some(signal)) };
        let is_known = self.generation == Some(words.generation);
        if !is_known && !page.has_writer()? {
            return Ok(Some(signal));
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
        Ok(Some(signal))
    }

    /// Whether there may be something that was announced and not shown.
    pub(super) fn is_behind(&self) -> Result<bool> {
        let Some(page) = &self.page else { return Ok(true) };
        let mut told = page.read()?;
        if told.words.is_none() && page.has_writer()? {
            // It is just telling something, and may stand still at that.
            page.wait(told.signal, SETTLE_PERIOD, None)?;
            told = page.read()?;
        }
        let Some(words) = told.words else { return Ok(false) };
        Ok(self.generation != Some(words.generation)
            || self.durable < words.durable
            || self.cursor.position() < words.written)
    }

    /// Whether an error stays, whoever looks again. Not while there is no writer, or another one
    /// may be cutting and replacing files.
    pub(super) fn is_final(&self, error: &Error) -> bool {
        let stays = |error: &Error| {
            use ErrorKind::{Corrupt, Decode, Internal, UnsupportedFileVersion};
            matches!(error.kind(), Corrupt | Decode | Internal | UnsupportedFileVersion)
        };
        let has_writer =
            || self.page.as_ref().is_some_and(|page| page.has_writer().unwrap_or(false));
        stays(error)
            && has_writer()
            && self.start().is_err_and(|again| stays(&again))
            && has_writer()
    }

    fn show(&mut self, words: &Words) -> Result<()> {
        while self.cursor.position() < words.durable {
            self.walk(words.durable)?;
            self.take_for_durable();
        }
        if self.cursor.position() == words.durable {
            self.take_for_durable();
        }
        while self.cursor.position() < words.written {
            self.walk(words.written)?;
        }
        Ok(())
    }

    /// What was walked is durable.
    fn take_for_durable(&mut self) {
        if let Some(first) = self.view.durable() {
            self.log.close_before(first);
        }
        self.durable = self.cursor.position();
    }

    /// Reads on for a piece, or to a position, and shows what was read as written.
    fn walk(&mut self, limit: Position) -> Result<()> {
        let mut updates = Vec::new();
        let walked = self.walk_into(limit, PIECE_BYTES, &mut updates);
        // Also where it did not get there: what the cursor has passed must not be lost.
        self.view.written(updates, self.cursor.position());
        walked
    }

    fn walk_into(
        &mut self,
        limit: Position,
        bytes_max: usize,
        updates: &mut Vec<Update>,
    ) -> Result<()> {
        let mut size_bytes = 0;
        while self.cursor.position() < limit && size_bytes < bytes_max {
            match self.cursor.next(limit)? {
                Some(frame) if frame.kind() >= KIND_USER_MIN => {
                    let change = self.state.apply(&frame).ok_or_else(|| {
                        let message = "a frame does not continue the log";
                        Error::new(ErrorKind::Corrupt, message)
                            .at(self.cursor.segment().path())
                            .at_offset(u64::from(frame.start().offset()))
                    })?;
                    self.unproven.note(&frame);
                    size_bytes += frame.records().map(<[u8]>::len).sum::<usize>();
                    push(updates, &frame, change);
                }
                Some(_) => {}
                None => {
                    let number = self.cursor.position().segment().saturating_add(1);
                    let next = self.log.enter_segment(number)?;
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
        let start = self.start()?;
        if start.generation.is_none() && !self.is_covered_by(&start) {
            // The writer died. What it had shown and no frame proves, the next one brings back.
            self.generation = None;
            return Ok(());
        }
        self.take(start);
        Ok(())
    }

    /// Whether what is proven holds all that was walked: as much of the same segment, or more than
    /// the link of what a recovery made, whose mark proves all copies at once.
    fn is_covered_by(&self, start: &Start) -> bool {
        let (own, found) = (self.cursor.position(), start.cursor.position());
        if start.cursor.segment().is_same_life(self.cursor.segment()) {
            found >= own
        } else {
            found > Position::start_of(found.segment())
        }
    }

    fn start(&self) -> Result<Start> {
        start(&self.storage, &self.directory, &self.options, self.page.as_deref())
    }

    /// Goes on with the log as it was read again.
    fn take(&mut self, start: Start) {
        let is_known = start.generation.is_some() && start.generation == self.generation;
        let behind = Behind { cursor: &self.cursor, unproven: &self.unproven };
        let cut = behind.lowest_cut(&start.log, &start.found, start.cursor.position());
        let read = start.read();
        let is_pending = is_known && read.end <= self.durable;
        self.generation = start.generation;
        self.log = start.log;
        self.durable = read.end;
        self.cursor = start.cursor;
        self.unproven = start.found.unproven;
        self.state = start.found.state;
        let mut updates = Vec::new();
        if let Some(written) = self.written() {
            // What was shown as written is shown at once again: it is not taken back. If it cannot
            // be read, the next look says so.
            let _walked = self.walk_into(written, usize::MAX, &mut updates);
        }
        let end = self.cursor.position();
        self.view.replace(Again { read, updates, end, cut, is_pending });
    }

    /// How far the writer that is known has written.
    fn written(&self) -> Option<Position> {
        let words = self.page.as_ref()?.read().ok()?.words?;
        (self.generation == Some(words.generation)).then_some(words.written)
    }

    /// Whether what was read from the files of this log has to be read again: then the view has
    /// what they hold now.
    pub(super) fn has_changed(&mut self, log: &Log) -> bool {
        if !self.log.is_same(log) {
            return true;
        }
        // What has become of the writer is told to who follows.
        let advanced = self.advance();
        if !self.log.is_same(log) {
            return true;
        }
        let has_writer = match &self.page {
            Some(page) => page.has_writer().unwrap_or(true),
            None => false,
        };
        if advanced.is_err() || has_writer {
            return false;
        }
        // Without a writer there may be one that is taking over and has not said so. Whatever it
        // cuts is proven elsewhere by then.
        let Ok(start) = self.start() else { return false };
        let is_new = start.generation != self.generation
            || start.cursor.position() != self.cursor.position()
            || !start.cursor.segment().is_same_life(self.cursor.segment());
        let covers = start.generation.is_some() || self.is_covered_by(&start);
        if is_new && covers {
            self.take(start);
        }
        is_new && covers
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
            Some(page) if page.has_writer()? => {
                let Told { words, signal } = page.read()?;
                if words.is_none() {
                    // It is just telling something, and will tell that it has.
                    page.wait(signal, SETTLE_PERIOD, None)?;
                    continue;
                }
                words
            }
            _ => None,
        };
        let limit = words.map(|words| words.durable);
        let inspected = Log::inspect(storage, directory, options, limit, || Found::new(directory));
        let again = match page {
            Some(page) => page.read()?.words.map(|words| words.generation),
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
            Err(error) if error.kind() == ErrorKind::LockTimeout => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let message =
            format!("writers of {} keep coming and going, or stand still", directory.display());
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

impl Debug for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trailer").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
