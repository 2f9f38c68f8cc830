//! A directory or a process of a test's own, and the site that tests have.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tidemark_storage::{File, Open, RealStorage, Site, Storage};

/// Where tests call from.
pub(crate) const HERE: Site = Site::Test;
/// What no page of any kernel is larger than (arm64 has them of 4, 16 and 64 KiB), and a multiple
/// of: what is behind it lies in another page.
pub(crate) const PAGE: usize = 64 << 10;

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

/// Runs the body of a test in a process of its own, which must live through it.
pub(crate) fn alone(test: &str, body: impl FnOnce(&Scratch)) {
    if let Some((signal, output)) = fate_alone(test, body) {
        assert!(signal.is_none() && output.contains("1 passed"), "{signal:?}\n{output}");
    }
}

/// Runs the body of a test in a process of its own, and tells the signal that ended it and what
/// it printed; nothing in that process itself. A word after the name of the test tells several
/// bodies of one test apart.
pub(crate) fn fate_alone(test: &str, body: impl FnOnce(&Scratch)) -> Option<(Option<i32>, String)> {
    const MARK: &str = "TIDEMARK_TEST_ALONE";
    let scratch = Scratch::new();
    match std::env::var(MARK) {
        Ok(running) if running == test => body(&scratch),
        Ok(_) => {}
        Err(_) => {
            let name = test.split(' ').next().expect("it has a name");
            let output = Command::new(std::env::current_exe().expect("this is a program"))
                .args(["--exact", name, "--nocapture", "--test-threads=1"])
                .env(MARK, test)
                // Where the process dies, its directory goes with ours.
                .env("TMPDIR", scratch.root())
                .output()
                .expect("it starts");
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed).into_owned();
            return Some((output.status.signal(), printed));
        }
    }
    None
}
