//! Tidemark's stores and their formats.
//!
//! Durable state for services, with no server to run: what is acknowledged never goes back, not
//! after a kill, not after a power cut, not seen from any other process. This crate knows neither
//! JavaScript nor the operating system: everything it does to a disk goes through the traits of
//! `tidemark-storage`, and everything that comes back goes to a sink.
//!
//! One put, from its caller to the disk: [`checkpoint::Store::enqueue`] hands it to
//! [`group_commit`], whose thread gives it, with others, to an engine (for a JSON file,
//! `checkpoint/json_file/engine.rs`), which reads, judges, writes and syncs through the storage
//! seam; the outcome goes back to the caller's [`group_commit::Sink`].
#![forbid(unsafe_code)]

pub mod atomic_write;
pub mod checkpoint;
pub mod error;
pub mod event;
pub mod file_lock;
pub mod group_commit;
pub mod io_thread;
mod latch;
pub mod metrics;
mod path;
pub mod poison;
pub mod registry;
pub mod segment;
mod temporary;
pub mod wal;

pub use error::{Error, ErrorKind, Result};
pub use tidemark_storage::{LockMode, RealStorage, Storage};
