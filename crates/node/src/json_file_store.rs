//! Opening the JSON store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use napi::{Env, Result};
use napi_derive::napi;
use tidemark_core::checkpoint::{JsonFileOptions, JsonFileStore, Recover};

use crate::checkpoint_store::OpenedStore;
use crate::hub::Hub;
use crate::payload::Payload;
use crate::process::PROCESS;

/// The options of the JSON store; the facade has checked and completed them.
#[napi(object)]
pub struct JsonFileStoreOptions {
    /// How long an operation waits for the lock, in milliseconds.
    pub lock_timeout_ms: u32,
    /// Permission bits of files that are made.
    pub mode: u32,
    /// Whether a file that cannot be decoded is moved into quarantine.
    pub quarantine: bool,
    /// Whether to open on a file system whose locks and syncs may not reach the disk.
    pub allow_network_fs: bool,
    /// How long the end of the process waits for what was accepted, in milliseconds.
    pub exit_drain_ms: u32,
}

/// Opens a JSON store, on a thread of its own; the ticket is the store's id from then on.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn json_file_store_open(
    env: &Env,
    hub: &Hub,
    ticket: u32,
    path: String,
    options: JsonFileStoreOptions,
) -> Result<()> {
    let exit_drain = Duration::from_millis(u64::from(options.exit_drain_ms));
    let core = JsonFileOptions {
        lock_timeout: Duration::from_millis(u64::from(options.lock_timeout_ms)),
        mode: options.mode,
        recover: if options.quarantine { Recover::Quarantine } else { Recover::Refuse },
        allow_network_fs: options.allow_network_fs,
    };
    let channel = Arc::clone(&hub.inner.channel);
    hub.inner.run_once(env, ticket, move || {
        let path = PathBuf::from(path);
        let (store, damage) =
            JsonFileStore::attach(&PROCESS.json_files, &PROCESS.storage, &path, core)?;
        let damaged = damage.is_some();
        Ok(Payload::Store(OpenedStore::new(store, ticket, &channel, exit_drain, damaged)))
    })
}
