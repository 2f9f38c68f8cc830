//! What readers see of a log: its ends, where its entries are, the newest of them, and who waits
//! for more.
//!
//! Whoever commits (or, beside a writer in another process, the thread that follows it) applies
//! what it wrote, in order, and in two steps: when it is written, and when it is durable.
//!
//! Invariants
//! - V-1 Entries below `durable` are on the medium. Nothing else is shown but to who asks for what
//!   is written.
//! - V-2 A truncate, a purge and a hard state show when they are durable: until then both kinds of
//!   reader see the log as it was.
//! - V-3 Whoever waits is woken by everything that may end the wait: entries that it may see, a
//!   truncate, a purge, the end of the log.
//! - V-4 Entries are copied by whoever wants them, and never under the lock: nobody who commits
//!   waits for that.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cuts::Cuts;
use super::index::{LogIndex, Place, SegmentIndex};
use super::op::{HardState, Records};
use super::options::Visibility;
use super::recent::{Hot, Recent};
use super::state::{Change, State};
use super::waiters::{WaiterId, Waiters, Waker};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Log, Position};

/// A log that was read again: it changed under its reader, or faster than it reads.
pub(super) struct Again {
    /// What is durable.
    pub(super) read: Read,
    /// What is written behind that, up to `end`.
    pub(super) updates: Vec<Update>,
    pub(super) end: Position,
    /// What was shown before stands up to here, if something was truncated meanwhile.
    pub(super) cut: Option<u64>,
    /// Whether nothing became durable meanwhile: what waited for the sync still does.
    pub(super) is_pending: bool,
}

/// Something that was staged for the medium.
#[derive(Debug)]
pub(super) enum Update {
    /// Entries in one frame at `offset` of the active segment, a batch of them at a time.
    Entries { first: u64, offset: u32, batches: Vec<Arc<Records>> },
    /// Nothing stays after an LSN.
    Truncate { after: u64 },
    /// Nothing stays before an LSN.
    Purge { before: u64 },
    /// The hard state.
    HardState(HardState),
    /// What follows is in another segment.
    Roll { number: u32, size_bytes: u32 },
}

/// What lies under the mutex.
pub(super) struct Inside {
    /// The durable hard state and first LSN, and the next LSN of what is *written*.
    state: State,
    /// The LSN after the last durable entry.
    durable_next: u64,
    index: LogIndex,
    /// Where the segments of the index are: a place is read from these files and no others.
    log: Log,
    /// The end of what is written: nobody reads beyond it.
    end: Position,
    recent: Recent,
    cuts: Cuts,
    /// What is written, and waits for the sync (V-2).
    updates: VecDeque<Update>,
    waiters: Waiters,
    /// Why nothing more will come.
    ended: Option<Error>,
    /// What is wrong with the bytes that follow: the log goes on, and nobody can read it.
    broken: Option<Error>,
}

/// What readers see of a log.
pub(super) struct View {
    inside: Mutex<Inside>,
    waker: Waker,
}

/// A log as it is read from its files.
pub(super) struct Read {
    /// All of it is durable.
    pub(super) state: State,
    pub(super) index: LogIndex,
    pub(super) log: Log,
    /// Where it ends.
    pub(super) end: Position,
}

/// The ends of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) first: u64,
    pub(super) written_next: u64,
    pub(super) durable_next: u64,
}

impl Ends {
    /// The LSN after the last one that is seen.
    pub(super) const fn next(self, visibility: Visibility) -> u64 {
        match visibility {
            Visibility::Durable => self.durable_next,
            Visibility::Written => self.written_next,
        }
    }
}

impl View {
    /// A log as it was found.
    pub(super) fn new(read: Read) -> Self {
        let inside = Inside {
            durable_next: read.state.next,
            state: read.state,
            index: read.index,
            log: read.log,
            end: read.end,
            recent: Recent::default(),
            cuts: Cuts::default(),
            updates: VecDeque::new(),
            waiters: Waiters::default(),
            ended: None,
            broken: None,
        };
        Self { inside: Mutex::new(inside), waker: Waker::default() }
    }

    /// Those who wait go on in a thread of their own from now on.
    pub(super) fn start_waker(&self) {
        self.waker.start();
    }

