//! What a file is: its identity, kind, size, mode, owner and times.

/// Identifies a file for as long as it exists: device and inode.
///
/// A file system may give the inode of a deleted file to the next one at once (ext4 does), so an
/// identity is only worth comparing while the file is kept open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device that holds the file system.
    pub device: u64,
    /// The inode within it.
    pub inode: u64,
}

/// The kinds of file that the stores tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file: the only kind that a store reads or writes.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link, seen only by a call that does not follow it.
    Symlink,
    /// A FIFO, a socket or a device.
    Special,
}

/// A point of the file system's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

/// The answer of `stat` or `fstat`, as far as the stores need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Device and inode.
    pub id: FileId,
    /// What kind of file this is.
    pub kind: FileKind,
    /// Number of names that the file has; 0 once the last one is gone.
    pub link_count: u64,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub user_id: u32,
    /// Group.
    pub group_id: u32,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Last change of the content or of this description; nobody can set it back.
    pub changed: Timestamp,
}
