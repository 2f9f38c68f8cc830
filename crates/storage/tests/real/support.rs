//! A directory of a test's own, and the site that tests have.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tidemark_storage::{File, Open, RealStorage, Site, Storage};

/// Where tests call from.
pub(crate) const HERE: Site = Site::Test;

/// A directory of a test's own, gone with it.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory can be made"))
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A new file with this content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> Box<dyn File> {
        let file = open(&self.path(name), Open::new_file(0o600)).expect("it is new");
        file.write_all(HERE, content, 0).expect("there is room");
        file
    }
}

pub(crate) fn open(path: &Path, how: Open) -> tidemark_storage::Result<Box<dyn File>> {
    RealStorage.open(HERE, path, how)
}

/// Makes a FIFO.
pub(crate) fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO can be made");
}
