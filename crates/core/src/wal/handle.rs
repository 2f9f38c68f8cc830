//! The handle on an open log.
//!
//! Handles of one process share an instance: one view, one commit path. The last one to close ends
//! it, with a mark that proves everything before it.

use std::any::Any;
use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::follower::Follower;
use super::metrics::WalMetrics;
use super::op::{Entries, HardState, WalOp, WalOutcome};
use super::options::{Visibility, WalOptions};
use super::read_only::Trailer;
use super::reader::Reader;
use super::source::{self, Source, Stop};
use super::view::Look;
use crate::checkpoint::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Events, Observer};
use crate::group_commit::{Enqueued, GroupCommit, Request, Sink, Ticket, spawn};
use crate::io_thread::IoThread;
use crate::latch::Latch;
use crate::metrics::{Metric, Metrics};
use crate::poison::Poison;
use crate::segment::Report;

/// What opening a log found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalRecovery {
    /// Whether the log had been closed: nothing was to be mended.
    pub was_closed: bool,
    /// Bytes that were read to find the end.
    pub scanned_bytes: u64,
    /// Bytes of frames that were valid but not proven, and were written again.
    pub copied_bytes: u64,
    /// Bytes of a torn tail that were cut off.
    pub cut_bytes: u64,
    /// Files in quarantine that hold them.
    pub quarantined: Vec<PathBuf>,
    /// For a reader without a writer: the last LSN that is proven, beyond which it sees nothing.
    pub proven_last: Option<u64>,
}

/// What the handles of one log share.
pub(super) struct Instance {
    /// Nothing in a process that only reads.
    pub(super) commit: Option<GroupCommit<WalOp, WalOutcome>>,
    pub(super) reader: Reader,
    pub(super) io: Arc<IoThread>,
    pub(super) options: WalOptions,
    pub(super) poison: Poison,
    pub(super) events: Events,
    pub(super) metrics: Arc<WalMetrics>,
    pub(super) durability: Durability,
    pub(super) weakness: Option<String>,
    pub(super) recovery: WalRecovery,
    pub(super) path: PathBuf,
    /// Set when the commit thread has ended and let go of the log's lock.
    pub(super) ended: Latch,
    /// Of a process that only reads: its handles, and the thread that follows the writer.
    pub(super) trailing: Option<Trailing>,
}

/// The thread that follows a writer in another process.
pub(super) struct Trailing {
    /// Handles that are open; once there is none, there never is one again.
    handles: Mutex<usize>,
    stop: Arc<Stop>,
    pub(super) source: Arc<Source>,
}

impl Instance {
    /// A log that this process only reads.
    pub(super) fn reading(
        trailer: Trailer,
        options: WalOptions,
        durability: Durability,
        path: &Path,
    ) -> Self {
        let (events, metrics) = (Events::default(), Arc::<WalMetrics>::default());
        let view = Arc::clone(&trailer.view);
        let last = view.ends().durable_next.saturating_sub(1);
        let proven_last = (!trailer.has_writer()).then_some(last);
        let source = Arc::new(Source::new(trailer));
        let reader = Reader::new(view, Arc::clone(&metrics), Some(Arc::clone(&source)));
        let trailing = Trailing { handles: Mutex::new(0), stop: Arc::default(), source };
        Self {
            commit: None,
            reader,
            io: Arc::default(),
            options,
            poison: Poison::new(events.clone()),
            events,
            metrics,
            durability,
            weakness: None,
            recovery: WalRecovery { proven_last, ..WalRecovery::default() },
            path: path.to_owned(),
            ended: Latch::default(),
            trailing: Some(trailing),
        }
    }

    /// Starts to follow the writer.
    /// The thread keeps `registered` until it ends, so that the next reader finds this instance.
    pub(super) fn start_trailing(&self, registered: Arc<dyn Any + Send + Sync>) -> Result<()> {
        let Some(trailing) = &self.trailing else { return Ok(()) };
        let (stop, io) = (Arc::clone(&trailing.stop), Arc::clone(&self.io));
        let source = Arc::clone(&trailing.source);
        let reader = self.reader.clone();
        spawn("tidemark-follow", move || {
            source::follow(&source, &stop);
            // Who comes to wait from now on is told, as is who did and was not woken.
            reader.view().end(Error::closed());
            drop(registered);
            io.end();
            reader.release();
            stop.ended();
        })
    }

    /// A handle that only reads; nothing if this instance has ended.
    pub(super) fn attach_reader(self: &Arc<Self>) -> Option<Wal> {
        let attached = match (&self.commit, &self.trailing) {
            (Some(commit), _) => commit.attach().is_some(),
            // Whoever opens a log finds out anew whether it is damaged.
            (None, Some(trailing)) => self.reader.view().check_end().is_ok() && trailing.attach(),
            (None, None) => false,
        };
        attached.then(|| Wal::new(Arc::clone(self), true))
    }
}

impl Trailing {
    fn attach(&self) -> bool {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = !self.stop.is_set() && !self.stop.has_ended();
        *handles += usize::from(is_open);
        is_open
    }

