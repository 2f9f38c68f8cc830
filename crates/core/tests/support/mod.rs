//! What the tests share that look at stores from outside: directories of their own, "processes",
//! sinks and observers whose results can be awaited, and storage that fails where a test says.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this")]
#![allow(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

mod hooked;
mod outside;
mod post;

pub(crate) use hooked::{Hooked, Watch};
pub(crate) use outside::{Hold, Scratch, again_in_a_process_of_its_own, inode, waiters};
pub(crate) use post::{Mailbox, Watcher};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemark_core::checkpoint::{
    Checkpoint, JsonFileOptions, JsonFileRegistry, JsonFileStore, PutOutcome, ResumeKey, Store,
};
use tidemark_core::metrics::Metric;
use tidemark_core::{RealStorage, Result, Storage};

/// Long enough that only a hang takes it; nothing is decided by it.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// The machine's own storage.
pub(crate) fn real() -> Arc<dyn Storage> {
    Arc::new(RealStorage)
}

/// A process, as far as a store can tell: its own registry, hence its own descriptors and locks.
pub(crate) struct Process {
    pub(crate) registry: JsonFileRegistry,
    pub(crate) storage: Arc<dyn Storage>,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self::on(real())
    }

    pub(crate) fn on(storage: Arc<dyn Storage>) -> Self {
        Self { registry: JsonFileRegistry::default(), storage }
    }

    pub(crate) fn open(&self, path: &Path) -> Store {
        self.try_open(path, JsonFileOptions::default()).expect("the store opens")
    }

    pub(crate) fn try_open(&self, path: &Path, options: JsonFileOptions) -> Result<Store> {
        JsonFileStore::open(&self.registry, &self.storage, path, options)
    }
}

/// A key by number.
pub(crate) fn key(number: u64) -> ResumeKey {
    ResumeKey::named(&format!("key {number}")).expect("the name is short")
}

/// A checkpoint with an event id that tells its sequence.
pub(crate) fn at(sequence: u64) -> Checkpoint {
    Checkpoint::new(sequence, Some(&format!("e@{sequence}")))
}

/// A checkpoint without an event id.
pub(crate) fn bare(sequence: u64) -> Checkpoint {
    Checkpoint::new(sequence, None)
}

/// What a put that applied comes to.
pub(crate) fn applied(current: Checkpoint) -> PutOutcome {
    PutOutcome { applied: true, current }
}

/// What a put that did not apply comes to.
pub(crate) fn superseded(current: Checkpoint) -> PutOutcome {
    PutOutcome { applied: false, current }
}

/// The content of a state file, by another decoder than the store's.
pub(crate) type Disk = BTreeMap<String, (u64, Option<String>)>;

/// What a state file holds.
pub(crate) fn disk(path: &Path) -> Disk {
    let bytes = std::fs::read(path).expect("the state file can be read");
    let json: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["key_format_version"], 1);
    let checkpoints = json["checkpoints"].as_object().expect("an object");
    let entries = checkpoints.iter().map(|(key, checkpoint)| {
        let sequence = checkpoint["last_committed_sequence"].as_u64().expect("a u64");
        let event_id = checkpoint.get("last_event_id").expect("always written");
        (key.clone(), (sequence, event_id.as_str().map(str::to_owned)))
    });
    entries.collect()
}

/// The content of a state file as it should be.
pub(crate) fn expected<const N: usize>(entries: [(ResumeKey, Checkpoint); N]) -> Disk {
    let entries = entries.into_iter().map(|(key, checkpoint)| {
        let event_id = checkpoint.last_event_id.as_deref().map(str::to_owned);
        (key.hex(), (checkpoint.last_committed_sequence, event_id))
    });
    entries.collect()
}

/// A state file as another program writes it: a new file renamed over the old one, without the
/// lock, in the layout of the original.
pub(crate) fn write_as_another_program<const N: usize>(
    path: &Path,
    entries: [(ResumeKey, Checkpoint); N],
) {
    let entries = expected(entries).into_iter().map(|(key, (sequence, event_id))| {
        let checkpoint = serde_json::json!({
            "last_committed_sequence": sequence,
            "last_event_id": event_id,
        });
        (key, checkpoint)
    });
    let checkpoints: serde_json::Map<_, _> = entries.collect();
    let json = serde_json::json!({
        "version": 1,
        "key_format_version": 1,
        "checkpoints": checkpoints,
    });
    let new = path.with_extension("another-program");
    std::fs::write(&new, serde_json::to_vec_pretty(&json).expect("JSON")).expect("it is written");
    std::fs::rename(&new, path).expect("it is renamed");
}

/// A counter or gauge of a store.
pub(crate) fn metric(store: &Store, name: &str) -> u64 {
    let found = store.metrics().into_iter().find(|(known, _)| *known == name);
    match found.unwrap_or_else(|| panic!("there is no metric {name}")).1 {
        Metric::Counter(value) | Metric::Gauge(value) => value,
        Metric::Latency(latency) => latency.count,
    }
}

/// Waits for what nobody announces, such as the kernel's own tables.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = RealStorage.monotonic();
    while !condition() {
        assert!(RealStorage.monotonic() < began + HANG, "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
