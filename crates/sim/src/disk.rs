//! The disk: its nodes, what is not yet synced, its clock and its limits.
//!
//! Invariants:
//!
//! - D1 The clock only goes forward, a little with every call, and through a power cut.
//!
//! Space is counted by size, rounded up to sectors, plus one sector for each node; a hole counts
//! like data, and making one with `set_len` never fails for lack of room.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::{FileId, FileKind, FileSystem, FileSystemClass, Stat, Timestamp};

use crate::change::{Change, SECTOR_SIZE, Unsynced};
use crate::node::{Body, Entries, Image, Node, NodeId};

/// The top directory.
pub(crate) const ROOT: NodeId = NodeId(0);
/// The inode number of the top directory; smaller ones are reserved, as on ext4.
pub(crate) const ROOT_INODE: u64 = 2;
/// What the clock of every simulation starts from: 2026-01-01 UTC.
pub(crate) const START: Duration = Duration::from_secs(1_767_225_600);
/// What one call takes.
const TICK: Duration = Duration::from_micros(1);
/// Owner and group of everything that nobody gave to somebody else.
pub(crate) const OWNER: u32 = 1000;

/// A simulated disk, with what is cached of it.
///
/// A clone is independent of its original. The methods that make or change files stand for an
/// operator outside of the simulation: what they do is durable at once, and limits and faults do
/// not concern them. They panic where the path does not allow it, as a test is then wrong.
#[derive(Clone, Debug)]
pub struct Disk {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) unsynced: Vec<Unsynced>,
    pub(crate) operation: u64,
    pub(crate) next_node: u64,
    pub(crate) free_inodes: BTreeSet<u64>,
    pub(crate) next_inode: u64,
    now: Duration,
    granularity: Duration,
    pub(crate) capacity: Option<u64>,
    pub(crate) read_only: bool,
    pub(crate) like_windows: bool,
    pub(crate) file_system: FileSystem,
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// A disk with one durable, empty directory, `/data`, of mode 0700.
    #[must_use]
    pub fn new() -> Self {
        let image = Arc::new(Image {
            mode: 0o755,
            user_id: OWNER,
            group_id: OWNER,
            body: Body::Directory(Entries::new()),
        });
        let root = Node {
            inode: Some(ROOT_INODE),
            links: 1,
            opens: 0,
            modified: Timestamp::default(),
            changed: Timestamp::default(),
            cached: Arc::clone(&image),
            medium: image,
        };
        let mut disk = Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            unsynced: Vec::new(),
            operation: 0,
            next_node: 1,
            free_inodes: BTreeSet::new(),
            next_inode: ROOT_INODE + 1,
            now: Duration::ZERO,
            granularity: Duration::from_nanos(1),
            capacity: None,
            read_only: false,
            like_windows: false,
            file_system: FileSystem {
                name: "simfs".to_owned(),
                class: FileSystemClass::Proven,
                reason: String::new(),
                read_only: false,
                overwrites_in_place: true,
            },
        };
        disk.mkdir("/data", 0o700);
        disk
    }

    /// How many bytes the disk has room for, or `None` for no limit. A disk that is fuller than
    /// that already only refuses to grow.
    pub fn set_capacity(&mut self, bytes: impl Into<Option<u64>>) {
        self.capacity = bytes.into();
    }

    /// Whether the machine is as Windows is where it has no better file system: an open file is not
    /// replaced, only a few pages are mapped, and the stores are told that names in another case
    /// mean the same file, which its own calls do not know.
    pub const fn set_like_windows(&mut self, like_windows: bool) {
        self.like_windows = like_windows;
    }

    /// How many bytes are taken, as [`Disk::set_capacity`] counts them.
    #[must_use]
    pub fn used(&self) -> u64 {
        let alive = self.nodes.values().filter(|node| node.inode.is_some());
        alive.map(|node| charge(node.cached.size())).sum()
    }

    /// Mounts the disk read-only (`EROFS` for every change), or for writing again.
    pub const fn set_read_only(&mut self, read_only: bool) {
        self.read_only = read_only;
    }

    /// What `file_system` answers from now on.
    pub fn set_file_system(&mut self, file_system: FileSystem) {
        self.file_system = file_system;
    }

    /// How coarse the times of files are: two changes within one step carry the same time, as on
    /// a kernel that stamps files by its timer tick. One nanosecond unless set.
    ///
    /// # Panics
    /// If the step is zero.
    pub const fn set_timestamp_granularity(&mut self, step: Duration) {
        assert!(!step.is_zero(), "time needs a step");
        self.granularity = step;
    }

    /// Lets time pass.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// How many things a power cut may lose now.
    #[must_use]
    pub const fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// The things that a power cut may lose now, in the order in which they were done.
    #[must_use]
    pub fn unsynced_items(&self) -> Vec<String> {
        self.unsynced.iter().map(|item| item.change.to_string()).collect()
    }

    /// Takes the limits away from whoever stands outside of the simulation.
    pub(crate) const fn lift_limits(&mut self) -> (Option<u64>, bool) {
        let limits = (self.capacity, self.read_only);
        self.capacity = None;
        self.read_only = false;
        limits
    }

    pub(crate) const fn restore_limits(&mut self, (capacity, read_only): (Option<u64>, bool)) {
        self.capacity = capacity;
        self.read_only = read_only;
    }

    pub(crate) fn tick(&mut self) {
        self.now += TICK;
    }

    pub(crate) const fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn unix_time(&self) -> Duration {
        START + self.now
    }

    /// The time that a change made now is stamped with.
    pub(crate) fn stamp(&self) -> Timestamp {
        let now = self.unix_time().as_nanos();
        let now = now - now % self.granularity.as_nanos();
        Timestamp {
            seconds: i64::try_from(now / 1_000_000_000).unwrap_or(i64::MAX),
            nanoseconds: u32::try_from(now % 1_000_000_000).unwrap_or(0),
        }
    }

    /// The size up to which a file may grow from `size`, as far as `wanted`.
    pub(crate) fn room(&self, size: usize, wanted: usize) -> usize {
        let Some(capacity) = self.capacity.filter(|_| wanted > size) else { return wanted };
        let others = self.used() - charge(size);
        let room = capacity.saturating_sub(others + SECTOR_SIZE as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        wanted.min(size.max(room - room % SECTOR_SIZE))
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(&id).unwrap_or_else(|| panic!("L1: node {} is gone", id.0))
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("L1: node {} is gone", id.0))
    }

    /// The node's state in the cache, to change.
    pub(crate) fn cached_mut(&mut self, id: NodeId) -> &mut Image {
        Arc::make_mut(&mut self.node_mut(id).cached)
    }

    /// The node's state on the medium, to change; nothing if the node is gone.
    pub(crate) fn medium_mut(&mut self, id: NodeId) -> Option<&mut Image> {
        self.nodes.get_mut(&id).map(|node| Arc::make_mut(&mut node.medium))
    }

    pub(crate) fn cached_entry(&self, directory: NodeId, name: &OsStr) -> Option<NodeId> {
        self.nodes.get(&directory)?.cached.entries()?.get(name).copied()
    }

    pub(crate) fn medium_entry(&self, directory: NodeId, name: &OsStr) -> Option<NodeId> {
        self.nodes.get(&directory)?.medium.entries()?.get(name).copied()
    }

    pub(crate) fn put_medium_entry(&mut self, directory: NodeId, name: &OsStr, node: NodeId) {
        if let Some(entries) = self.medium_mut(directory).and_then(|image| image.entries_mut()) {
            entries.insert(name.to_owned(), node);
        }
    }

    pub(crate) fn take_medium_entry(&mut self, directory: NodeId, name: &OsStr) {
        if let Some(entries) = self.medium_mut(directory).and_then(|image| image.entries_mut()) {
            entries.remove(name);
        }
    }

    /// Begins an operation: what it changes belongs together.
    pub(crate) const fn begin(&mut self) {
        self.operation += 1;
    }

    pub(crate) fn record(&mut self, change: Change) {
        self.unsynced.push(Unsynced { operation: self.operation, change });
    }

    /// Describes a node.
    pub(crate) fn describe(&self, id: NodeId) -> Stat {
        let node = self.node(id);
        let image = &node.cached;
        let below = |child: &&NodeId| self.node(**child).cached.kind() == FileKind::Directory;
        let link_count = match image.entries() {
            Some(entries) if node.links > 0 => 2 + entries.values().filter(below).count() as u64,
            _ => node.links,
        };
        Stat {
            id: FileId { device: 1, inode: node.inode.unwrap_or(0) },
            kind: image.kind(),
            link_count,
            size_bytes: image.size() as u64,
            mode: image.mode,
            user_id: image.user_id,
            group_id: image.group_id,
            modified: node.modified,
            changed: node.changed,
        }
    }

    /// The names in a directory, in order.
    pub(crate) fn list(&self, directory: NodeId) -> Vec<OsString> {
        self.node(directory)
            .cached
            .entries()
            .into_iter()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect()
    }
}

/// What a file of this size takes.
pub(crate) const fn charge(size: usize) -> u64 {
    (size.div_ceil(SECTOR_SIZE) as u64 + 1) * SECTOR_SIZE as u64
}