    /// The last one ends the thread, which calls `done` when it has let go of everything.
    fn detach(&self, done: impl FnOnce() + Send + 'static) {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        *handles = handles.saturating_sub(1);
        if *handles == 0 {
            // Under the lock: whoever attaches next finds it ended, and opens the log anew.
            self.stop.set(Box::new(done));
        } else {
            drop(handles);
            done();
        }
    }
}

impl From<Report> for WalRecovery {
    fn from(report: Report) -> Self {
        Self {
            was_closed: report.closed,
            scanned_bytes: report.scanned_bytes,
            copied_bytes: report.copied_bytes,
            cut_bytes: report.cut_bytes,
            quarantined: report.quarantined,
            proven_last: None,
        }
    }
}

/// A handle on an open log. Dropping it closes it without waiting.
pub struct Wal {
    instance: Arc<Instance>,
    read_only: bool,
    closed: Arc<AtomicBool>,
}

impl Wal {
    pub(super) fn new(instance: Arc<Instance>, read_only: bool) -> Self {
        Self { instance, read_only, closed: Arc::default() }
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    /// The commit path, unless this handle only reads.
    fn commit(&self) -> Result<&GroupCommit<WalOp, WalOutcome>> {
        self.check_open()?;
        match &self.instance.commit {
            Some(commit) if !self.read_only => Ok(commit),
            _ => {
                let message = "the log was opened with readOnly";
                Err(Error::new(ErrorKind::Unsupported, message).at(&self.instance.path))
            }
        }
    }

    /// Refuses what no log takes, and tells what it counts for.
    fn check(&self, op: &WalOp) -> Result<usize> {
        let options = &self.instance.options;
        op.check(options.record_limit_bytes(), options.frame_bytes_max())
    }

    /// Hands an operation over; its result goes to the sink. The commit begins with [`Wal::wake`],
    /// so that all that a caller hands over in one go is one group.
    ///
    /// # Durability
    /// The result of an append comes when its level says so, every other when it is durable.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`, `TIDEMARK_POISONED`, `TIDEMARK_UNSUPPORTED` for a reader,
    /// `TIDEMARK_INVALID_ARGUMENT` for LSN 0 or an empty list, `TIDEMARK_TOO_LARGE`.
    pub fn enqueue(
        &self,
        op: WalOp,
        ticket: Ticket,
        sink: &Arc<dyn Sink<WalOutcome>>,
    ) -> Result<Enqueued> {
        let commit = self.commit()?;
        let size_bytes = self.check(&op)?;
        commit.enqueue(Request { op, size_bytes, deadline: None, ticket, sink, wake: false })
    }

    /// Begins with what was handed over.
    pub fn wake(&self) {
        if let Some(commit) = &self.instance.commit {
            commit.wake();
        }
    }

    /// Takes an operation back; false if it is in a commit or settled already.
    #[must_use]
    pub fn withdraw(&self, ticket: Ticket, sink: &Arc<dyn Sink<WalOutcome>>) -> bool {
        self.instance.commit.as_ref().is_some_and(|commit| commit.withdraw(ticket, sink))
    }

    /// Hands an operation over and waits for its result. Blocks.
    ///
    /// # Errors
    /// As for [`Wal::enqueue`], and whatever the operation comes to: `TIDEMARK_CONFLICT` for an
    /// LSN that is not the expected one, `TIDEMARK_NOT_FOUND` and `TIDEMARK_EXPIRED` for a
    /// truncate beyond the ends, `TIDEMARK_NO_SPACE`, `TIDEMARK_IO`.
    pub fn call(&self, op: &WalOp) -> Result<WalOutcome> {
        let commit = self.commit()?;
        commit.call(op, self.check(op)?, None)
    }

    /// The first LSN that was not purged; 1 in an empty log.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`.
    pub fn first_lsn(&self) -> Result<u64> {
        self.check_open()?;
        Ok(self.instance.reader.view().ends().first)
    }

    /// The last LSN that a reader of this kind sees; one less than the first in an empty log. Of
    /// another process's log, as far as it was followed: [`Wal::read`] looks further.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`; `TIDEMARK_CORRUPT` if damage is in the way to what another process wrote.
    pub fn last_lsn(&self, visibility: Visibility) -> Result<u64> {
        self.check_open()?;
        self.instance.reader.view().check_end()?;
        Ok(self.instance.reader.view().ends().next(visibility).saturating_sub(1))
    }

    /// The hard state, as it is on the medium. Of another process's log, as [`Wal::last_lsn`].
    ///
    /// # Errors
    /// As for [`Wal::last_lsn`].
    pub fn hard_state(&self) -> Result<HardState> {
        self.check_open()?;
        self.instance.reader.view().check_end()?;
        Ok(self.instance.reader.view().hard_state())
    }

    /// The entries from `from` to `to`, both included, clipped at the end of the log, up to a
    /// number of bytes but at least one; from memory alone, and nothing if the first is not there
    /// or there are too many for one look.
    ///
    /// # Errors
    /// As for [`Wal::read`].
    pub fn read_hot(
        &self,
        from: u64,
        to: u64,
        bytes_max: usize,
        visibility: Visibility,
    ) -> Result<Option<Entries>> {
        self.check_open()?;
        self.instance.reader.hot(&Look { from, to, bytes_max, visibility, epoch: None })
    }

    /// As [`Wal::read_hot`], from wherever they are. Blocks.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`, `TIDEMARK_INVALID_ARGUMENT` for LSN 0 or a range that ends before it
    /// begins, `TIDEMARK_EXPIRED` for what was purged (with the first LSN that is left),
    /// `TIDEMARK_NOT_FOUND` beyond the end, `TIDEMARK_CORRUPT`, `TIDEMARK_IO`.
    pub fn read(
        &self,
        from: u64,
        to: u64,
        bytes_max: usize,
        visibility: Visibility,
    ) -> Result<Entries> {
        self.check_open()?;
        self.instance.reader.range(&Look { from, to, bytes_max, visibility, epoch: None })
    }

    /// A place in the log from which to read on and on.
    ///
    /// # Errors
    /// `TIDEMARK_CLOSED`, `TIDEMARK_INVALID_ARGUMENT` for LSN 0.
    pub fn follow(&self, from: u64, visibility: Visibility) -> Result<Arc<Follower>> {
        self.check_open()?;
        let (reader, io) = (self.instance.reader.clone(), Arc::clone(&self.instance.io));
        Follower::new(reader, io, Arc::clone(&self.closed), from, visibility).map(Arc::new)
    }

    /// Runs a job on this log's I/O thread, after those that were given before.
    ///
    /// # Errors
    /// `TIDEMARK_IO` if the system gives no thread.
    pub fn run_io(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        self.instance.io.run(job)
    }

    /// Tells an observer of this log's events, for as long as somebody else keeps it.
    pub fn subscribe(&self, observer: &Arc<dyn Observer>) {
        self.instance.events.subscribe(observer);
    }

    /// What an acknowledged append survives.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.instance.durability
    }

