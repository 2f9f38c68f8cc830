//! `write_file_atomic`: AW-1 to AW-3.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_core::atomic_write::{AtomicWriteOptions, write_file_atomic};
use tidemark_core::{Error, ErrorKind, Result, Storage};
use tidemark_storage::{OsError, Site};

use super::support::{Hooked, Scratch, again_in_a_process_of_its_own, inode, real};

fn write(path: &Path, content: &str) -> Result<()> {
    write_file_atomic(&real(), path, content.as_bytes(), AtomicWriteOptions::default())
}

fn refused(path: &Path) -> Error {
    write(path, "new").expect_err("it is refused")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// AW-1: an existing file is replaced, not written in place.
#[test]
fn a_file_is_made_or_replaced() {
    let scratch = Scratch::new();
    let path = scratch.path("file");
    write(&path, "one").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    let old = File::open(&path).unwrap();
    let before = inode(&path);
    write(&path, "").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "", "an empty content is a content");
    assert_ne!(inode(&path), before);
    assert_eq!(std::io::read_to_string(old).unwrap(), "one");
    assert_eq!(scratch.names(), ["file"], "nothing is left beside it");
}

/// A large content is written whole.
#[test]
fn a_large_content_is_written_whole() {
    let scratch = Scratch::new();
    let content: String = ('a'..='z').cycle().take(1_000_000).collect();
    write(&scratch.path("file"), &content).unwrap();
    assert!(fs::read_to_string(scratch.path("file")).unwrap() == content);
}

/// A new file is 0600 whatever the umask, an existing one keeps its mode, and a mode that is given
/// counts.
#[test]
fn modes_are_kept_or_given() {
    let name = "atomic_write::modes_are_kept_or_given";
    for prelude in ["umask 0277", "umask 0"] {
        if again_in_a_process_of_its_own(name, prelude, true) {
            let scratch = Scratch::new();
            fs::set_permissions(scratch.root(), Permissions::from_mode(0o700)).unwrap();
            let path = scratch.path("file");
            write(&path, "one").unwrap();
            assert_eq!(mode(&path), 0o600);
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
            write(&path, "two").unwrap();
            assert_eq!(mode(&path), 0o640);
            for given in [0o666, 0o444, 0o755] {
                let options = AtomicWriteOptions { mode: Some(given), durable: true };
                write_file_atomic(&real(), &path, b"three", options).unwrap();
                assert_eq!(mode(&path), given);
                write_file_atomic(&real(), &scratch.path("new"), b"", options).unwrap();
                assert_eq!(mode(&scratch.path("new")), given);
                fs::remove_file(scratch.path("new")).unwrap();
            }
            return;
        }
    }
}

/// AW-1 makes a new file: root who writes a user's file must not lock the user out by that.
#[test]
fn the_owner_is_kept_where_that_is_permitted() {
    let scratch = Scratch::new();
    let path = scratch.path("file");
    write(&path, "one").unwrap();
    if std::os::unix::fs::chown(&path, Some(1234), Some(4321)).is_err() {
        return; // Only root may give files away, and only then this can be seen.
    }
    write(&path, "two").unwrap();
    let stat = fs::metadata(&path).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (1234, 4321, 0o600));
    let options = AtomicWriteOptions { mode: Some(0o4755), durable: false };
    write_file_atomic(&real(), &path, b"three", options).unwrap();
    let stat = fs::metadata(&path).unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o7777), (1234, 0o4755), "exactly the mode given");
}

/// A symbolic link is followed to its target, and stays a link.
#[test]
fn a_symbolic_link_is_followed() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("sub")).unwrap();
    fs::write(scratch.path("sub/target"), "one").unwrap();
    symlink("sub/target", scratch.path("link")).unwrap();
    write(&scratch.path("link"), "two").unwrap();
    assert_eq!(fs::read_to_string(scratch.path("sub/target")).unwrap(), "two");
    assert!(fs::symlink_metadata(scratch.path("link")).unwrap().is_symlink());
}

/// Error map: dangling and cyclic links, a missing parent, a parent that is a file.
#[test]
fn a_path_that_leads_nowhere_is_an_io_error() {
    let scratch = Scratch::new();
    fs::write(scratch.path("file"), "").unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    symlink("cycle", scratch.path("cycle")).unwrap();
    for (name, errno) in [
        ("dangling", OsError::ENOENT),
        ("cycle", OsError::ELOOP),
        ("nowhere/file", OsError::ENOENT),
        ("file/file", OsError::ENOTDIR),
    ] {
        let error = refused(&scratch.path(name));
        assert_eq!(error.kind(), ErrorKind::Io, "{name}");
        assert_eq!(error.os_error().unwrap().errno, errno, "{name}");
        assert!(!error.is_indeterminate(), "{name}");
    }
    assert_eq!(scratch.names(), ["cycle", "dangling", "file"]);
}

