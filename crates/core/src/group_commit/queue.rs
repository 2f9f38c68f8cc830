//! The queue of one commit path: byte credits, withdrawal, deadlines, users.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_storage::Storage;

use super::outbox::{Pending, Receipt, Sink, Ticket};
use super::{Enqueued, Limits, Request};
use crate::error::{Error, Result};
use crate::metrics::{Counter, Latency};
use crate::poison::Poison;

/// What a commit path counts.
#[derive(Debug, Default)]
pub struct CommitMetrics {
    /// Groups committed.
    pub groups: Counter,
    /// Operations settled, whatever their result.
    pub operations: Counter,
    /// Operations taken back by their callers.
    pub withdrawn: Counter,
    /// Operations whose lock was not granted in time.
    pub lock_timeouts: Counter,
    /// Time from the group's start to its results.
    pub commit_us: Latency,
    /// Time spent waiting for a lock that somebody else held.
    pub lock_wait_us: Latency,
}

/// What makes the error of a lock that was not granted in time.
pub(super) type TimeoutError = Arc<dyn Fn() -> Error + Send + Sync>;

/// A wait for a lock.
#[derive(Clone)]
pub(super) struct Waiting {
    /// Makes the error of a ticket whose deadline passes.
    pub(super) timeout: TimeoutError,
    /// When it began.
    pub(super) since: Duration,
}

/// What the watchdog is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watchdog {
    /// Nobody ever had to wait.
    NotStarted,
    /// Waits to be told.
    Idle,
    /// Sleeps until the earliest deadline that it knows.
    Timed(Duration),
}

impl Watchdog {
    /// Whether it would miss this deadline unless it is woken.
    pub(super) fn misses(self, deadline: Option<Duration>) -> bool {
        match (self, deadline) {
            (Self::NotStarted, _) | (_, None) => false,
            (Self::Idle, Some(_)) => true,
            (Self::Timed(until), Some(deadline)) => deadline < until,
        }
    }
}

/// Everything under the queue's mutex.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, true or not")]
pub(super) struct Queue<Op, T> {
    pub(super) pending: VecDeque<Pending<Op, T>>,
    /// Whether somebody wants what is pending to begin. Until then its caller has more to hand
    /// over, and whatever the commit thread took of it now would cost a commit of its own.
    woken: bool,
    /// Whether the commit thread shall ask its engine again when it is due.
    look_again: bool,
    /// Whether the commit thread waits for work: to tell it costs a call of the system.
    is_idle: bool,
    /// How many wait until everything is settled.
    draining: usize,
    /// Bytes queued or in commit (GC-4).
    in_flight_bytes: usize,
    /// Operations accepted and not settled.
    unsettled: usize,
    /// Sinks that were refused for lack of room.
    starved: Vec<Arc<dyn Sink<T>>>,
    pub(super) users: usize,
    /// Whether nothing is taken any more: closed, or a commit panicked.
    pub(super) exited: bool,
    /// Whether it was a panic: the engine does nothing more, not even finish.
    has_panicked: bool,
    /// Whether engine and owner are gone, with all that they had open.
    gone: bool,
    pub(super) on_exit: Vec<Box<dyn FnOnce() + Send>>,
    /// Set while the commit thread waits for a lock (GC-6).
    pub(super) waiting: Option<Waiting>,
    pub(super) watchdog: Watchdog,
}

/// What handles, commit thread and watchdog share.
pub(super) struct Shared<Op, T> {
    queue: Mutex<Queue<Op, T>>,
    /// Work, a close: for the commit thread.
    work: Condvar,
    /// Everything settled: for who drains.
    idle: Condvar,
    /// A wait began, or found its first operation: for the watchdog.
    pub(super) watch: Condvar,
    limits: Limits,
    pub(super) poison: Poison,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) metrics: CommitMetrics,
}

