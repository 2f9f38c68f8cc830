//! S3 and C11: locks of files and of directories, which are mandatory here.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::{env, fs, thread};

use tidemark_storage::{LockMode, Open, RealStorage, Site, Storage};

use crate::support::{HANG, HERE, PAGE, Scratch, tries};

/// S5, and what `flock` does: one lock for each open file, of either kind, one after the other.
#[test]
fn a_lock_excludes_every_other_open_file_and_ends_with_it() {
    for site in [Site::LockAcquire, Site::SegmentLock] {
        let scratch = Scratch::new();
        let one = scratch.file("lock", b"");
        let other = scratch.open("lock", Open::READ).unwrap();
        assert!(tries(one.as_ref(), site, LockMode::Exclusive));
        assert!(tries(one.as_ref(), site, LockMode::Exclusive), "its own lock is no obstacle");
        assert!(!tries(other.as_ref(), site, LockMode::Shared));
        assert!(tries(one.as_ref(), site, LockMode::Shared), "one kind instead of the other");
        assert!(tries(other.as_ref(), site, LockMode::Shared));
        assert!(!tries(one.as_ref(), site, LockMode::Exclusive));
        other.unlock(HERE).unwrap();
        other.unlock(HERE).unwrap();
        assert!(tries(one.as_ref(), site, LockMode::Exclusive));
        drop(one);
        assert!(tries(other.as_ref(), site, LockMode::Exclusive));
    }
}

/// Locks are mandatory: whoever reads a segment, or the state page, must not meet one.
#[test]
fn the_data_of_a_locked_file_is_read_and_written_by_others() {
    let scratch = Scratch::new();
    let data = vec![7; 3 * PAGE];
    for mode in [LockMode::Shared, LockMode::Exclusive] {
        let file = scratch.file("file", &data);
        for site in [Site::SegmentLock, Site::StateLock, Site::TempLock] {
            assert!(tries(file.as_ref(), site, mode));
            assert_eq!(fs::read(scratch.path("file")).unwrap(), data);
            let other = scratch.open("file", Open::READ_WRITE).unwrap();
            other.write_all(HERE, &data, 0).unwrap();
            assert!(!tries(other.as_ref(), Site::SweepLock, LockMode::Exclusive));
            // Also where locks bind only those who ask for them, as in Wine: the data is free.
            assert!(tries(other.as_ref(), Site::LockAcquire, LockMode::Exclusive));
        }
        drop(file);
        RealStorage.remove(HERE, &scratch.path("file")).unwrap();
    }
}

/// Rule 1.4 of the original's file: it locks the first byte of the lock file, others all of it.
#[test]
fn a_lock_file_excludes_those_who_lock_all_of_it() {
    let scratch = Scratch::new();
    let ours = scratch.file("state.json.lock", b"");
    let mut options = fs::OpenOptions::new();
    let theirs = options.read(true).write(true).open(scratch.path("state.json.lock")).unwrap();
    assert!(tries(ours.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert!(theirs.try_lock().is_err());
    ours.unlock(Site::LockRelease).unwrap();
    theirs.try_lock().unwrap();
    assert!(!tries(ours.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    drop(theirs);
    assert!(tries(ours.as_ref(), Site::LockAcquire, LockMode::Exclusive));
}

/// What frees a lock that nobody took makes no file for it.
#[test]
fn a_directory_that_was_never_locked_is_unlocked_without_a_trace() {
    let scratch = Scratch::new();
    let directory = RealStorage.open_dir(HERE, scratch.root()).unwrap();
    directory.unlock(Site::LockRelease).unwrap();
    assert!(RealStorage.read_dir(HERE, scratch.root()).unwrap().is_empty());
}

/// C11: a directory is locked by a file in it, which nobody takes away meanwhile.
#[test]
fn a_directory_is_locked_by_a_file_in_it() {
    let scratch = Scratch::new();
    let open = || RealStorage.open_dir(HERE, scratch.root()).unwrap();
    let (one, other) = (open(), open());
    assert!(tries(one.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert!(!tries(other.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert!(fs::remove_file(scratch.path("LOCK")).is_err());
    assert!(fs::rename(scratch.path("LOCK"), scratch.path("else")).is_err());
    one.unlock(Site::LockRelease).unwrap();
    open().unlock(Site::LockRelease).unwrap();
    assert!(tries(other.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    drop(other);
    assert!(tries(one.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert_eq!(RealStorage.read_dir(HERE, scratch.root()).unwrap(), ["LOCK"]);
}

/// S3: a lock is waited for, and granted when its holder is killed.
#[test]
fn a_lock_dies_with_the_process_that_holds_it() {
    const MARK: &str = "TIDEMARK_TEST_HOLDER";
    if let Some(path) = env::var_os(MARK) {
        let file = RealStorage.open(HERE, path.as_ref(), Open::READ_WRITE).unwrap();
        file.lock(HERE, LockMode::Exclusive).unwrap();
        println!("\nlocked");
        std::io::stdout().flush().unwrap();
        thread::park();
    }
    let scratch = Scratch::new();
    let file = scratch.file("file", b"");
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "locks::a_lock_dies_with_the_process_that_holds_it", "--nocapture"])
        .env(MARK, scratch.path("file"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(printed.map_while(std::io::Result::ok).any(|line| line.trim() == "locked"));
    assert!(!tries(file.as_ref(), HERE, LockMode::Shared));
    thread::scope(|scope| {
        let (tell, told) = channel();
        scope.spawn(move || {
            file.lock(HERE, LockMode::Exclusive).unwrap();
            tell.send(()).unwrap();
        });
        assert!(told.try_recv().is_err(), "nobody is let in before that");
        holder.kill().unwrap();
        told.recv_timeout(HANG).unwrap();
    });
    holder.wait().unwrap();
}
