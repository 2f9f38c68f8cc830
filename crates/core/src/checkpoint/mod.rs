//! Checkpoints: how far a consumer has come, kept so that it never goes back.
//!
//! A *checkpoint* is a sequence and, for people, the id of the event that carried it. A *resume
//! key* names whose it is. The rules by which a store changes are in [`merge`]; where it keeps
//! what it knows, in a view; [`Store`] is the handle that all stores share, and
//! `json_file` and `memory` bring the engines.

mod json_file;
mod key;
mod memory;
pub mod merge;
mod store;
mod view;

use std::sync::Arc;

pub use self::json_file::{
    Bug, JsonFileEngine, JsonFileOptions, JsonFileParts, JsonFileReader, JsonFileRegistry,
    JsonFileStore, Recover,
};
pub use self::key::{Digest, KEY_FORMAT_VERSION, ResumeKey};
pub use self::memory::MemoryStore;
pub use self::merge::{Condition, DeleteOutcome, Op, Outcome, PutOutcome};
pub use self::store::{Durability, RecoveryReport, Store};
pub use self::view::View;

/// The largest event id that a put takes, in bytes of UTF-8. A longer one found in a file stays.
pub const EVENT_ID_BYTES_MAX: usize = 64 << 10;

/// How far a consumer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The sequence of the last event that was dealt with.
    pub last_committed_sequence: u64,
    /// The id of that event; diagnostic, never used to resume.
    pub last_event_id: Option<Arc<str>>,
}

impl Checkpoint {
    /// A checkpoint.
    #[must_use]
    pub fn new(last_committed_sequence: u64, last_event_id: Option<&str>) -> Self {
        Self { last_committed_sequence, last_event_id: last_event_id.map(Arc::from) }
    }
}
