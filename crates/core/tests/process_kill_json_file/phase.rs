//! The phases of a commit. A phase is named by what is done; the call that ends it may be under
//! way.

use tidemark_storage::Site;

use super::kill_support::{self, Phased};

/// The phases of a commit, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not in a commit.
    Idle,
    /// About to take the lock, or waiting for it.
    Waiting,
    /// The lock is granted: reading, judging.
    Locked,
    /// The temporary is created, about to be written.
    Created,
    /// It is written, about to be synced.
    Written,
    /// It is synced, about to be renamed.
    Synced,
    /// It is renamed, the directory about to be synced.
    Renamed,
    /// All is done, the lock about to be freed.
    Releasing,
}

impl Phased for Phase {
    const ALL: &'static [Self] = &[
        Self::Idle,
        Self::Waiting,
        Self::Locked,
        Self::Created,
        Self::Written,
        Self::Synced,
        Self::Renamed,
        Self::Releasing,
    ];

    fn before(site: Site) -> Option<Self> {
        match site {
            Site::LockAcquire => Some(Self::Waiting),
            Site::LockVerify => Some(Self::Locked),
            Site::TempWrite => Some(Self::Created),
            Site::JsonSync => Some(Self::Written),
            Site::JsonRename => Some(Self::Synced),
            Site::JsonSyncDir => Some(Self::Renamed),
            Site::LockRelease => Some(Self::Releasing),
            _ => None,
        }
    }
}

impl Phase {
    /// Whether a process that died in this phase held the lock for certain. One that waited may
    /// have been granted it, one that was freeing it may have been done.
    pub(crate) const fn holds_the_lock(self) -> bool {
        !matches!(self, Self::Idle | Self::Waiting | Self::Releasing)
    }
}

pub(crate) type Aim = kill_support::Aim<Phase>;
pub(crate) type Phases = kill_support::Phases<Phase>;
