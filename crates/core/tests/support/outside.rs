//! The disk, the locks and other processes, without the library.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A directory of a test's own, gone with it.
pub(crate) struct Scratch {
    directory: TempDir,
    root: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let root = fs::canonicalize(directory.path()).expect("it is there");
        Self { directory, root }
    }

    /// Lets it stay, for people to look at.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        self.root.clone()
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The state file that most tests use.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state.json")
    }

    /// Its lock file, as `docs/format/state-file.md`, "Files", names it.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path("state.json.lock")
    }

    /// Every name in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).expect("it can be listed");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// A FIFO, on which a careless open blocks for ever.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        path
    }
}

/// A lock that another process holds, as far as the library can tell: it is a `flock` on another
/// open file.
pub(crate) struct Hold(File);

impl Hold {
    /// Takes the lock of a file, which is made if need be.
    pub(crate) fn take(path: &Path) -> Self {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .expect("the lock file opens");
        file.lock().expect("it is granted");
        Self(file)
    }

    /// Whether somebody else has the lock.
    pub(crate) fn is_taken(path: &Path) -> bool {
        let file = File::open(path).expect("the lock file opens");
        let taken = file.try_lock().is_err();
        // Not left to the end of the descriptor, which a process just being started may share.
        file.unlock().expect("it is freed");
        taken
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.unlock().expect("it is freed");
    }
}

/// The inode that a path leads to.
pub(crate) fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("it is there").ino()
}

/// How many threads and processes wait for the lock of a file, as the kernel tells.
pub(crate) fn waiters(inode: u64) -> usize {
    let table = fs::read_to_string("/proc/locks").expect("the kernel tells its locks");
    let is_waiter = |line: &&str| {
        let mut fields = line.split_ascii_whitespace();
        fields.nth(1) == Some("->") && fields.any(|field| field.ends_with(&format!(":{inode}")))
    };
    table.lines().filter(is_waiter).count()
}

/// Runs the rest of a test in a process of its own, which a shell starts after `prelude`, as a
/// user without privileges if `unprivileged` and this one is root. True in that process, false in
/// this one once the other has passed.
pub(crate) fn again_in_a_process_of_its_own(test: &str, prelude: &str, unprivileged: bool) -> bool {
    use std::os::unix::process::CommandExt;
    const MARK: &str = "TIDEMARK_TEST_OF_ITS_OWN";
    const NOBODY: u32 = 65_534;
    if std::env::var(MARK).is_ok_and(|running| running == test) {
        return true;
    }
    // Copied, because another user may not reach the build directory; by another process, because
    // a program that somebody has open to write cannot be started, and a fork shares descriptors.
    let place = tempfile::tempdir().expect("a directory can be made");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let copy = place.path().join("test");
    let own = std::env::current_exe().expect("this is a program");
    let copied = Command::new("cp").arg(own).arg(&copy).status().expect("cp runs");
    assert!(copied.success());
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{prelude}\nexec \"$0\" \"$@\"")).arg(&copy);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(MARK, test).env("TMPDIR", place.path()).current_dir(place.path());
    if unprivileged && inode_owner(Path::new("/proc/self")) == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("the shell runs");
    let report = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && report.contains("1 passed"),
        "{}\n{report}\n{errors}",
        output.status
    );
    false
}

fn inode_owner(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").uid()
}