    /// No code panics while it holds the lock; if it did, readers could still use what is there.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ends(&self) -> Ends {
        self.lock().ends()
    }

    pub(super) fn hard_state(&self) -> HardState {
        self.lock().state.hard_state.clone()
    }

    pub(super) fn segment_count(&self) -> usize {
        self.lock().index.len()
    }

    /// These are written, in this order, and the log ends there.
    pub(super) fn written(&self, updates: impl IntoIterator<Item = Update>, end: Position) {
        let mut inside = self.lock();
        inside.write(updates, end);
        let ends = inside.ends();
        let woken = inside.waiters.take_below(|visibility| ends.next(visibility));
        drop(inside);
        self.waker.wake(woken);
    }

    /// Everything written so far is durable. The number of the first segment that is still of
    /// use, if a purge was among it.
    pub(super) fn durable(&self) -> Option<u32> {
        let mut inside = self.lock();
        let updates = mem::take(&mut inside.updates);
        let has = |wanted: fn(&Update) -> bool| updates.iter().any(wanted);
        let purged = has(|update| matches!(update, Update::Purge { .. }));
        let truncated = has(|update| matches!(update, Update::Truncate { .. }));
        for update in updates {
            inside.apply(update);
        }
        inside.durable_next = inside.state.next;
        let first = inside.state.first;
        let stays = purged.then(|| inside.index.drop_before(first)).flatten();
        let ends = inside.ends();
        let woken = if purged || truncated {
            inside.waiters.take_all()
        } else {
            inside.waiters.take_below(|visibility| ends.next(visibility))
        };
        drop(inside);
        self.waker.wake(woken);
        stays
    }

    /// The log was read again from its files.
    pub(super) fn replace(&self, again: Again) {
        let Again { read, updates, end, cut, is_pending } = again;
        let mut inside = self.lock();
        let shown = inside.state.next;
        let pending = inside.updates.iter().filter_map(|update| match update {
            Update::Truncate { after } if !is_pending => after.checked_add(1),
            _ => None,
        });
        let cut = pending.chain(cut).min();
        inside.durable_next = read.state.next;
        inside.state = read.state;
        inside.index = read.index;
        inside.log = read.log;
        inside.recent.clear();
        inside.updates.clear();
        inside.write(updates, end);
        // Only then: what is written is shown to some, and was before.
        let shorter = (inside.state.next < shown).then_some(inside.state.next);
        if let Some(cut) = cut.into_iter().chain(shorter).min() {
            inside.cuts.push(cut);
        }
        // Another writer may have taken over from one that gave up.
        inside.ended = None;
        let woken = inside.waiters.take_all();
        drop(inside);
        self.waker.wake(woken);
    }

    /// Closes the files that were kept open for cold reads: the log has ended.
    pub(super) fn release(&self) {
        let log = self.lock().log.clone();
        log.release();
    }

    /// Nothing more will come: closed or poisoned. Everybody who waits hears of it.
    pub(super) fn end(&self, reason: Error) {
        let mut inside = self.lock();
        if reason.kind() == ErrorKind::Closed {
            // Whoever still has a handle can read nothing any more.
            inside.recent.clear();
        }
        inside.ended.get_or_insert(reason);
        let woken = inside.waiters.take_all();
        drop(inside);
        self.waker.wake(woken);
    }

    /// What had failed works again: whoever comes now may wait.
    pub(super) fn go_on(&self) {
        let mut inside = self.lock();
        // A writer that gave up has not come back by that.
        inside.ended.take_if(|error| error.kind() != ErrorKind::Poisoned);
    }

    /// Nothing more can be read, though there is more: whoever comes to this end hears of it.
    pub(super) fn break_off(&self, reason: Error) {
        let mut inside = self.lock();
        inside.broken.get_or_insert_with(|| reason.clone());
        drop(inside);
        self.end(reason);
    }

    /// Whether the end that is seen is the log's.
    ///
    /// # Errors
    /// The damage that is in the way.
    pub(super) fn check_end(&self) -> Result<()> {
        self.lock().broken.clone().map_or(Ok(()), Err)
    }

    /// As [`View::end`], for good: nobody commits any more, or will.
    pub(super) fn end_for_good(&self, reason: Error) {
        self.end(reason);
        self.waker.end();
    }

    /// Nobody waits under this name any more.
    pub(super) fn forget(&self, waiter: WaiterId) {
        let forgotten = self.lock().waiters.remove(waiter);
        // Whatever it holds is dropped without the lock.
        drop(forgotten);
    }

    /// Whoever waits shall look again.
    pub(super) fn wake_all(&self) {
        let woken = self.lock().waiters.take_all();
        self.waker.wake(woken);
    }

    /// The number of the last truncate, for [`Look::epoch`].
    pub(super) fn epoch(&self) -> u64 {
        self.lock().cuts.epoch()
    }

    /// Looks for entries from an LSN on.
    ///
    /// # Errors
    /// `TIDEMARK_EXPIRED` for what was purged, `TIDEMARK_CONFLICT` for what was truncated since,
    /// at the end the damage that made it one.
    pub(super) fn look(&self, look: &Look) -> Result<Seen> {
        self.lock().look(look)
    }

    /// As [`View::look`], but whoever finds nothing is woken when it is time to look again (V-3).
    ///
    /// # Errors
    /// As for [`View::look`], and whatever ended the log.
    pub(super) fn look_or_wait(
        &self,
        look: &Look,
        wake: impl FnOnce() + Send + 'static,
    ) -> Result<(Seen, Option<WaiterId>)> {
        let mut inside = self.lock();
        let seen = inside.look(look)?;
        if !matches!(seen.found, Found::Nothing) {
            return Ok((seen, None));
        }
        inside.ended.clone().map_or(Ok(()), Err)?;
        let id = inside.waiters.add(look.from, look.visibility, Box::new(wake));
        Ok((seen, Some(id)))
    }
}

