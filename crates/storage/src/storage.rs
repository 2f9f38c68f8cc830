//! Paths, the clock and randomness.

use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{File, FileSystem, Open, Result, Site, Stat};

/// A machine: its file systems, its clock and its randomness.
///
/// The rules S1 to S5 of the crate's documentation bind every implementation.
pub trait Storage: Debug + Send + Sync {
    /// Opens or makes a file (S2).
    ///
    /// # Errors
    /// Whatever `open` answers; `ELOOP` for a symbolic link at the last component.
    fn open(&self, site: Site, path: &Path, how: Open) -> Result<Box<dyn File>>;

    /// Gives a file another name, replacing what has that name, in one step.
    ///
    /// # Errors
    /// Whatever `rename` answers.
    fn rename(&self, site: Site, from: &Path, to: &Path) -> Result<()>;

    /// Removes a name that is not a directory's.
    ///
    /// # Errors
    /// Whatever `unlink` answers.
    fn remove(&self, site: Site, path: &Path) -> Result<()>;

    /// Makes a directory with exactly this mode, whatever the umask.
    ///
    /// # Errors
    /// Whatever `mkdir` answers.
    fn make_dir(&self, site: Site, path: &Path, mode: u32) -> Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Whatever `rmdir` answers.
    fn remove_dir(&self, site: Site, path: &Path) -> Result<()>;

    /// Lists the names in a directory, without `.` and `..`, in no order.
    ///
    /// # Errors
    /// Whatever `open` and `getdents` answer.
    fn read_dir(&self, site: Site, path: &Path) -> Result<Vec<OsString>>;

    /// Opens a directory, so that [`File::sync_all`] brings its names to the medium later. What
    /// must not fail halfway opens it before it changes anything.
    ///
    /// # Errors
    /// Whatever `open` answers; `EACCES` where the directory may not be read.
    fn open_dir(&self, site: Site, path: &Path) -> Result<Box<dyn File>>;

    /// Brings the names in a directory to the medium: without it, a create, rename or unlink may
    /// be undone by a power cut.
    ///
    /// # Errors
    /// Whatever the medium answers. A failed sync is final (S4).
    fn sync_dir(&self, site: Site, path: &Path) -> Result<()>;

    /// Describes what a path leads to, through symbolic links.
    ///
    /// # Errors
    /// Whatever `stat` answers.
    fn stat(&self, site: Site, path: &Path) -> Result<Stat>;

    /// Describes what has this name, a symbolic link included.
    ///
    /// # Errors
    /// Whatever `lstat` answers.
    fn stat_link(&self, site: Site, path: &Path) -> Result<Stat>;

    /// The absolute path without symbolic links; every component must exist.
    ///
    /// # Errors
    /// Whatever `realpath` answers.
    fn real_path(&self, site: Site, path: &Path) -> Result<PathBuf>;

    /// Describes the file system under a path.
    ///
    /// # Errors
    /// Whatever `statfs` answers.
    fn file_system(&self, site: Site, path: &Path) -> Result<FileSystem>;

    /// Whether [`File::map`] maps files of any size, or only a few pages.
    fn maps_large_files(&self) -> bool {
        true
    }

    /// Whether [`Storage::rename`] replaces what somebody has open, or what this process has open
    /// may be in its way. Where it is not certain, nothing is kept open between two calls, and no
    /// equal number or time shows that a file is still the same: FAT gives the number of a file
    /// that is gone to the next one, and counts time in steps of two seconds.
    fn replaces_open_files(&self) -> bool {
        true
    }

    /// Whether one file answers to several names: in another case ([`crate::folded`]), or in short
    /// ([`crate::is_short`]). [`Storage::real_path`] tells the one that it has then.
    fn folds_names(&self) -> bool {
        false
    }

    /// Time since some fixed moment of this machine; never goes back.
    fn monotonic(&self) -> Duration;

    /// Time since 1970-01-01 UTC, as far as this machine knows. Names only: nothing may be
    /// decided by it.
    fn unix_time(&self) -> Duration;

    /// Fills a buffer with random bytes fit for names that nobody can guess.
    ///
    /// # Errors
    /// Whatever the source of randomness answers.
    fn random(&self, site: Site, into: &mut [u8]) -> Result<()>;
}