/// Error map: empty, NUL, a directory, and what is no regular file.
#[test]
fn a_path_that_is_no_files_is_an_invalid_argument() {
    let scratch = Scratch::new();
    let fifo = scratch.fifo("fifo");
    for path in [
        "".into(),
        "a\0b".into(),
        scratch.root().to_owned(),
        scratch.path("x/"),
        scratch.path(".."),
        fifo,
        "/".into(),
        "/dev/null".into(),
    ] {
        assert_eq!(refused(&path).kind(), ErrorKind::InvalidArgument, "{}", path.display());
    }
    assert_eq!(scratch.names(), ["fifo"]);
}

fn failing(site: Site, errno: i32) -> Arc<dyn Storage> {
    Hooked::storage(move |now| (now == site).then_some(errno))
}

/// AW-3: before the rename the target is as it was, and no temporary stays.
#[test]
fn a_failure_before_the_rename_leaves_the_target_alone() {
    for site in [
        Site::AtomicStat,
        Site::TempName,
        Site::TempCreate,
        Site::TempLock,
        Site::TempOwner,
        Site::TempWrite,
        Site::AtomicSync,
        Site::AtomicRename,
    ] {
        let scratch = Scratch::new();
        let path = scratch.path("file");
        fs::write(&path, "old").unwrap();
        let storage = failing(site, OsError::EIO);
        let written = write_file_atomic(&storage, &path, b"new", AtomicWriteOptions::default());
        let error = written.expect_err("it failed");
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, false), "{site:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old", "{site:?}");
        assert_eq!(scratch.names(), ["file"], "{site:?}");
    }
}

/// A full device has a code of its own.
#[test]
fn a_full_device_leaves_the_target_alone() {
    for site in [Site::TempCreate, Site::TempWrite, Site::AtomicSync] {
        let scratch = Scratch::new();
        let path = scratch.path("file");
        fs::write(&path, "old").unwrap();
        let storage = failing(site, OsError::ENOSPC);
        let written = write_file_atomic(&storage, &path, b"new", AtomicWriteOptions::default());
        assert_eq!(written.unwrap_err().kind(), ErrorKind::NoSpace, "{site:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old", "{site:?}");
        assert_eq!(scratch.names(), ["file"], "{site:?}");
    }
}

/// AW-3: after it, the outcome is unknown.
#[test]
fn a_failed_directory_sync_is_indeterminate() {
    let scratch = Scratch::new();
    let storage = failing(Site::AtomicSyncDir, OsError::EIO);
    let path = scratch.path("file");
    let written = write_file_atomic(&storage, &path, b"new", AtomicWriteOptions::default());
    let error = written.unwrap_err();
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, true));
}

/// AW-2: without `durable` nothing is synced.
#[test]
fn a_write_that_is_not_durable_syncs_nothing() {
    let scratch = Scratch::new();
    let storage = Hooked::storage(|site| {
        matches!(site, Site::AtomicSync | Site::AtomicSyncDir).then_some(OsError::EIO)
    });
    let options = AtomicWriteOptions { mode: None, durable: false };
    write_file_atomic(&storage, &scratch.path("file"), b"new", options).unwrap();
    assert_eq!(fs::read_to_string(scratch.path("file")).unwrap(), "new");
}

/// "The old content or the new, never a mixture": two writers and a reader.
#[test]
fn readers_see_one_whole_content_while_two_writers_race() {
    let scratch = Scratch::new();
    let path = scratch.path("file");
    let content = |letter: &str| letter.repeat(100_000);
    write(&path, &content("a")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|letter| {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|_| write(path, &content(letter)).unwrap()))
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let seen = fs::read_to_string(&path).unwrap();
                assert!(seen == content("a") || seen == content("b"), "a mixture");
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(scratch.names(), ["file"]);
}

/// T-3: strays of killed writers are swept by the next write in the directory; a live writer's
/// temporary never is.
#[test]
fn strays_are_swept_and_live_temporaries_are_not() {
    let scratch = Scratch::new();
    let stray = |digit: &str| format!(".tidemark-{}.tmp", digit.repeat(32));
    fs::write(scratch.path(&stray("0")), "half a").unwrap();
    let alive = File::create(scratch.path(&stray("1"))).unwrap();
    alive.lock().unwrap();
    write(&scratch.path("file"), "new").unwrap();
    assert_eq!(scratch.names(), [stray("1"), "file".to_owned()]);
    alive.unlock().unwrap();
}

/// T-1, T-3: the temporary of a real writer that is killed in its write is swept; while it lives
/// it is not.
#[test]
fn a_writer_in_the_middle_of_its_write_is_not_disturbed() {
    use std::sync::mpsc::channel;
    let scratch = Scratch::new();
    let ((arrived, arrivals), (let_on, gate)) = (channel(), channel::<()>());
    let gate = std::sync::Mutex::new(gate);
    let storage = Hooked::storage(move |site| {
        if site == Site::AtomicSync {
            arrived.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        None
    });
    let slow = scratch.path("slow");
    let options = AtomicWriteOptions::default();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_file_atomic(&storage, &slow, b"slow", options));
        arrivals.recv().unwrap();
        write(&scratch.path("fast"), "fast").unwrap();
        assert_eq!(scratch.names().len(), 2, "fast, and the temporary of slow");
        let_on.send(()).unwrap();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(scratch.names(), ["fast", "slow"]);
    assert_eq!(fs::read_to_string(slow).unwrap(), "slow");
}
