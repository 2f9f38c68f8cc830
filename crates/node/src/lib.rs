//! The Node-API binding of Tidemark's core. It converts, and decides nothing.
//!
//! ```text
//! JavaScript thread                           threads of the core
//! facade --call--> free function --enqueue--> commit thread, I/O thread
//! facade <--one call per group-- channel <--deliver--
//! ```
//!
//! Rules
//! - N-1 Every call returns at once, but those named `...Sync` and `Hub.drain`.
//! - N-2 What is handed over is copied before the call returns.
//! - N-3 No panic crosses: every export catches, and so does every callback.
//! - N-4 A failure is a plain object; the facade makes the `Error`, at the `await`.
//! - N-5 One channel per environment brings everything back, one call per finished group.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "values made for JavaScript borrow the environment of their call"
)]
#![expect(
    unreachable_pub,
    reason = "what JavaScript reaches is exported by attribute, not by path"
)]
#![expect(clippy::needless_pass_by_value, reason = "arguments are converted into owned values")]

mod channel;
mod checkpoint_store;
mod drain;
mod failure;
mod file_lock;
mod hub;
mod json_file_store;
mod memory_store;
mod metrics;
mod payload;
mod process;
mod resume_key;
mod sink;
mod threadsafe_function;
mod wal;
mod wal_follower;
mod wal_read;
mod write_file_atomic;
