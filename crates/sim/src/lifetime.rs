//! How long nodes live, and who has their inode numbers.
//!
//! Invariants:
//!
//! - L1 A node is kept as long as the cache or the medium names it, an operation on a directory
//!   that is not synced may name it again, or somebody has it open.
//! - L2 An inode number is free as soon as the cache has no name of the node and nobody has it
//!   open; the lowest free number is given out first, as ext4 does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemark_storage::OsError;

use crate::change::Change;
use crate::disk::{Disk, OWNER, ROOT, ROOT_INODE, charge};
use crate::node::{Answer, Body, Image, Node, NodeId};

impl Disk {
    /// Makes a node that has no name yet.
    pub(crate) fn add_node(&mut self, mode: u32, body: Body) -> Answer<NodeId> {
        let needed = charge(0);
        if self.capacity.is_some_and(|capacity| self.used() + needed > capacity) {
            return Err(OsError::ENOSPC);
        }
        let id = NodeId(self.next_node);
        self.next_node += 1;
        let inode = self.take_inode();
        let mode = mode & 0o7777;
        let image = Arc::new(Image { mode, user_id: OWNER, group_id: OWNER, body });
        let node = Node {
            inode: Some(inode),
            links: 0,
            opens: 0,
            modified: self.stamp(),
            changed: self.stamp(),
            cached: Arc::clone(&image),
            medium: image,
        };
        self.nodes.insert(id, node);
        Ok(id)
    }

    fn take_inode(&mut self) -> u64 {
        self.free_inodes.pop_first().unwrap_or_else(|| {
            self.next_inode += 1;
            self.next_inode - 1
        })
    }

    /// Counts one more open file description.
    pub(crate) fn hold(&mut self, id: NodeId) {
        self.node_mut(id).opens += 1;
    }

    /// Counts one open file description less.
    pub(crate) fn release(&mut self, id: NodeId) {
        self.node_mut(id).opens -= 1;
        self.free_if_unused(id);
    }

    /// Gives the inode number away as soon as nothing holds it (L2).
    pub(crate) fn free_if_unused(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        if node.links == 0
            && node.opens == 0
            && let Some(inode) = node.inode.take()
        {
            self.free_inodes.insert(inode);
        }
    }

    /// Forgets what nobody will see again: nodes that nothing speaks of (L1), and changes of what
    /// has no name left, which a power cut would lose in any case.
    pub(crate) fn collect(&mut self) {
        loop {
            let named = self.named();
            let before = (self.nodes.len(), self.unsynced.len());
            self.nodes.retain(|id, node| node.inode.is_some() || named.contains(id));
            self.unsynced.retain(|item| match &item.change {
                Change::Sector { node, .. }
                | Change::Size { node, .. }
                | Change::Description { node, .. } => named.contains(node),
                Change::Link { directory, .. } | Change::Unlink { directory, .. } => {
                    named.contains(directory)
                }
                Change::Rename { .. } => true,
            });
            if before == (self.nodes.len(), self.unsynced.len()) {
                return;
            }
        }
    }

    /// What has a name in the cache or on the medium, or may get one there.
    fn named(&self) -> BTreeSet<NodeId> {
        let mut named = BTreeSet::from([ROOT]);
        for (id, node) in &self.nodes {
            named.extend((node.links > 0).then_some(*id));
            named.extend(node.medium.entries().into_iter().flat_map(BTreeMap::values));
        }
        for item in &self.unsynced {
            match &item.change {
                Change::Link { node, .. } | Change::Unlink { node, .. } => {
                    named.insert(*node);
                }
                Change::Rename { from, to, node } => named.extend([from.0, to.0, *node]),
                Change::Sector { .. } | Change::Size { .. } | Change::Description { .. } => {}
            }
        }
        named
    }

    /// Closes everything: what a disk looks like to whoever comes next.
    pub(crate) fn close_all(&mut self) {
        let open: Vec<NodeId> =
            self.nodes.iter().filter(|(_, node)| node.opens > 0).map(|(id, _)| *id).collect();
        for id in open {
            self.node_mut(id).opens = 0;
            self.free_if_unused(id);
        }
        self.collect();
    }

    /// Makes the medium all there is: keeps what can be reached on it, and nothing else.
    pub(crate) fn start_from_medium(&mut self) {
        self.unsynced.clear();
        let mut links: BTreeMap<NodeId, u64> = BTreeMap::from([(ROOT, 1)]);
        let mut todo = vec![ROOT];
        while let Some(id) = todo.pop() {
            let entries = self.node(id).medium.entries().cloned().unwrap_or_default();
            for child in entries.into_values() {
                let count = links.entry(child).or_insert(0);
                *count += 1;
                if *count == 1 {
                    todo.push(child);
                }
            }
        }
        self.nodes.retain(|id, _| links.contains_key(id));
        let used: BTreeSet<u64> = self.nodes.values().filter_map(|node| node.inode).collect();
        let known = ROOT_INODE + 1..self.next_inode;
        self.free_inodes = known.filter(|inode| !used.contains(inode)).collect();
        for (id, count) in links {
            let inode = self.node(id).inode.unwrap_or_else(|| self.take_inode());
            let node = self.node_mut(id);
            node.inode = Some(inode);
            node.links = count;
            node.opens = 0;
            node.cached = Arc::clone(&node.medium);
        }
    }
}
