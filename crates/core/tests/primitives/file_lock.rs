//! `FileLock::try_acquire`: L-1, L-4, and what may be locked.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use tidemark_core::file_lock::FileLock;
use tidemark_core::{Error, ErrorKind, LockMode, Result};
use tidemark_storage::OsError;

use super::support::{Hold, Scratch, again_in_a_process_of_its_own, inode, real};

fn try_acquire(path: &Path, mode: LockMode) -> Result<Option<FileLock>> {
    FileLock::try_acquire(&real(), path, mode, false)
}

fn exclusive(path: &Path) -> Option<FileLock> {
    try_acquire(path, LockMode::Exclusive).unwrap()
}

fn shared(path: &Path) -> Option<FileLock> {
    try_acquire(path, LockMode::Shared).unwrap()
}

fn refused(path: &Path) -> Error {
    try_acquire(path, LockMode::Exclusive).expect_err("it is refused")
}

/// One holder, until it lets go; also against who locks without this library.
#[test]
fn an_exclusive_lock_keeps_everybody_else_out() {
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    let lock = exclusive(&path).expect("nobody has it");
    assert_eq!(lock.path(), path);
    assert!(exclusive(&path).is_none());
    assert!(shared(&path).is_none());
    assert!(Hold::is_taken(&path));
    drop(lock);
    assert!(!Hold::is_taken(&path));
    assert!(exclusive(&path).is_some());
}

/// Shared holders are beside each other, and keep exclusive ones out.
#[test]
fn a_shared_lock_keeps_exclusive_holders_out() {
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    let (one, other) = (shared(&path).unwrap(), shared(&path).unwrap());
    assert!(exclusive(&path).is_none());
    drop(one);
    assert!(exclusive(&path).is_none());
    drop(other);
    assert!(exclusive(&path).is_some());
}

/// A lock of another process is respected.
#[test]
fn a_lock_of_another_process_is_respected() {
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    let hold = Hold::take(&path);
    assert!(exclusive(&path).is_none());
    drop(hold);
    assert!(exclusive(&path).is_some());
}

/// L-1: who holds a lock file that was replaced does not keep others from the new one, and a
/// grant is always on the file that the path leads to.
#[test]
fn a_replaced_lock_file_is_another_lock() {
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    let old = exclusive(&path).unwrap();
    let before = inode(&path);
    fs::remove_file(&path).unwrap();
    let new = exclusive(&path).expect("the path leads to a file that nobody holds");
    assert_ne!(inode(&path), before);
    drop(old);
    assert!(exclusive(&path).is_none(), "the old lock's end frees nothing of the new one");
    drop(new);
}

/// Created 0600 whatever the umask. L-4: never written to, never removed.
#[test]
fn a_lock_file_is_made_with_0600_and_stays() {
    let name = "file_lock::a_lock_file_is_made_with_0600_and_stays";
    if !again_in_a_process_of_its_own(name, "umask 0", false) {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    drop(exclusive(&path).unwrap());
    let made = fs::metadata(&path).unwrap();
    assert_eq!((made.mode() & 0o7777, made.len()), (0o600, 0));
    fs::write(&path, "a note").unwrap();
    drop(exclusive(&path).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"a note");
    assert_eq!(inode(&path), made.ino());
}

/// "`FileLock` takes regular files only", without hanging on a FIFO.
#[test]
fn what_is_no_regular_file_is_refused() {
    let scratch = Scratch::new();
    let fifo = scratch.fifo("fifo");
    symlink("fifo", scratch.path("link to fifo")).unwrap();
    for path in [
        fifo,
        scratch.path("link to fifo"),
        scratch.root().to_owned(),
        scratch.path("x/"),
        "/dev/null".into(),
        "".into(),
        "a\0b".into(),
        "..".into(),
    ] {
        assert_eq!(refused(&path).kind(), ErrorKind::InvalidArgument, "{}", path.display());
    }
}

/// Error map: a missing parent, a parent that is a file, a dangling or cyclic link.
#[test]
fn a_path_that_leads_nowhere_is_an_io_error() {
    let scratch = Scratch::new();
    fs::write(scratch.path("file"), "").unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    symlink("cycle", scratch.path("cycle")).unwrap();
    for (name, errno) in [
        ("nowhere/lock", OsError::ENOENT),
        ("file/lock", OsError::ENOTDIR),
        ("dangling", OsError::ENOENT),
        ("cycle", OsError::ELOOP),
    ] {
        let error = refused(&scratch.path(name));
        assert_eq!(error.kind(), ErrorKind::Io, "{name}");
        assert_eq!(error.os_error().unwrap().errno, errno, "{name}");
    }
    assert_eq!(scratch.names(), ["cycle", "dangling", "file"], "nothing was made");
}

/// A link is followed to its file: every path to a file is the same lock.
#[test]
fn a_link_to_a_lock_file_is_the_same_lock() {
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    fs::write(&path, "").unwrap();
    symlink("lock", scratch.path("link")).unwrap();
    let lock = exclusive(&scratch.path("link")).unwrap();
    assert_eq!(lock.path(), path, "its real path");
    assert!(exclusive(&path).is_none());
}

/// Promise 3 of the README: the kernel frees the lock of a process that dies.
#[test]
fn the_lock_of_a_process_that_dies_is_free() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    fs::write(&path, "").unwrap();
    let script = "exec 9<>\"$0\"; flock 9; echo held; exec sleep 600";
    let mut holder =
        Command::new("sh").args(["-c", script]).arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let mut held = [0; 5];
    holder.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
    assert!(exclusive(&path).is_none());
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(exclusive(&path).is_some());
}