/// Why the commit thread was woken.
pub(super) enum Next<C> {
    /// Something with this claim is first in the queue.
    Work(C),
    /// Something was committed elsewhere: the engine may want to be called at another time.
    Again,
    /// The engine asked to be called now.
    Due,
    /// Closed, and nothing is queued: the thread ends.
    Closed,
    /// The engine panicked on another thread: it does nothing more.
    Ended,
}

impl<Op, T> Queue<Op, T> {
    /// The deadline that passes first.
    pub(super) fn earliest_deadline(&self) -> Option<Duration> {
        self.pending.iter().filter_map(|pending| pending.deadline).min()
    }

    /// Has the commit thread begin with what is pending, once it looks.
    fn begin(&mut self) {
        self.woken = !self.pending.is_empty();
    }
}

impl<Op, T> Shared<Op, T> {
    pub(super) fn new(limits: Limits, poison: Poison, storage: Arc<dyn Storage>) -> Self {
        let queue = Queue {
            pending: VecDeque::new(),
            woken: false,
            look_again: false,
            is_idle: false,
            draining: 0,
            in_flight_bytes: 0,
            unsettled: 0,
            starved: Vec::new(),
            users: 1,
            exited: false,
            has_panicked: false,
            gone: false,
            on_exit: Vec::new(),
            waiting: None,
            watchdog: Watchdog::NotStarted,
        };
        Self {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            idle: Condvar::new(),
            watch: Condvar::new(),
            limits,
            poison,
            storage,
            metrics: CommitMetrics::default(),
        }
    }

    /// The queue. No code panics while it holds the lock; if it did, the state would still be one
    /// that every reader can use.
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<Op, T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enqueue(&self, request: Request<'_, Op, T>) -> Result<Enqueued> {
        self.poison.check()?;
        let Request { op, size_bytes, deadline, ticket, sink, wake } = request;
        let mut queue = self.lock();
        if queue.users == 0 || queue.exited {
            return Err(Error::closed());
        }
        let after = queue.in_flight_bytes.saturating_add(size_bytes);
        if after > self.limits.in_flight_bytes_max && queue.in_flight_bytes > 0 {
            if !queue.starved.iter().any(|known| Arc::ptr_eq(known, sink)) {
                queue.starved.push(Arc::clone(sink));
            }
            // Room comes from the commit thread, and nobody may have woken it yet.
            queue.begin();
            self.tell_thread(queue);
            return Ok(Enqueued::Full);
        }
        queue.in_flight_bytes = after;
        queue.unsettled += 1;
        let receipt = Receipt::new(ticket, Arc::clone(sink));
        queue.pending.push_back(Pending { op, receipt, size_bytes, deadline });
        if queue.waiting.is_some() && queue.watchdog.misses(deadline) {
            self.watch.notify_one();
        }
        if wake {
            queue.begin();
            self.tell_thread(queue);
        }
        Ok(Enqueued::Accepted)
    }

    pub(super) fn wake(&self) {
        let mut queue = self.lock();
        queue.begin();
        self.tell_thread(queue);
    }

    /// Whether an operation may be committed by its caller, who has the engine; counts it then.
    pub(super) fn begin_direct(&self, size_bytes: usize) -> bool {
        let mut queue = self.lock();
        let is_next = queue.pending.is_empty() && queue.users > 0 && !queue.exited;
        let after = queue.in_flight_bytes.saturating_add(size_bytes);
        let has_room = after <= self.limits.in_flight_bytes_max || queue.in_flight_bytes == 0;
        if is_next && has_room && !self.poison.is_set() {
            queue.in_flight_bytes = after;
            queue.unsettled += 1;
            return true;
        }
        false
    }

    /// Accounts for an operation that its caller has committed. The engine may be due at another
    /// time than it said before.
    pub(super) fn end_direct(&self, size_bytes: usize, is_due: bool) {
        self.metrics.operations.add(1);
        let mut queue = self.lock();
        self.freed(&mut queue, size_bytes, 1);
        if is_due {
            queue.look_again = true;
            self.tell_thread(queue);
        }
    }

