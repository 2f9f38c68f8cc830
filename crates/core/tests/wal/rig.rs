//! Logs on the real disk: processes, as far as a log can tell, and what a killed one leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use tidemark_core::event::{Event, Observer};
use tidemark_core::metrics::Metric;
use tidemark_core::wal::{
    Entries, Follower, Visibility, Wal, WalOp, WalOptions, WalOutcome, WalRegistry,
};
use tidemark_core::{ErrorKind, Result, Storage};

use super::support::{HANG, Scratch, real};
use super::wal_support::{Model, small};

/// A process, as far as a log can tell: its own registry, hence its own descriptors and locks.
pub(crate) struct Machine {
    registry: WalRegistry,
    storage: Arc<dyn Storage>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::on(real())
    }

    pub(crate) fn on(storage: Arc<dyn Storage>) -> Self {
        Self { registry: WalRegistry::default(), storage }
    }

    pub(crate) fn try_open(&self, path: &Path, options: WalOptions) -> Result<Wal> {
        Wal::open(&self.registry, &self.storage, path, options)
    }

    /// Opens with small segments.
    pub(crate) fn open(&self, path: &Path) -> Wal {
        self.try_open(path, small()).expect("the log opens")
    }

    pub(crate) fn reader(&self, path: &Path) -> Wal {
        let options = WalOptions { read_only: true, ..small() };
        self.try_open(path, options).expect("the log opens to read")
    }
}

/// Appends one record, and tells its LSN.
pub(crate) fn put(wal: &Wal, record: impl Into<Vec<u8>>) -> u64 {
    match wal.call(&WalOp::append(record)).expect("it is appended") {
        WalOutcome::Appended { first, last } => {
            assert_eq!(first, last);
            first
        }
        other => panic!("an append came to {other:?}"),
    }
}

/// The kind of error that an operation comes to.
pub(crate) fn refused(wal: &Wal, op: &WalOp) -> ErrorKind {
    wal.call(op).expect_err("it is refused").kind()
}

/// The records of a range, from wherever they are.
pub(crate) fn range(wal: &Wal, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let (mut next, last) = (from, to.min(wal.last_lsn(Visibility::Durable)?));
    while next <= last {
        let entries = wal.read(next, last, usize::MAX, Visibility::Durable)?;
        assert_eq!(entries.first, next, "a hole");
        assert!(!entries.records.is_empty(), "C12: at least one record or an error");
        next += entries.records.len() as u64;
        found.extend(entries.records.iter().map(<[u8]>::to_vec));
    }
    Ok(found)
}

/// All that a log holds.
pub(crate) fn contents(wal: &Wal) -> Result<Model> {
    let first = wal.first_lsn()?;
    let entries = range(wal, first, u64::MAX)?;
    Ok(Model { first, entries, hard_state: wal.hard_state()? })
}

/// The records as text.
pub(crate) fn texts(wal: &Wal) -> Vec<String> {
    let entries = contents(wal).expect("the log can be read").entries;
    entries.into_iter().map(|entry| String::from_utf8(entry).expect("text")).collect()
}

/// What a process that is killed now would leave, in a directory beside the log.
pub(crate) fn killed_copy(scratch: &Scratch, log: &Path, name: &str) -> PathBuf {
    let copy = scratch.path(name);
    // The next segment may be on its way to its name: without it the log is as well.
    let has_name = |path: &Path| path.extension().is_none_or(|it| it != "tmp" && it != "spare");
    copy_files(log, &copy, has_name);
    copy
}

/// Copies the files of a log that nobody writes to.
pub(crate) fn copy_log(from: &Path, to: &Path) {
    copy_files(from, to, |_| true);
}

fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&Path) -> bool) {
    fs::create_dir(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it can be listed") {
        let entry = entry.expect("an entry");
        let path = entry.path();
        if wanted(&path) && entry.file_type().expect("a type").is_file() {
            fs::copy(&path, to.join(entry.file_name())).expect("it is copied");
        }
    }
}

/// The segments of a log, oldest first.
pub(crate) fn segments(log: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(log).expect("it can be listed");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|it| it == "segment"));
    found.sort();
    found
}

/// A counter, a gauge or the count of a latency.
pub(crate) fn metric(wal: &Wal, name: &str) -> u64 {
    let found = wal.metrics().into_iter().find(|(known, _)| *known == name);
    match found.unwrap_or_else(|| panic!("there is no metric {name}")).1 {
        Metric::Counter(value) | Metric::Gauge(value) => value,
        Metric::Latency(latency) => latency.count,
    }
}

/// What came for a follower.
pub(crate) type Given = Result<Option<Entries>>;

/// Asks a follower for what comes next; the answer arrives when there is one.
pub(crate) fn ask(follower: &Arc<Follower>, wait: bool) -> Receiver<Given> {
    let (tell, answer) = channel();
    follower.next(usize::MAX, wait, move |given| {
        let _nobody_waits = tell.send(given);
    });
    answer
}

/// The answer, once it is there.
pub(crate) fn given(follower: &Arc<Follower>, wait: bool) -> Given {
    ask(follower, wait).recv_timeout(HANG).expect("an answer comes")
}

/// The kind of the error that a follower ends with.
pub(crate) fn ended(follower: &Arc<Follower>) -> ErrorKind {
    given(follower, true).expect_err("it ends").kind()
}

struct Ears(Sender<Event>);

impl Observer for Ears {
    fn notify(&self, event: &Event) {
        let _nobody_listens = self.0.send(event.clone());
    }
}

/// What a log tells without being asked.
pub(crate) struct Watcher {
    pub(crate) ears: Arc<dyn Observer>,
    events: Receiver<Event>,
}

impl Watcher {
    pub(crate) fn new() -> Self {
        let (tell, events) = channel();
        Self { ears: Arc::new(Ears(tell)), events }
    }

    pub(crate) fn of(wal: &Wal) -> Self {
        let watcher = Self::new();
        wal.subscribe(&watcher.ears);
        watcher
    }

    /// The next event.
    pub(crate) fn next(&self) -> Event {
        self.events.recv_timeout(HANG).expect("an event comes")
    }

    /// All events that were told and not taken yet.
    pub(crate) fn told(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }
}
