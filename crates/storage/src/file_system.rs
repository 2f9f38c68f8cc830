//! What a file system can promise, as far as it tells.

/// How far a file system can be trusted with a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystemClass {
    /// Local, journaled or copy-on-write, with its write barriers on.
    Proven,
    /// Local, but without a journal, with barriers off, or of a kind that we do not know.
    Unproven,
    /// Kept in memory: gone with the machine.
    Volatile,
    /// Behind a network, FUSE, 9p or a sandbox: locks, maps and syncs may not reach the disk or
    /// the other process.
    Network,
}

/// The file system under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name, as in `mount(8)`, or its magic number in hex where it has no name here.
    pub name: String,
    /// What can be promised on it.
    pub class: FileSystemClass,
    /// Why it is not [`FileSystemClass::Proven`], for an error or a warning; empty where it is.
    pub reason: String,
    /// Whether it is mounted to be read only.
    pub read_only: bool,
    /// Whether bytes that are written again go to the blocks that hold them, so that writing
    /// zeros ahead ([`crate::File::allocate`]) saves what a first write costs. False where they go
    /// to new blocks each time (copy-on-write), behind a network, and where it is not known.
    pub overwrites_in_place: bool,
}
