//! From the path that a user gives to the file that it means.
//!
//! Symbolic links are resolved once, when a store is opened: lock file and temporaries lie beside
//! the real file, so that every path to it leads to the same lock. Where one file answers to
//! several names, it is the one that the file has itself.

use std::ffi::{OsStr, OsString};
use std::path::{self, Path, PathBuf};

use tidemark_storage::{
    File, FileKind, FileSystem, FileSystemClass, OsError, Site, Stat, Storage, folded, is_plain,
    is_short,
};

use crate::checkpoint::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::registry::StoreId;
use crate::temporary;

/// How often a file is asked for its name that is replaced meanwhile.
const NAME_ATTEMPTS_MAX: usize = 16;

/// A file that exists or could be made, by its real path.
#[derive(Clone, Debug)]
pub(crate) struct RealPath {
    /// The file.
    pub(crate) file: PathBuf,
    /// The directory that holds it.
    pub(crate) directory: PathBuf,
    /// What makes it the same one.
    pub(crate) id: StoreId,
}

impl RealPath {
    /// Resolves a path to a regular file, or to nothing in a directory that exists.
    pub(crate) fn resolve(storage: &dyn Storage, path: &Path) -> Result<Self> {
        check(path)?;
        let site = Site::OpenResolve;
        let file = match storage.stat_link(site, path) {
            Ok(stat) if stat.kind == FileKind::Symlink => storage
                .real_path(site, path)
                .map_err(|os| Error::os("follow the symbolic link", path, os))?,
            Ok(_) => path.to_owned(),
            Err(os) if os.is_not_found() => path.to_owned(),
            Err(os) => return Err(Error::os("look at", path, os)),
        };
        let name = file.file_name().map(OsString::from).ok_or_else(|| not_a_file(path))?;
        check_name(path, &name)?;
        let parent = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let in_parent = |os| Error::os("find the directory", parent, os);
        let directory = storage.real_path(site, parent).map_err(in_parent)?;
        let stat = storage.stat(site, &directory).map_err(in_parent)?;
        if stat.kind != FileKind::Directory {
            return Err(in_parent(OsError::new(OsError::ENOTDIR, "stat")));
        }
        let file = directory.join(&name);
        match storage.stat_link(site, &file) {
            Ok(stat) if stat.kind == FileKind::Regular => {}
            Ok(_) => return Err(not_a_file(path)),
            Err(os) if os.is_not_found() => {}
            Err(os) => return Err(Error::os("look at", path, os)),
        }
        let id = StoreId { directory: stat.id, name };
        if storage.folds_names() {
            return Self { file, directory, id }.by_its_own_name(storage, path);
        }
        Ok(Self { file, directory, id })
    }

    /// The same file by the name that it has, whatever was written instead: in another case or in
    /// short, it would have another lock beside it.
    fn by_its_own_name(self, storage: &dyn Storage, path: &Path) -> Result<Self> {
        for _ in 0..NAME_ATTEMPTS_MAX {
            let real = match storage.real_path(Site::OpenResolve, &self.file) {
                Ok(real) => real,
                Err(os) if os.is_not_found() => return self.by_a_new_name(path),
                Err(os) => return Err(Error::os("ask for the name of", path, os)),
            };
            let holds = |parent: &Path| storage.stat(Site::OpenResolve, parent);
            // Replaced while it was asked, it may have told a name elsewhere.
            if real.parent().map(holds).transpose().is_ok_and(|stat| self.is_in(stat.as_ref()))
                && let Some(name) = real.file_name()
            {
                check_name(path, name)?;
                let id = StoreId { name: folded(name), ..self.id };
                return Ok(Self { file: self.directory.join(name), directory: self.directory, id });
            }
        }
        let message = format!("{} keeps being replaced; open it again", path.display());
        Err(Error::new(ErrorKind::Io, message).at(path))
    }

    /// A file that does not exist, which gets this name when it is made.
    fn by_a_new_name(self, path: &Path) -> Result<Self> {
        if is_short(&self.id.name) {
            let message = format!(
                "{} does not exist and may be read as the short name of another file; use another",
                path.display()
            );
            return Err(Error::invalid_argument(message).at(path));
        }
        let id = StoreId { name: folded(&self.id.name), ..self.id };
        Ok(Self { id, ..self })
    }

    fn is_in(&self, directory: Option<&Stat>) -> bool {
        directory.is_some_and(|stat| stat.id == self.id.directory)
    }

    /// Opens the directory that was found.
    pub(crate) fn open_directory(&self, storage: &dyn Storage) -> Result<Box<dyn File>> {
        let path = &self.directory;
        let failed = |os| Error::os("open the directory", path, os);
        let directory = storage.open_dir(Site::OpenResolve, path).map_err(failed)?;
        if directory.stat(Site::OpenResolve).map_err(failed)?.id == self.id.directory {
            return Ok(directory);
        }
        let message = format!(
            "another directory took the place of {} while it was opened; open it again",
            path.display()
        );
        Err(Error::new(ErrorKind::Io, message).at(path))
    }