    /// Has the commit thread look at the queue, if it does not anyway before it waits. It takes the
    /// lock first, and may begin on this processor in the very moment in which it is told.
    fn tell_thread(&self, queue: MutexGuard<'_, Queue<Op, T>>) {
        let is_idle = queue.is_idle;
        drop(queue);
        if is_idle {
            self.work.notify_one();
        }
    }

    pub(super) fn withdraw(&self, ticket: Ticket, sink: &Arc<dyn Sink<T>>) -> bool {
        let mut queue = self.lock();
        let found = queue.pending.iter().position(|pending| pending.receipt.is(ticket, sink));
        let Some(pending) = found.and_then(|index| queue.pending.remove(index)) else {
            return false;
        };
        self.metrics.withdrawn.add(1);
        self.freed(&mut queue, pending.size_bytes, 1);
        drop(queue);
        pending.receipt.forget();
        true
    }

    /// Accounts for operations that are no longer in flight, and tells who waits for that.
    fn freed(&self, queue: &mut MutexGuard<'_, Queue<Op, T>>, bytes: usize, settled: usize) {
        queue.in_flight_bytes = queue.in_flight_bytes.saturating_sub(bytes);
        queue.unsettled = queue.unsettled.saturating_sub(settled);
        if queue.unsettled == 0 && queue.draining > 0 {
            self.idle.notify_all();
        }
        if bytes > 0 {
            for sink in mem::take(&mut queue.starved) {
                sink.credit();
            }
        }
    }

    /// Bytes of a group that left memory: their credits are free. Whether that group was the last
    /// of what there was.
    pub(super) fn committed(&self, bytes: usize) -> bool {
        let mut queue = self.lock();
        self.freed(&mut queue, bytes, 0);
        bytes > 0 && queue.pending.is_empty()
    }

    /// Results that were delivered.
    pub(super) fn settled(&self, count: usize) {
        self.freed(&mut self.lock(), 0, count);
    }

    /// Waits for work.
    pub(super) fn next<C>(&self, claim: impl Fn(&Op) -> C, due: Option<Duration>) -> Next<C> {
        let mut queue = self.lock();
        loop {
            if queue.exited {
                return Next::Ended;
            }
            if mem::take(&mut queue.look_again) {
                return Next::Again;
            }
            match queue.pending.front() {
                Some(first) if queue.woken || queue.users == 0 => {
                    return Next::Work(claim(&first.op));
                }
                None if queue.users == 0 => {
                    // From here on nobody can attach: what the engine finishes stays finished.
                    queue.exited = true;
                    return Next::Closed;
                }
                _ => {}
            }
            queue.is_idle = true;
            queue = match due {
                None => self.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(due) => match due.checked_sub(self.storage.monotonic()) {
                    None | Some(Duration::ZERO) => {
                        queue.is_idle = false;
                        return Next::Due;
                    }
                    Some(rest) => {
                        let woken = self.work.wait_timeout(queue, rest);
                        woken.unwrap_or_else(PoisonError::into_inner).0
                    }
                },
            };
            queue.is_idle = false;
        }
    }

    /// Takes the longest first part of the queue that is one group, and its bytes.
    pub(super) fn take<C: Copy + PartialEq>(
        &self,
        claim: impl Fn(&Op) -> C,
        held: C,
    ) -> (Vec<Pending<Op, T>>, usize) {
        let mut queue = self.lock();
        let (mut group, mut bytes) = (Vec::new(), 0_usize);
        while let Some(first) = queue.pending.front() {
            let after = bytes.saturating_add(first.size_bytes);
            let fits = group.is_empty() || after <= self.limits.group_bytes_max;
            if claim(&first.op) != held || group.len() >= self.limits.group_ops_max || !fits {
                break;
            }
            bytes = after;
            group.extend(queue.pending.pop_front());
        }
        queue.woken = !queue.pending.is_empty();
        (group, bytes)
    }

