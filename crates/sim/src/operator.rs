//! What a test, or an operator outside of the simulation, does to a disk and sees of it.
//!
//! Changes are durable at once: they bring along whatever was not yet synced of the file and of
//! the directory that they touch. The one exception says so.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tidemark_storage::{FileKind, OsError, Stat};

use crate::disk::Disk;
use crate::node::{Answer, Body, Entries, NodeId};
use crate::path::Last;

impl Disk {
    /// Writes a new file, in the place of what has the name.
    ///
    /// # Panics
    /// If the path does not allow it.
    #[track_caller]
    pub fn write_durable(&mut self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, mode: u32) {
        let (path, bytes) = (path.as_ref(), bytes.as_ref());
        self.operate("write", path, |disk| {
            if disk.walk(path, Last::Name)?.node.is_some() {
                disk.unlink(path)?;
            }
            let file = disk.make_durable(path, mode, Body::Regular(Vec::new()))?;
            disk.write_at(file, bytes, 0)?;
            disk.sync(file, true)
        });
    }

    /// Makes a new file in the place of another, of the same mode and owner: a new inode.
    ///
    /// # Panics
    /// If there is no file.
    #[track_caller]
    pub fn replace_durably(&mut self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = path.as_ref();
        let old =
            self.operate("replace", path, |disk| Ok(disk.describe(disk.find(path, Last::Keep)?)));
        // As a rename would, this makes the new file before the old one goes: no number returns.
        let held = self.operate("replace", path, |disk| disk.find(path, Last::Keep));
        self.hold(held);
        self.write_durable(path, bytes, old.mode);
        self.release(held);
        self.set_owner_durably(path, old.user_id, old.group_id);
    }

    /// Overwrites a file from its beginning and cuts it there, as an editor does that keeps the
    /// inode. Not durable.
    ///
    /// # Panics
    /// If there is no file.
    #[track_caller]
    pub fn edit_in_place(&mut self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let (path, bytes) = (path.as_ref(), bytes.as_ref());
        self.operate("edit", path, |disk| {
            let file = disk.find(path, Last::Follow)?;
            disk.write_at(file, bytes, 0)?;
            disk.set_len(file, bytes.len() as u64)
        });
    }

    /// Makes a directory.
    ///
    /// # Panics
    /// If the path does not allow it.
    #[track_caller]
    pub fn mkdir(&mut self, path: impl AsRef<Path>, mode: u32) {
        let path = path.as_ref();
        self.operate("mkdir", path, |disk| {
            disk.make_durable(path, mode, Body::Directory(Entries::new()))
        });
    }

    /// Makes a symbolic link at `link` that leads to `target`.
    ///
    /// # Panics
    /// If the path does not allow it.
    #[track_caller]
    pub fn symlink(&mut self, target: impl AsRef<Path>, link: impl AsRef<Path>) {
        let target: OsString = target.as_ref().into();
        let link = link.as_ref();
        self.operate("symlink", link, |disk| disk.make_durable(link, 0o777, Body::Symlink(target)));
    }

    /// Makes a FIFO.
    ///
    /// # Panics
    /// If the path does not allow it.
    #[track_caller]
    pub fn fifo(&mut self, path: impl AsRef<Path>, mode: u32) {
        let path = path.as_ref();
        self.operate("mkfifo", path, |disk| disk.make_durable(path, mode, Body::Special));
    }

    /// Gives a file a second name.
    ///
    /// # Panics
    /// If there is no file, or the name is taken.
    #[track_caller]
    pub fn hard_link(&mut self, file: impl AsRef<Path>, link: impl AsRef<Path>) {
        let (file, link) = (file.as_ref(), link.as_ref());
        self.operate("link", link, |disk| {
            let node = disk.find(file, Last::Keep)?;
            let place = disk.walk(link, Last::Name)?;
            if place.node.is_some() {
                return Err(OsError::EEXIST);
            }
            if disk.node(node).cached.kind() == FileKind::Directory {
                return Err(OsError::EPERM);
            }
            disk.link(place.parent(), &place.name, node);
            disk.sync_names(place.parent());
            Ok(())
        });
    }

    /// Removes a name: a file's, or an empty directory's.
    ///
    /// # Panics
    /// If there is no such name.
    #[track_caller]
    pub fn remove(&mut self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        self.operate("remove", path, |disk| {
            let parent = disk.walk(path, Last::Name)?.parent();
            match disk.unlink(path) {
                Err(OsError::EISDIR) => disk.remove_dir(path)?,
                other => other?,
            }
            disk.sync_names(parent);
            Ok(())
        });
    }

    /// Sets the permission bits of what a path leads to.
    ///
    /// # Panics
    /// If there is nothing.
    #[track_caller]
    pub fn set_mode_durably(&mut self, path: impl AsRef<Path>, mode: u32) {
        let path = path.as_ref();
        self.operate("chmod", path, |disk| {
            let node = disk.find(path, Last::Follow)?;
            disk.set_mode(node, mode)?;
            disk.sync(node, true)
        });
    }

    /// Gives what a path leads to to an owner and a group.
    ///
    /// # Panics
    /// If there is nothing.
    #[track_caller]
    pub fn set_owner_durably(&mut self, path: impl AsRef<Path>, user_id: u32, group_id: u32) {
        let path = path.as_ref();
        self.operate("chown", path, |disk| {
            let node = disk.find(path, Last::Follow)?;
            disk.set_owner(node, user_id, group_id)?;
            disk.sync(node, true)
        });
    }

    /// What a program reads from a file now; nothing if there is no regular file.
    #[must_use]
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let node = self.find(path.as_ref(), Last::Follow).ok()?;
        self.node(node).cached.bytes().cloned()
    }

    /// The names that a program sees in a directory now, in order; none if there is no directory.
    #[must_use]
    pub fn names(&self, directory: impl AsRef<Path>) -> Vec<String> {
        let names = self.find_directory(directory.as_ref()).map(|id| self.list(id));
        let names = names.unwrap_or_default();
        names
            .into_iter()
            .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
            .collect()
    }

    /// What has this name now, a symbolic link included.
    #[must_use]
    pub fn stat(&self, path: impl AsRef<Path>) -> Option<Stat> {
        self.find(path.as_ref(), Last::Keep).ok().map(|id| self.describe(id))
    }

    fn make_durable(&mut self, path: &Path, mode: u32, body: Body) -> Answer<NodeId> {
        let place = self.walk(path, Last::Name)?;
        let node = self.make(&place, mode, body)?;
        self.sync_names(place.parent());
        Ok(node)
    }

    /// Runs an operation that no limit concerns.
    #[track_caller]
    fn operate<T>(
        &mut self,
        what: &str,
        path: &Path,
        run: impl FnOnce(&mut Self) -> Answer<T>,
    ) -> T {
        self.tick();
        let limits = self.lift_limits();
        let answer = run(self);
        self.restore_limits(limits);
        match answer {
            Ok(value) => value,
            Err(errno) => {
                let error = std::io::Error::from_raw_os_error(errno);
                panic!("{what} {}: {error}", path.display());
            }
        }
    }
}
