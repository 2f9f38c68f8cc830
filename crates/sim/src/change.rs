//! What was done to the cache and not yet synced, and how it reaches the medium.
//!
//! All of a disk's changes stand in one list, oldest first. A sync applies those that it covers
//! and takes them out; a power cut applies any subset, in order, and forgets the rest.
//!
//! A sector carries all that the cache held of it after the write, as a disk writes whole sectors:
//! a later write to the same sector brings an earlier one along, never the other way round.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use crate::disk::Disk;
use crate::node::NodeId;

/// Bytes that reach the medium together or not at all.
pub(crate) const SECTOR_SIZE: usize = 512;

/// One thing that a power cut may lose.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The content of a sector.
    Sector { node: NodeId, offset: usize, bytes: Arc<[u8]> },
    /// The size of a file.
    Size { node: NodeId, size: usize },
    /// Mode and owner.
    Description { node: NodeId, mode: u32, user_id: u32, group_id: u32 },
    /// A new name.
    Link { directory: NodeId, name: OsString, node: NodeId },
    /// A name taken away.
    Unlink { directory: NodeId, name: OsString, node: NodeId },
    /// A name moved, in one step, over whatever had the new one.
    Rename { from: (NodeId, OsString), to: (NodeId, OsString), node: NodeId },
}

/// A change and the operation that made it: one write may change several sectors and the size.
#[derive(Clone, Debug)]
pub(crate) struct Unsynced {
    pub(crate) operation: u64,
    pub(crate) change: Change,
}

impl Change {
    /// Whether this is about names rather than content.
    pub(crate) const fn is_name(&self) -> bool {
        matches!(self, Self::Link { .. } | Self::Unlink { .. } | Self::Rename { .. })
    }

    /// The node whose content or description changed.
    pub(crate) const fn content_of(&self) -> Option<NodeId> {
        match self {
            Self::Sector { node, .. }
            | Self::Size { node, .. }
            | Self::Description { node, .. } => Some(*node),
            Self::Link { .. } | Self::Unlink { .. } | Self::Rename { .. } => None,
        }
    }

    /// The directories whose names changed.
    pub(crate) fn directories(&self) -> Vec<NodeId> {
        match self {
            Self::Link { directory, .. } | Self::Unlink { directory, .. } => vec![*directory],
            Self::Rename { from, to, .. } => vec![from.0, to.0],
            Self::Sector { .. } | Self::Size { .. } | Self::Description { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sector { node, offset, bytes } => {
                write!(f, "{} bytes at {offset} of #{}", bytes.len(), node.0)
            }
            Self::Size { node, size } => write!(f, "size {size} of #{}", node.0),
            Self::Description { node, mode, user_id, group_id } => {
                write!(f, "mode {mode:o} owner {user_id}:{group_id} of #{}", node.0)
            }
            Self::Link { name, node, .. } => write!(f, "link {} #{}", name.display(), node.0),
            Self::Unlink { name, node, .. } => write!(f, "unlink {} #{}", name.display(), node.0),
            Self::Rename { from, to, node } => {
                write!(f, "rename {} {} #{}", from.1.display(), to.1.display(), node.0)
            }
        }
    }
}

impl Disk {
    /// Brings one change to the medium.
    ///
    /// After a power cut (`certain` is false) an operation on a directory is skipped where the
    /// medium no longer is as the operation found it, because one before it was lost. A sync has
    /// to make the names durable whatever an earlier, failed one lost.
    pub(crate) fn apply(&mut self, change: &Change, certain: bool) {
        match change {
            Change::Sector { node, offset, bytes } => self.apply_sector(*node, *offset, bytes),
            Change::Size { node, size } => {
                if let Some(medium) = self.medium_mut(*node).and_then(|image| image.bytes_mut()) {
                    medium.resize(*size, 0);
                }
            }
            Change::Description { node, mode, user_id, group_id } => {
                if let Some(medium) = self.medium_mut(*node) {
                    medium.mode = *mode;
                    medium.user_id = *user_id;
                    medium.group_id = *group_id;
                }
            }
            Change::Link { directory, name, node } => {
                if certain || self.medium_entry(*directory, name).is_none() {
                    self.put_medium_entry(*directory, name, *node);
                }
            }
            Change::Unlink { directory, name, node } => {
                if certain || self.medium_entry(*directory, name) == Some(*node) {
                    self.take_medium_entry(*directory, name);
                }
            }
            Change::Rename { from, to, node } => {
                if certain || self.medium_entry(from.0, &from.1) == Some(*node) {
                    self.take_medium_entry(from.0, &from.1);
                    self.put_medium_entry(to.0, &to.1, *node);
                }
            }
        }
    }

    fn apply_sector(&mut self, node: NodeId, offset: usize, bytes: &[u8]) {
        let Some(medium) = self.medium_mut(node).and_then(|image| image.bytes_mut()) else {
            return;
        };
        // What lies beyond the end is there, but nobody can see it: the size was lost.
        if let Some(room) = medium.get_mut(offset..) {
            for (to, from) in room.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
    }
}
