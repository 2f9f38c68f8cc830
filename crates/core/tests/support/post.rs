//! Sinks and observers whose results can be awaited.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use tidemark_core::Error;
use tidemark_core::checkpoint::{Checkpoint, Op, Outcome, ResumeKey, Store};
use tidemark_core::event::{Event, Observer};
use tidemark_core::group_commit::{Enqueued, Settled, Sink, Ticket};

use super::HANG;

struct Post<T>(Sender<Settled<T>>);

impl<T: Send> Sink<T> for Post<T> {
    fn deliver(&self, settled: Vec<Settled<T>>) {
        for one in settled {
            let _nobody_listens = self.0.send(one);
        }
    }
}

/// A sink and the results that reached it.
pub(crate) struct Mailbox<T> {
    pub(crate) sink: Arc<dyn Sink<T>>,
    results: Receiver<Settled<T>>,
}

impl<T: Send + 'static> Mailbox<T> {
    pub(crate) fn new() -> Self {
        let (post, results) = channel();
        Self { sink: Arc::new(Post(post)), results }
    }

    /// The next result.
    pub(crate) fn next(&self) -> (Ticket, Result<T, Error>) {
        let settled = self.results.recv_timeout(HANG).expect("a result comes");
        (settled.ticket, settled.result)
    }

    /// Whether no result has come that was not taken yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.results.try_recv().is_err()
    }

    /// Every result that is left, once nobody can send any more.
    pub(crate) fn into_rest(self) -> Vec<(Ticket, Result<T, Error>)> {
        let Self { sink, results } = self;
        drop(sink);
        let mut all = Vec::new();
        loop {
            match results.recv_timeout(HANG) {
                Ok(settled) => all.push((settled.ticket, settled.result)),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => panic!("somebody keeps the sink"),
            }
        }
    }
}

impl Mailbox<Outcome> {
    /// Hands a put over without waiting for it.
    pub(crate) fn put(&self, store: &Store, ticket: Ticket, key: &ResumeKey, to: Checkpoint) {
        let op = Op::Put(vec![(key.clone(), to)]);
        let enqueued = store.enqueue(op, ticket, &self.sink).expect("the store is open");
        assert_eq!(enqueued, Enqueued::Accepted);
        store.wake();
    }
}

struct Ears(Sender<Event>);

impl Observer for Ears {
    fn notify(&self, event: &Event) {
        let _nobody_listens = self.0.send(event.clone());
    }
}

/// What a store tells without being asked.
pub(crate) struct Watcher {
    _subscribed_while_kept: Arc<dyn Observer>,
    events: Receiver<Event>,
}

impl Watcher {
    pub(crate) fn of(store: &Store) -> Self {
        let (tell, events) = channel();
        let ears: Arc<dyn Observer> = Arc::new(Ears(tell));
        store.subscribe(&ears);
        Self { _subscribed_while_kept: ears, events }
    }

    /// The next event.
    pub(crate) fn next(&self) -> Event {
        self.events.recv_timeout(HANG).expect("an event comes")
    }

    /// The next event, which tells that a checkpoint went back: whose, from and to what.
    pub(crate) fn regressed(&self) -> (ResumeKey, Checkpoint, Option<Checkpoint>) {
        match self.next() {
            Event::Regressed { key, from, to } => (key, from, to),
            other => panic!("another event came: {other:?}"),
        }
    }

    /// Whether nothing has been told that was not taken yet. Events of a commit come before its
    /// results, so that this decides once a result is there.
    pub(crate) fn is_silent(&self) -> bool {
        self.events.try_recv().is_err()
    }
}