/// What a reader looks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) from: u64,
    /// The last LSN of interest.
    pub(super) to: u64,
    pub(super) bytes_max: usize,
    pub(super) visibility: Visibility,
    /// For who reads on: the truncates up to this number are known to it.
    pub(super) epoch: Option<u64>,
}

/// What there is for it, and the number of the last truncate at that time.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) found: Found,
    pub(super) epoch: u64,
}

/// What there is for who looks.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// Entries, in memory.
    Hot(Hot),
    /// A place in a segment, up to an LSN at most, and the log that has it.
    Place(Place, Log),
}

impl Inside {
    fn ends(&self) -> Ends {
        Ends {
            first: self.state.first,
            written_next: self.state.next,
            durable_next: self.durable_next,
        }
    }

    fn look(&self, look: &Look) -> Result<Seen> {
        let seen = |found| Ok(Seen { found, epoch: self.cuts.epoch() });
        let ends = self.ends();
        let next = ends.next(look.visibility);
        if let Some(epoch) = look.epoch
            && self.cuts.lowest_since(epoch).is_some_and(|cut| cut < look.from)
        {
            let message = format!(
                "the log was truncated below LSN {}: what was read from there on is gone; begin \
                 again at an LSN that you know to stand",
                look.from
            );
            return Err(Error::new(ErrorKind::Conflict, message).with_sequence(look.from));
        }
        if look.from < ends.first {
            return Err(expired(look.from, ends.first));
        }
        if look.from >= next {
            return self.broken.clone().map_or_else(|| seen(Found::Nothing), Err);
        }
        let until = next.min(look.to.saturating_add(1));
        if let Some(hot) = self.recent.find(look.from, until, look.bytes_max) {
            return seen(Found::Hot(hot));
        }
        let place = self.index.find(look.from).ok_or_else(|| {
            let message = format!("LSN {} is nowhere; please report this bug", look.from);
            Error::new(ErrorKind::Internal, message).with_sequence(look.from)
        })?;
        let end = (place.segment == self.end.segment()).then(|| self.end.offset());
        let limit = end.unwrap_or(u32::MAX);
        let place = Place { until: place.until.min(until), limit, ..place };
        seen(Found::Place(place, self.log.clone()))
    }

    fn write(&mut self, updates: impl IntoIterator<Item = Update>, end: Position) {
        self.end = end;
        let takes_back =
            |update: &Update| matches!(update, Update::Truncate { .. } | Update::Purge { .. });
        let mut is_behind = self.updates.iter().any(takes_back);
        for update in updates {
            is_behind |= takes_back(&update);
            // Nothing else depends on the place of a hard state.
            if is_behind || matches!(update, Update::HardState(_)) {
                self.updates.push_back(update);
            } else {
                self.apply(update);
            }
        }
    }

    fn apply(&mut self, update: Update) {
        match update {
            Update::Entries { first, offset, batches } => {
                let mut next = first;
                for batch in batches {
                    let count = batch.len() as u64;
                    self.recent.push(next, batch);
                    next += count;
                }
                let change = Change::Entries { first, count: next - first, skip: 0 };
                self.change(change, offset);
            }
            Update::Truncate { after } => {
                self.change(Change::Truncate { after }, 0);
                self.recent.cut_from(self.state.next);
                self.cuts.push(self.state.next);
            }
            Update::Purge { before } => {
                self.change(Change::Purge { before }, 0);
                self.recent.drop_before(self.state.first);
            }
            Update::HardState(hard_state) => self.state.hard_state = hard_state,
            Update::Roll { number, size_bytes } => {
                self.index.push(SegmentIndex::new(number, size_bytes));
            }
        }
    }

    fn change(&mut self, change: Change, offset: u32) {
        // The engine has applied the same change to its own state, and refused what does not fit.
        let _applied = self.state.advance(change);
        self.index.apply(change, offset, self.state.next);
    }
}

pub(super) fn expired(lsn: u64, first: u64) -> Error {
    let message = format!("LSN {lsn} was purged; the first one that is left is {first}");
    Error::new(ErrorKind::Expired, message).with_sequence(first)
}

impl Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("ends", &self.ends()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