    /// Puts back what a commit has not begun with, before all that came later (GC-10).
    pub(super) fn put_back(&self, rest: Vec<Pending<Op, T>>) {
        let mut queue = self.lock();
        for pending in rest.into_iter().rev() {
            queue.pending.push_front(pending);
            queue.woken = true;
        }
    }

    /// Removes and rejects what is queued, as far as `which` says.
    pub(super) fn reject(
        &self,
        which: impl Fn(&Pending<Op, T>) -> bool,
        error: impl FnOnce() -> Error,
    ) -> usize {
        let mut queue = self.lock();
        let (out, keep): (VecDeque<_>, VecDeque<_>) =
            mem::take(&mut queue.pending).into_iter().partition(which);
        queue.pending = keep;
        drop(queue);
        if out.is_empty() {
            return 0;
        }
        let bytes = out.iter().map(|pending| pending.size_bytes).sum();
        let count = out.len();
        let error = error();
        let mut outbox = super::Outbox::new(|_, _| ());
        for pending in out {
            outbox.settle(pending.receipt, Err(error.clone()));
        }
        self.metrics.operations.add(count as u64);
        outbox.send();
        self.freed(&mut self.lock(), bytes, count);
        count
    }

    pub(super) fn drain(&self, timeout: Duration) -> bool {
        let deadline = self.storage.monotonic().saturating_add(timeout);
        self.wake();
        let mut queue = self.lock();
        while queue.unsettled > 0 {
            let rest = deadline.saturating_sub(self.storage.monotonic());
            if rest.is_zero() {
                return false;
            }
            queue.draining += 1;
            queue = self.idle.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
            queue.draining -= 1;
        }
        true
    }

    pub(super) fn attach(&self) -> Option<usize> {
        let mut queue = self.lock();
        if queue.exited || self.poison.is_set() {
            return None;
        }
        queue.users += 1;
        let users = queue.users;
        let told = mem::take(&mut queue.on_exit);
        drop(queue);
        told.into_iter().for_each(call);
        Some(users)
    }

    pub(super) fn detach(&self, done: Box<dyn FnOnce() + Send>) {
        let mut queue = self.lock();
        queue.users = queue.users.saturating_sub(1);
        queue.begin();
        let stays = queue.users > 0 || queue.waiting.is_some() || queue.gone;
        let mut told = Some(done);
        if !stays {
            queue.on_exit.extend(told.take());
        }
        self.tell_thread(queue);
        told.into_iter().for_each(call);
    }

    /// After a panic: nothing is taken from the queue again, and the commit thread ends, whichever
    /// thread it was that panicked.
    pub(super) fn end(&self) {
        let mut queue = self.lock();
        queue.exited = true;
        queue.has_panicked = true;
        // A wait that panicked is over.
        queue.waiting = None;
        for sink in mem::take(&mut queue.starved) {
            sink.credit();
        }
        self.tell_thread(queue);
    }

    pub(super) fn has_panicked(&self) -> bool {
        self.lock().has_panicked
    }

    /// Whether the commit thread waits for work.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_idle
    }

    /// Nobody waits any longer for what had left the queue before a panic.
    pub(super) fn forget_taken(&self) {
        let mut queue = self.lock();
        queue.unsettled = queue.pending.len();
        queue.in_flight_bytes = queue.pending.iter().map(|pending| pending.size_bytes).sum();
        self.idle.notify_all();
    }

    /// Tells who closed the store that the engine is gone.
    pub(super) fn exited(&self) {
        let mut queue = self.lock();
        queue.gone = true;
        let told = mem::take(&mut queue.on_exit);
        drop(queue);
        self.watch.notify_one();
        told.into_iter().for_each(call);
    }

    /// Whether anybody has it open.
    pub(super) fn is_used(&self) -> bool {
        self.lock().users > 0
    }

    pub(super) fn depth(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.unsettled, queue.in_flight_bytes)
    }
}

fn call(done: Box<dyn FnOnce() + Send>) {
    done();
}
