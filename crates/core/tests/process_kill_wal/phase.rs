//! The phases of a log's life. A phase is named by the call that ends it, which may be under way.

use tidemark_storage::Site;

use super::kill_support::{self, Phased};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is done.
    Idle,
    /// About to lock the directory.
    Lock,
    /// A recovery: about to give a torn tail its name in quarantine.
    Quarantine,
    /// About to copy what is not proven.
    Copy,
    /// About to sync the copy.
    CopySync,
    /// About to give it its name: the commit point of a recovery.
    CopyRename,
    /// About to sync the directory after that.
    CopySyncDir,
    /// About to seal the segment that was left.
    OldSeal,
    /// About to sync that seal.
    OldSync,
    /// About to cut the segment behind it.
    OldTrim,
    /// About to remove what no recovery believes.
    Remove,
    /// About to say that there is a writer.
    Announce,
    /// About to write a group.
    Write,
    /// A part of a group is written.
    Torn,
    /// A group is written, about to be synced.
    Sync,
    /// About to tell readers.
    Publish,
    /// About to seal a segment.
    Seal,
    /// About to sync the seal.
    SealSync,
    /// About to make the blocks of a new segment.
    Fill,
    /// About to write the header of a segment.
    Header,
    /// About to sync it.
    PrepareSync,
    /// About to give it its name.
    PrepareRename,
    /// About to sync the directory after that.
    PrepareSyncDir,
    /// About to make a spare of a segment that is no longer needed.
    Recycle,
    /// About to sync the directory after that.
    RecycleSyncDir,
}

impl Phased for Phase {
    const ALL: &'static [Self] = &[
        Self::Idle,
        Self::Lock,
        Self::Quarantine,
        Self::Copy,
        Self::CopySync,
        Self::CopyRename,
        Self::CopySyncDir,
        Self::OldSeal,
        Self::OldSync,
        Self::OldTrim,
        Self::Remove,
        Self::Announce,
        Self::Write,
        Self::Torn,
        Self::Sync,
        Self::Publish,
        Self::Seal,
        Self::SealSync,
        Self::Fill,
        Self::Header,
        Self::PrepareSync,
        Self::PrepareRename,
        Self::PrepareSyncDir,
        Self::Recycle,
        Self::RecycleSyncDir,
    ];

    fn before(site: Site) -> Option<Self> {
        match site {
            Site::LockAcquire => Some(Self::Lock),
            Site::TailQuarantineRename => Some(Self::Quarantine),
            Site::RecoverWrite => Some(Self::Copy),
            Site::RecoverSync => Some(Self::CopySync),
            Site::RecoverRename => Some(Self::CopyRename),
            Site::RecoverSyncDir => Some(Self::CopySyncDir),
            Site::RecoverSeal => Some(Self::OldSeal),
            Site::RecoverSealSync => Some(Self::OldSync),
            Site::RecoverTrim => Some(Self::OldTrim),
            Site::RecoverRemove => Some(Self::Remove),
            Site::StateLock => Some(Self::Announce),
            Site::SegmentWrite => Some(Self::Write),
            Site::SegmentSync => Some(Self::Sync),
            Site::StateStore => Some(Self::Publish),
            Site::SegmentSeal => Some(Self::Seal),
            Site::SegmentSealSync => Some(Self::SealSync),
            Site::PrepareFill => Some(Self::Fill),
            Site::PrepareHeader => Some(Self::Header),
            Site::PrepareSync => Some(Self::PrepareSync),
            Site::PrepareRename => Some(Self::PrepareRename),
            Site::PrepareSyncDir => Some(Self::PrepareSyncDir),
            Site::RecycleRename => Some(Self::Recycle),
            Site::RecycleSyncDir => Some(Self::RecycleSyncDir),
            _ => None,
        }
    }
}

impl Phase {
    /// Whether it comes once each time that a log is opened, if at all.
    pub(crate) fn is_of_a_recovery(self) -> bool {
        (Self::Lock.index()..=Self::Announce.index()).contains(&self.index())
    }

    /// Whether the thread that commits stands still while its process is stopped here, and a log
    /// is open: what is durable does not change.
    pub(crate) const fn stops_commits(self) -> bool {
        matches!(self, Self::Write | Self::Torn | Self::Sync | Self::Seal | Self::SealSync)
    }
}

pub(crate) type Aim = kill_support::Aim<Phase>;
pub(crate) type Phases = kill_support::Phases<Phase>;
