//! What the kernel does with names: make, move and take them away, in the cache.
//!
//! Each operation answers the `errno` that Linux answers, in Linux's order of checks, and records
//! what a sync of the directory has to bring to the medium.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tidemark_storage::{Access, Create, FileKind, Open, OsError};

use crate::change::Change;
use crate::disk::Disk;
use crate::node::{Answer, Body, EBUSY, Entries, NodeId};
use crate::path::{Last, Place};

impl Disk {
    /// Finds or makes what `open` opens.
    pub(crate) fn open(&mut self, path: &Path, how: Open) -> Answer<NodeId> {
        match how.create {
            Create::New { mode } => {
                let place = self.walk(path, Last::Name)?;
                if place.slash {
                    return Err(OsError::EISDIR);
                }
                self.make(&place, mode, Body::Regular(Vec::new()))
            }
            Create::Never => {
                let id = self.find(path, Last::Keep)?;
                let writes = how.access == Access::ReadWrite;
                match self.node(id).cached.kind() {
                    FileKind::Symlink => Err(OsError::ELOOP),
                    FileKind::Directory if writes => Err(OsError::EISDIR),
                    FileKind::Regular if writes && self.read_only => Err(OsError::EROFS),
                    _ => Ok(id),
                }
            }
        }
    }

    /// Makes a directory.
    pub(crate) fn make_dir(&mut self, path: &Path, mode: u32) -> Answer<()> {
        let place = self.walk(path, Last::Name)?;
        self.make(&place, mode, Body::Directory(Entries::new())).map(drop)
    }

    /// Makes a node under a name that is free.
    pub(crate) fn make(&mut self, place: &Place, mode: u32, body: Body) -> Answer<NodeId> {
        if place.node.is_some() {
            return Err(OsError::EEXIST);
        }
        self.check_writable()?;
        let node = self.add_node(mode, body)?;
        self.link(place.parent(), &place.name, node);
        Ok(node)
    }

    /// Gives a node a name more.
    pub(crate) fn link(&mut self, directory: NodeId, name: &OsStr, node: NodeId) {
        self.begin();
        self.put_entry(directory, name, node);
        self.node_mut(node).links += 1;
        self.record(Change::Link { directory, name: name.to_owned(), node });
    }

    /// Removes a name that is not a directory's.
    pub(crate) fn unlink(&mut self, path: &Path) -> Answer<()> {
        let place = self.walk(path, Last::Name)?;
        if !place.is_named() {
            return Err(OsError::EISDIR);
        }
        self.check_writable()?;
        let node = place.node.ok_or(OsError::ENOENT)?;
        match self.node(node).cached.kind() {
            FileKind::Directory => Err(OsError::EISDIR),
            _ if place.slash => Err(OsError::ENOTDIR),
            _ => {
                self.remove_entry(place.parent(), &place.name, node);
                Ok(())
            }
        }
    }

    /// Removes an empty directory.
    pub(crate) fn remove_dir(&mut self, path: &Path) -> Answer<()> {
        let place = self.walk(path, Last::Name)?;
        match place.name.as_bytes() {
            b"" => return Err(EBUSY),
            b"." => return Err(OsError::EINVAL),
            b".." => return Err(OsError::ENOTEMPTY),
            _ => self.check_writable()?,
        }
        let node = place.node.ok_or(OsError::ENOENT)?;
        match self.node(node).cached.entries() {
            None => Err(OsError::ENOTDIR),
            Some(entries) if !entries.is_empty() => Err(OsError::ENOTEMPTY),
            Some(_) => {
                self.remove_entry(place.parent(), &place.name, node);
                Ok(())
            }
        }
    }

