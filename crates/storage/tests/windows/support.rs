//! A directory of a test's own, and what all of them ask.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tidemark_storage::{File, LockMode, Open, RealStorage, Result, Site, Storage};

/// Where tests call from.
pub(crate) const HERE: Site = Site::Test;
/// Longer than anything takes that ends.
pub(crate) const HANG: Duration = Duration::from_secs(60);
/// Somebody has a file open and does not share it.
pub(crate) const SHARING_VIOLATION: i32 = 32;
pub(crate) const PAGE: usize = 4096;

/// A directory of a test's own, gone with it.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> Box<dyn File> {
        let file = self.open(name, Open::new_file(0o600)).unwrap();
        file.write_all(HERE, content, 0).unwrap();
        file
    }

    pub(crate) fn open(&self, name: &str, how: Open) -> Result<Box<dyn File>> {
        RealStorage.open(HERE, &self.path(name), how)
    }
}

/// Wine has no POSIX way to rename and to remove, and no links: what needs them is shown on Windows
/// alone.
pub(crate) fn is_wine() -> bool {
    let is_wine = fs::exists(r"C:\windows\system32\winecfg.exe").unwrap();
    if is_wine {
        println!("not all is shown: Wine differs here");
    }
    is_wine
}

pub(crate) fn errno<T>(answer: Result<T>) -> i32 {
    answer.err().map_or(0, |error| error.errno)
}

pub(crate) fn tries(file: &dyn File, site: Site, mode: LockMode) -> bool {
    file.try_lock(site, mode).unwrap()
}
