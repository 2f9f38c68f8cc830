//! What a disk is made of: nodes, each with what the cache shows of it and what the medium has.
//!
//! A node is known by a number of the simulation's own that is never used twice, because the
//! medium may still name a file whose inode number the cache has given away.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use tidemark_storage::{FileKind, Timestamp};

/// An `errno`; what a failed operation on a disk answers.
pub(crate) type Errno = i32;
/// The answer of an operation on a disk.
pub(crate) type Answer<T> = Result<T, Errno>;

pub(crate) const EBADF: Errno = 9;
pub(crate) const EBUSY: Errno = 16;
pub(crate) const ENODEV: Errno = 19;
pub(crate) const ESPIPE: Errno = 29;
pub(crate) const ENAMETOOLONG: Errno = 36;

/// Identifies a node for as long as the simulation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u64);

/// The names in a directory.
pub(crate) type Entries = BTreeMap<OsString, NodeId>;

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    Regular(Vec<u8>),
    Directory(Entries),
    Symlink(OsString),
    Special,
}

/// One state of a node: in the cache or on the medium.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    pub(crate) mode: u32,
    pub(crate) user_id: u32,
    pub(crate) group_id: u32,
    pub(crate) body: Body,
}

/// A file, directory, symbolic link or FIFO.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The inode number, while the cache knows a name of the node or somebody has it open.
    pub(crate) inode: Option<u64>,
    /// Number of names in the cache (1 for a directory that has its name).
    pub(crate) links: u64,
    /// Number of open file descriptions.
    pub(crate) opens: u64,
    pub(crate) modified: Timestamp,
    pub(crate) changed: Timestamp,
    /// Shared with `medium` where both are the same, so that cloning a disk stays cheap.
    pub(crate) cached: Arc<Image>,
    pub(crate) medium: Arc<Image>,
}

impl Image {
    pub(crate) const fn kind(&self) -> FileKind {
        match self.body {
            Body::Regular(_) => FileKind::Regular,
            Body::Directory(_) => FileKind::Directory,
            Body::Symlink(_) => FileKind::Symlink,
            Body::Special => FileKind::Special,
        }
    }

    pub(crate) fn size(&self) -> usize {
        match &self.body {
            Body::Regular(bytes) => bytes.len(),
            Body::Symlink(target) => target.len(),
            Body::Directory(_) | Body::Special => 0,
        }
    }

    pub(crate) const fn bytes(&self) -> Option<&Vec<u8>> {
        match &self.body {
            Body::Regular(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) const fn entries(&self) -> Option<&Entries> {
        match &self.body {
            Body::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) const fn bytes_mut(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.body {
            Body::Regular(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) const fn entries_mut(&mut self) -> Option<&mut Entries> {
        match &mut self.body {
            Body::Directory(entries) => Some(entries),
            _ => None,
        }
    }
}