    /// Moves a name, in one step, over whatever has the new one.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Answer<()> {
        let from = self.walk(from, Last::Name)?;
        let to = self.walk(to, Last::Name)?;
        if !from.is_named() || !to.is_named() {
            return Err(EBUSY);
        }
        self.check_writable()?;
        let node = from.node.ok_or(OsError::ENOENT)?;
        let is_directory = self.node(node).cached.kind() == FileKind::Directory;
        if !is_directory && (from.slash || to.slash) {
            return Err(OsError::ENOTDIR);
        }
        if to.parents.iter().any(|(id, _)| *id == node) {
            return Err(OsError::EINVAL);
        }
        if let Some(target) = to.node {
            if from.parents.iter().any(|(id, _)| *id == target) {
                return Err(OsError::ENOTEMPTY);
            }
            if target == node {
                // Two names of one file: both stay.
                return Ok(());
            }
            match self.node(target).cached.entries() {
                None if is_directory => return Err(OsError::ENOTDIR),
                Some(_) if !is_directory => return Err(OsError::EISDIR),
                Some(entries) if !entries.is_empty() => return Err(OsError::ENOTEMPTY),
                _ => {}
            }
            if self.like_windows && self.node(target).opens > 0 {
                return Err(OsError::EACCES);
            }
        }
        self.move_entry(&from, &to, node);
        Ok(())
    }

    fn move_entry(&mut self, from: &Place, to: &Place, node: NodeId) {
        self.begin();
        self.take_entry(from.parent(), &from.name);
        self.put_entry(to.parent(), &to.name, node);
        let stamp = self.stamp();
        self.node_mut(node).changed = stamp;
        if let Some(target) = to.node {
            let replaced = self.node_mut(target);
            replaced.links -= 1;
            replaced.changed = stamp;
            self.free_if_unused(target);
        }
        let from = (from.parent(), from.name.clone());
        let to = (to.parent(), to.name.clone());
        self.record(Change::Rename { from, to, node });
    }

    fn remove_entry(&mut self, directory: NodeId, name: &OsStr, node: NodeId) {
        self.begin();
        self.take_entry(directory, name);
        let stamp = self.stamp();
        let removed = self.node_mut(node);
        removed.links -= 1;
        removed.changed = stamp;
        self.free_if_unused(node);
        self.record(Change::Unlink { directory, name: name.to_owned(), node });
    }

    fn put_entry(&mut self, directory: NodeId, name: &OsStr, node: NodeId) {
        if let Some(entries) = self.touched(directory) {
            entries.insert(name.to_owned(), node);
        }
    }

    fn take_entry(&mut self, directory: NodeId, name: &OsStr) {
        if let Some(entries) = self.touched(directory) {
            entries.remove(name);
        }
    }

    /// The entries of a directory that is about to change.
    fn touched(&mut self, directory: NodeId) -> Option<&mut Entries> {
        let stamp = self.stamp();
        let node = self.node_mut(directory);
        node.modified = stamp;
        node.changed = stamp;
        self.cached_mut(directory).entries_mut()
    }

    pub(crate) const fn check_writable(&self) -> Answer<()> {
        if self.read_only { Err(OsError::EROFS) } else { Ok(()) }
    }

    /// Brings the names in a directory to the medium.
    ///
    /// A rename between two directories is one step on the medium too: it comes along, with all
    /// that came before it in the other directory.
    pub(crate) fn sync_names(&mut self, directory: NodeId) {
        for change in self.take_names(directory) {
            self.apply(&change, true);
        }
        self.collect();
    }

    /// Loses what a sync of the directory should have brought to the medium.
    pub(crate) fn fail_sync_names(&mut self, directory: NodeId) {
        drop(self.take_names(directory));
        self.collect();
    }

    fn take_names(&mut self, directory: NodeId) -> Vec<Change> {
        let mut concerned = vec![directory];
        let mut taken = Vec::new();
        for index in (0..self.unsynced.len()).rev() {
            let Some(item) = self.unsynced.get(index) else { continue };
            let directories = item.change.directories();
            if directories.iter().any(|id| concerned.contains(id)) {
                concerned.extend(directories);
                taken.push(self.unsynced.remove(index).change);
            }
        }
        taken.reverse();
        taken
    }
}