    /// Why it survives no more than that, if the file system is to blame.
    #[must_use]
    pub fn weakness(&self) -> Option<&str> {
        self.instance.weakness.as_deref()
    }

    /// What opening found and mended.
    #[must_use]
    pub fn recovery(&self) -> &WalRecovery {
        &self.instance.recovery
    }

    /// What this log counts; the names are API.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let ends = self.instance.reader.view().ends();
        let mut metrics = vec![
            ("segments", Metric::Gauge(self.instance.reader.view().segment_count() as u64)),
            ("undurableEntries", Metric::Gauge(ends.written_next - ends.durable_next)),
        ];
        if let Some(commit) = &self.instance.commit {
            let (operations, bytes) = commit.depth();
            let counts = commit.metrics();
            metrics.extend([
                ("inFlightOperations", Metric::Gauge(operations as u64)),
                ("inFlightBytes", Metric::Gauge(bytes as u64)),
                ("operations", Metric::Counter(counts.operations.get())),
                ("groups", Metric::Counter(counts.groups.get())),
                ("withdrawn", Metric::Counter(counts.withdrawn.get())),
                ("commitUs", Metric::Latency(counts.commit_us.summary())),
            ]);
        }
        metrics.extend(self.instance.metrics.list());
        metrics
    }

    /// Waits until everything accepted, through whatever handle, is settled; false if that took
    /// longer than `timeout`. Blocks.
    #[must_use]
    pub fn drain(&self, timeout: Duration) -> bool {
        self.instance.commit.as_ref().is_none_or(|commit| commit.drain(timeout))
    }

    /// Whether this handle is closed and everything accepted is settled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let settled = || self.instance.commit.as_ref().is_none_or(|commit| commit.depth().0 == 0);
        self.closed.load(Ordering::Acquire) && settled()
    }

    /// Closes this handle. What was accepted is finished and its followers end; `done` is called
    /// when nothing of this handle holds a descriptor any more, or at once if another handle is
    /// open. Closing twice does nothing more.
    pub fn close(&self, done: impl FnOnce() + Send + 'static) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return done();
        }
        self.instance.reader.view().wake_all();
        match &self.instance.commit {
            Some(commit) => commit.detach(done),
            None => match &self.instance.trailing {
                Some(trailing) => trailing.detach(done),
                None => done(),
            },
        }
    }

    /// Finishes what was accepted, closes this handle and waits. Blocks.
    pub fn close_blocking(&self) {
        if self.instance.commit.as_ref().is_some_and(|commit| commit.depth().0 > 0) {
            // Operations settle in order: after this one, all that were accepted before it have,
            // also where another handle keeps the log open.
            let _whatever_became_of_it = self.call(&WalOp::Sync);
        }
        let closed = Arc::new(Latch::default());
        let done = Arc::clone(&closed);
        self.close(move || done.set());
        closed.wait();
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.close(|| ());
    }
}

impl Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wal({})", self.instance.path.display())
    }
}

impl Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({})", self.path.display())
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
