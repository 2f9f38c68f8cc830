//! What the kernel does with the content of files: write, cut, sync and lose.

use std::sync::Arc;

use tidemark_storage::{FileKind, OsError};

use crate::change::{Change, SECTOR_SIZE};
use crate::disk::Disk;
use crate::node::{Answer, ESPIPE, NodeId};

/// No file of the simulation may be larger: a wild offset shall not take the machine's memory.
const FILE_SIZE_MAX: usize = 1 << 30;

impl Disk {
    /// Reads from a regular file; 0 at its end.
    pub(crate) fn read_at(&self, id: NodeId, into: &mut [u8], offset: u64) -> Answer<usize> {
        let image = &self.node(id).cached;
        let Some(bytes) = image.bytes() else {
            return Err(match image.kind() {
                FileKind::Directory => OsError::EISDIR,
                _ => ESPIPE,
            });
        };
        let start = checked(offset)?;
        let rest = bytes.get(start..).unwrap_or_default();
        let count = rest.len().min(into.len());
        for (to, from) in into.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }

    /// Writes to a regular file; less than asked for where room is short.
    pub(crate) fn write_at(&mut self, id: NodeId, from: &[u8], offset: u64) -> Answer<usize> {
        let size = self.node(id).cached.bytes().ok_or(ESPIPE)?.len();
        let start = checked(offset)?;
        self.check_writable()?;
        if from.is_empty() {
            return Ok(0);
        }
        if start >= FILE_SIZE_MAX {
            return Err(OsError::EFBIG);
        }
        let end = self.room(size, (start + from.len()).min(FILE_SIZE_MAX));
        if end <= start {
            return Err(OsError::ENOSPC);
        }
        self.begin();
        let count = end - start;
        if let Some(bytes) = self.cached_mut(id).bytes_mut() {
            bytes.resize(size.max(end), 0);
            for (to, from) in bytes.iter_mut().skip(start).zip(from) {
                *to = *from;
            }
        }
        self.touch(id, true);
        self.record_size(id);
        self.record_sectors(id, start, end);
        Ok(count)
    }

    /// Cuts a regular file, or grows it with a hole.
    pub(crate) fn set_len(&mut self, id: NodeId, size: u64) -> Answer<()> {
        if self.node(id).cached.bytes().is_none() {
            return Err(OsError::EINVAL);
        }
        let size = checked(size)?;
        self.check_writable()?;
        if size > FILE_SIZE_MAX {
            return Err(OsError::EFBIG);
        }
        self.begin();
        if let Some(bytes) = self.cached_mut(id).bytes_mut() {
            bytes.resize(size, 0);
        }
        self.touch(id, true);
        self.record_size(id);
        Ok(())
    }

    /// Writes zeros from the end of the file to the end of the range; what is there stays.
    pub(crate) fn allocate(&mut self, id: NodeId, offset: u64, size: u64) -> Answer<()> {
        let held = self.node(id).cached.bytes().ok_or(ESPIPE)?.len();
        let end = checked(offset.saturating_add(size))?;
        self.check_writable()?;
        if end > FILE_SIZE_MAX {
            return Err(OsError::EFBIG);
        }
        if self.room(held, end) < end {
            return Err(OsError::ENOSPC);
        }
        if end > held {
            self.write_at(id, &vec![0; end - held], held as u64)?;
        }
        Ok(())
    }

    pub(crate) fn set_mode(&mut self, id: NodeId, mode: u32) -> Answer<()> {
        self.check_writable()?;
        self.cached_mut(id).mode = mode & 0o7777;
        self.record_description(id);
        Ok(())
    }

    pub(crate) fn set_owner(&mut self, id: NodeId, user_id: u32, group_id: u32) -> Answer<()> {
        self.check_writable()?;
        let image = self.cached_mut(id);
        image.user_id = user_id;
        image.group_id = group_id;
        self.record_description(id);
        Ok(())
    }

    /// Brings content to the medium, and the description too if `all`.
    pub(crate) fn sync(&mut self, id: NodeId, all: bool) -> Answer<()> {
        self.check_syncable(id)?;
        for change in self.take_content(id, all) {
            self.apply(&change, true);
        }
        self.share_if_equal(id);
        if self.node(id).cached.kind() == FileKind::Directory {
            self.sync_names(id);
        }
        Ok(())
    }

    /// Loses what a sync should have brought to the medium: the cache counts it as clean.
    pub(crate) fn fail_sync(&mut self, id: NodeId, all: bool) {
        drop(self.take_content(id, all));
        if self.node(id).cached.kind() == FileKind::Directory {
            self.fail_sync_names(id);
        }
    }

    fn check_syncable(&self, id: NodeId) -> Answer<()> {
        match self.node(id).cached.kind() {
            FileKind::Regular | FileKind::Directory => Ok(()),
            FileKind::Symlink | FileKind::Special => Err(OsError::EINVAL),
        }
    }

    fn take_content(&mut self, id: NodeId, all: bool) -> Vec<Change> {
        let covered = |change: &Change| {
            change.content_of() == Some(id)
                && (all || !matches!(change, Change::Description { .. }))
        };
        self.unsynced.extract_if(.., |item| covered(&item.change)).map(|item| item.change).collect()
    }

    /// Lets cache and medium share their bytes again once they are the same.
    fn share_if_equal(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        if node.cached == node.medium {
            node.medium = Arc::clone(&node.cached);
        }
    }

    /// Stamps a change of the description, and of the content if `content`.
    fn touch(&mut self, id: NodeId, content: bool) {
        let stamp = self.stamp();
        let node = self.node_mut(id);
        node.changed = stamp;
        if content {
            node.modified = stamp;
        }
    }

    fn record_description(&mut self, id: NodeId) {
        self.begin();
        self.touch(id, false);
        let image = &self.node(id).cached;
        let (mode, user_id, group_id) = (image.mode, image.user_id, image.group_id);
        self.record(Change::Description { node: id, mode, user_id, group_id });
    }

    /// Records the size if the medium would not get it anyway. After a failed sync that is every
    /// next write: the size belongs to the inode, and a write makes the inode dirty again.
    fn record_size(&mut self, id: NodeId) {
        let size = self.node(id).cached.size();
        let coming = self.unsynced.iter().rev().find_map(|item| match item.change {
            Change::Size { node, size } if node == id => Some(size),
            _ => None,
        });
        if coming.unwrap_or_else(|| self.node(id).medium.size()) != size {
            self.record(Change::Size { node: id, size });
        }
    }

    /// Records every sector of which the range `start..end` is a part.
    fn record_sectors(&mut self, id: NodeId, start: usize, end: usize) {
        let image = Arc::clone(&self.node(id).cached);
        let Some(bytes) = image.bytes() else { return };
        for offset in (start - start % SECTOR_SIZE..end).step_by(SECTOR_SIZE) {
            let until = (offset + SECTOR_SIZE).min(bytes.len());
            if let Some(sector) = bytes.get(offset..until) {
                self.record(Change::Sector { node: id, offset, bytes: sector.into() });
            }
        }
    }
}

/// An offset or size as the kernel takes it: not beyond `i64`.
pub(crate) fn checked(offset: u64) -> Answer<usize> {
    i64::try_from(offset)
        .ok()
        .and_then(|offset| usize::try_from(offset).ok())
        .ok_or(OsError::EINVAL)
}
