//! The write-ahead log: entries with consecutive numbers, a hard state, truncate and purge.
//!
//! ```text
//! <log>/                    flocked by its one writer
//!   00000001.segment ...    entries, markers, hard states: see crate::segment
//!   state                   how far the writer is, for readers in other processes
//!   quarantine/             torn tails
//! ```
//!
//! Format and invariants SG-1 to SG-10 and W-1 to W-3: `docs/format/segment.md`. The crash contract
//! C1 to C12: `docs/durability.md`. An append goes through `engine.rs` to the medium, and through
//! `view.rs` to readers (`reader.rs`, `follower.rs`); in another process `publication.rs` tells
//! how far it got.
//!
//! Recovery: the active segment is read, what is proven stays where it is, what is valid and not
//! proven is written again, a torn tail goes into quarantine.
//!
//! Not promised: more than one writing process; what a file system does with syncs that it does
//! not do.

mod bug;
mod cuts;
mod engine;
mod follower;
mod handle;
mod index;
mod metrics;
mod op;
mod open;
mod options;
mod page;
mod preparation;
mod publication;
mod read_only;
mod reader;
mod recent;
mod replay;
mod source;
mod staging;
mod stand;
mod state;
mod syncs;
mod take_over;
mod view;
mod waiters;

pub use self::bug::Bug;
pub use self::engine::WalEngine;
pub use self::follower::Follower;
pub use self::handle::{Wal, WalRecovery};
pub use self::op::{
    Entries, HARD_STATE_BYTES_MAX, HardState, Records, SyncOverride, WalOp, WalOutcome,
};
pub use self::open::{WalParts, WalRegistry, WalTrail};
pub use self::options::{RecoveryMode, SyncLevel, Visibility, WalOptions};
pub use crate::segment::Io;
