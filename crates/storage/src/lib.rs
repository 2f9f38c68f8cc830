//! The operating system, as Tidemark sees it.
//!
//! Everything that the stores do to a disk goes through two traits: [`Storage`] (paths, clock,
//! randomness) and [`File`] (one open file: positional I/O, sync, lock, map). [`RealStorage`] is
//! the machine; the crate `tidemark-sim` is a disk that loses, reorders and tears whatever was not
//! synced. Nothing else in the project touches the file system, the clock or randomness.
//!
//! Rules that every implementation keeps:
//!
//! - S1 Each call names its call site ([`Site`]), so that a simulator, a failpoint or a test can
//!   address it.
//! - S2 Files are opened without following a symbolic link at the last component, without blocking
//!   on a FIFO, and closed on exec.
//! - S3 `lock` blocks in the kernel and survives signals; the lock dies with its holder.
//! - S4 A failed sync is final: the implementation never retries one.
//! - S5 Dropping a [`File`] and its maps closes it and frees its lock. Closing reports nothing:
//!   what must be known to be on the medium was synced before.
//! - S6 A page that a map has lost is an error of the call that meets it, never a signal, and of
//!   every later call on that map.
//!
//! Not promised: any ordering or durability that was not asked for by a sync call.
// Where it is needed a module says so; `scripts/tidy.mjs` counts.
#![deny(unsafe_code)]

mod error;
mod file;
mod file_system;
mod interrupt;
mod map;
mod names;
mod real;
mod site;
mod stat;
mod storage;

pub use error::{OsError, Result};
pub use file::{Access, Create, File, LockMode, Open, Pages};
pub use file_system::{FileSystem, FileSystemClass};
pub use interrupt::Interrupt;
pub use map::Map;
pub use names::{folded, is_short};
pub use real::{RealStorage, is_plain};
pub use site::Site;
pub use stat::{FileId, FileKind, Stat, Timestamp};
pub use storage::Storage;
