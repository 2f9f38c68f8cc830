//! A simulated disk and machine behind the traits of `tidemark-storage`, for tests.
//!
//! A [`Disk`] keeps what programs see (the cache) apart from what a power cut leaves (the medium),
//! and can enumerate what such a cut may leave. A [`World`] puts processes on a disk and runs
//! their threads one at a time, passing a baton at every storage call, so that it can interleave,
//! stop and fail them as a [`Plan`] says and do the same again from the same seed.
//!
//! Invariants:
//!
//! - V1 Nothing reaches the medium for certain but through a sync: of a file for its content, of
//!   its directory for its name. Neither implies the other (stricter than ext4, on purpose).
//! - V2 Whatever is not synced may survive a power cut or not, independently: per sector of 512
//!   bytes, per change of size, per change of mode and owner, per operation on a directory.
//! - V3 A rename is one operation: it survives as a whole or not at all.
//! - V4 A failed sync forgets what it should have brought to the medium: the cache keeps showing
//!   it, the next sync succeeds, the medium never gets it unless it is done again.
//! - V5 The same disk, seed, plan and bodies give the same calls in the same order.
//!
//! Simplified: a file's size and data reach the medium with `sync_data`, mode and owner with
//! `sync_all` only; times are whatever was cached. `allocate` and `reserve` write zeros behind the
//! end of the file and leave what is there. Syncing a map syncs the whole file; a map loses pages
//! of 4 KiB. A hole takes room like data. A rename between two directories is synced with either.
//!
//! Not modelled: permission checks (`EACCES`, `EPERM`; a [`Fault`] stands in for them), quotas,
//! several file systems (`EXDEV`), special files beyond opening and describing them, weak memory,
//! a sector that tears within itself, and bytes that rot on the medium.
//!
//! # Example
//!
//! ```
//! use std::path::Path;
//! use std::sync::{Arc, Mutex};
//!
//! use tidemark_sim::{Actor, Disk, power_cuts_everywhere};
//! use tidemark_storage::{Open, Site};
//!
//! let mut start = Disk::new();
//! start.write_durable("/data/file", b"old", 0o600);
//! power_cuts_everywhere(
//!     &start,
//!     64,
//!     1,
//!     |world| {
//!         let process = world.process();
//!         let storage = process.storage();
//!         let acknowledged = Arc::new(Mutex::new(false));
//!         let tell = Arc::clone(&acknowledged);
//!         let actor = Actor::new(&process, "writer", move || {
//!             let path = Path::new("/data/file");
//!             let file = storage.open(Site::Test, path, Open::READ_WRITE).unwrap();
//!             file.write_all(Site::TempWrite, b"new", 0).unwrap();
//!             file.sync_data(Site::JsonSync).unwrap();
//!             *tell.lock().unwrap() = true;
//!         });
//!         (vec![actor], acknowledged)
//!     },
//!     |state, acknowledged| {
//!         let bytes = state.disk.read("/data/file").unwrap();
//!         assert!(bytes == b"new" || (bytes == b"old" && !*acknowledged.lock().unwrap()));
//!     },
//! );
//! ```
#![forbid(unsafe_code)]

mod call;
mod change;
mod content;
mod disk;
mod explore;
mod file;
mod lifetime;
mod lock;
mod map;
mod names;
mod node;
mod operator;
mod path;
mod plan;
mod power_cut;
mod process;
mod random;
mod run;
mod schedule;
mod storage;
mod world;

pub use disk::Disk;
pub use explore::{CrashState, Explore, power_cuts_everywhere};
pub use plan::{Call, Fault, FaultKind, Plan, Report, Schedule, Stop};
pub use power_cut::Choice;
pub use process::{Actor, Process};
pub use world::World;