    /// The file's name with something appended, beside it.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.file.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}

/// A directory that belongs to a store, by its real path.
#[derive(Clone, Debug)]
pub(crate) struct RealDirectory {
    /// The directory.
    pub(crate) path: PathBuf,
    /// What makes it the same one.
    pub(crate) id: StoreId,
}

impl RealDirectory {
    /// Mode of a directory that is made, whatever the umask.
    const MODE: u32 = 0o700;

    /// Resolves a path to a directory; makes it, durably, if asked and its parent exists.
    pub(crate) fn resolve(storage: &dyn Storage, path: &Path, create: bool) -> Result<Self> {
        check_bytes(path, "a directory")?;
        let site = Site::OpenResolve;
        let failed = |os| Error::os("find the directory", path, os);
        match storage.stat(site, path) {
            Ok(stat) if stat.kind == FileKind::Directory => {}
            Ok(_) => {
                let message = format!("{} is not a directory; name one", path.display());
                return Err(Error::invalid_argument(message).at(path));
            }
            Err(os) if os.is_not_found() && create => Self::make(storage, path)?,
            Err(os) => return Err(failed(os)),
        }
        let path = storage.real_path(site, path).map_err(failed)?;
        let directory = storage.stat(site, &path).map_err(failed)?.id;
        Ok(Self { path, id: StoreId { directory, name: OsString::new() } })
    }

    fn make(storage: &dyn Storage, path: &Path) -> Result<()> {
        let failed = |os| Error::os("make the directory", path, os);
        match storage.make_dir(Site::DirectoryMake, path, Self::MODE) {
            Ok(()) => {}
            // Somebody else was faster.
            Err(os) if os.errno == OsError::EEXIST => {}
            Err(os) => return Err(failed(os)),
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        storage.sync_dir(Site::DirectoryMake, parent).map_err(|os| {
            // The next sync would succeed and prove nothing: the name has to be made again.
            let _still_there = storage.remove_dir(Site::DirectoryMake, path);
            failed(os)
        })
    }

    /// Brings the name of the directory to the medium, whoever made it. Where that takes the right
    /// to make names beside it, and this process has none, whoever made it is believed.
    pub(crate) fn sync_name(&self, storage: &dyn Storage) -> Result<()> {
        let Some(parent) = self.path.parent() else { return Ok(()) };
        let site = Site::DirectoryMake;
        let is_refused = || {
            let opened = storage.open_dir(site, parent);
            opened.is_ok_and(|directory| directory.prepare_sync(Site::SyncPrepare).is_err())
        };
        match storage.sync_dir(site, parent) {
            Err(os) if os.errno == OsError::EACCES && is_refused() => Ok(()),
            synced => synced.map_err(|os| Error::os("sync the directory of", &self.path, os)),
        }
    }
}

/// Refuses what no path can be.
fn check_bytes(path: &Path, what: &str) -> Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        return Err(Error::invalid_argument(format!("the path is empty; name {what}")));
    }
    if bytes.contains(&0) {
        return Err(Error::invalid_argument("the path contains a NUL character"));
    }
    Ok(())
}

/// Refuses what can never be a file's path.
fn check(path: &Path) -> Result<()> {
    check_bytes(path, "a file")?;
    let bytes = path.as_os_str().as_encoded_bytes();
    // The path type forgets a last dot, with which the system follows a directory only.
    let place = bytes.strip_suffix(b".").unwrap_or(bytes);
    let is_in = |byte: &u8| path::is_separator(char::from(*byte));
    if place.last().is_some_and(is_in) || path.file_name().is_none() {
        return Err(not_a_file(path));
    }
    Ok(())
}

/// Refuses the names of temporaries, because the next write in the directory would sweep the file,
/// and those that the system takes for another file's, or for a device's.
fn check_name(path: &Path, name: &OsStr) -> Result<()> {
    if temporary::is_temporary(name) {
        let message = format!("{} has the name of a temporary file; use another", path.display());
        return Err(Error::invalid_argument(message).at(path));
    }
    if !is_plain(name) {
        let message = format!("{} may be read as another file's name; use another", path.display());
        return Err(Error::invalid_argument(message).at(path));
    }
    Ok(())
}

fn not_a_file(path: &Path) -> Error {
    let message = format!("{} is not a regular file; name one", path.display());
    Error::invalid_argument(message).at(path)
}

/// What a store may promise on the file system of its directory; refuses one whose locks and syncs
/// may not reach the disk or the other process, unless that is allowed by name.
pub(crate) fn durability(
    storage: &dyn Storage,
    directory: &Path,
    allow_network: bool,
) -> Result<(Durability, FileSystem)> {
    let file_system = storage
        .file_system(Site::OpenFileSystem, directory)
        .map_err(|os| Error::os("ask for the file system of", directory, os))?;
    let durability = match file_system.class {
        FileSystemClass::Proven => Durability::Proven,
        FileSystemClass::Volatile => Durability::None,
        FileSystemClass::Network if !allow_network => {
            let message = format!(
                "{} is on {}: {}; use a local file system, or set allowNetworkFs if you know \
                 that its locks and syncs can be trusted",
                directory.display(),
                file_system.name,
                file_system.reason
            );
            return Err(Error::new(ErrorKind::Unsupported, message).at(directory));
        }
        FileSystemClass::Unproven | FileSystemClass::Network => Durability::Unproven,
    };
    Ok((durability, file_system))
}
