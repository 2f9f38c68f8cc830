//! Opening the store in memory.

use std::sync::Arc;
use std::time::Duration;

use napi::{Env, Result};
use napi_derive::napi;
use tidemark_core::checkpoint::MemoryStore;

use crate::checkpoint_store::OpenedStore;
use crate::hub::Hub;
use crate::payload::Payload;
use crate::process::PROCESS;

/// Opens an empty store in memory; the ticket is the store's id from then on.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn memory_store_open(env: &Env, hub: &Hub, ticket: u32) -> Result<()> {
    let channel = Arc::clone(&hub.inner.channel);
    hub.inner.run_io(env, ticket, move || {
        let store = MemoryStore::open(&PROCESS.storage)?;
        Ok(Payload::Store(OpenedStore::new(store, ticket, &channel, Duration::ZERO, false)))
    })
}
