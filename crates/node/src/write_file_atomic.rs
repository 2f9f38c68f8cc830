//! Replacing a file's content in one step.

use std::path::PathBuf;

use napi::{Env, Result};
use napi_derive::napi;
use tidemark_core::atomic_write::{AtomicWriteOptions, write_file_atomic as write};

use crate::hub::Hub;
use crate::payload::Payload;
use crate::process::PROCESS;

/// Replaces the content of a file, on the environment's I/O thread.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn write_file_atomic(
    env: &Env,
    hub: &Hub,
    ticket: u32,
    path: String,
    data: &[u8],
    mode: Option<u32>,
    durable: bool,
) -> Result<()> {
    let content = data.to_vec();
    hub.inner.run_io(env, ticket, move || {
        let options = AtomicWriteOptions { mode, durable };
        write(&PROCESS.storage, &PathBuf::from(path), &content, options).map(|()| Payload::Done)
    })
}
