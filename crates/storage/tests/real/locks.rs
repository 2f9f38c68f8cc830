//! S3 and S5: `flock`.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::fs;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tidemark_storage::{File, LockMode, Open, RealStorage, Storage};

use super::support::{HERE, Scratch, open};

const HANG: Duration = Duration::from_secs(60);

fn twice(scratch: &Scratch) -> (Box<dyn File>, Box<dyn File>) {
    scratch.file("lock", b"");
    let path = scratch.path("lock");
    (open(&path, Open::READ_WRITE).unwrap(), open(&path, Open::READ_WRITE).unwrap())
}

fn tries(file: &dyn File, mode: LockMode) -> bool {
    file.try_lock(HERE, mode).unwrap()
}

/// Two opens of one file exclude each other, within a process as well.
#[test]
fn an_exclusive_lock_excludes_every_other_open_file() {
    let scratch = Scratch::new();
    let (one, other) = twice(&scratch);
    assert!(tries(one.as_ref(), LockMode::Exclusive));
    assert!(tries(one.as_ref(), LockMode::Exclusive), "its own lock is no obstacle");
    assert!(!tries(other.as_ref(), LockMode::Exclusive));
    assert!(!tries(other.as_ref(), LockMode::Shared));
    one.unlock(HERE).unwrap();
    assert!(tries(other.as_ref(), LockMode::Exclusive));
}

#[test]
fn shared_locks_are_beside_each_other() {
    let scratch = Scratch::new();
    let (one, other) = twice(&scratch);
    assert!(tries(one.as_ref(), LockMode::Shared));
    assert!(tries(other.as_ref(), LockMode::Shared));
    assert!(!tries(one.as_ref(), LockMode::Exclusive));
    other.unlock(HERE).unwrap();
    assert!(tries(one.as_ref(), LockMode::Exclusive));
}

/// A file that was opened to read only can be locked too: sweepers do that.
#[test]
fn a_file_opened_to_read_can_be_locked() {
    let scratch = Scratch::new();
    let (one, _) = twice(&scratch);
    let reader = open(&scratch.path("lock"), Open::READ).unwrap();
    assert!(tries(reader.as_ref(), LockMode::Exclusive));
    assert!(!tries(one.as_ref(), LockMode::Exclusive));
}

/// S5: dropping a file frees its lock.
#[test]
fn dropping_a_file_frees_its_lock() {
    let scratch = Scratch::new();
    let (one, other) = twice(&scratch);
    assert!(tries(one.as_ref(), LockMode::Exclusive));
    let (tell, granted) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            other.lock(HERE, LockMode::Exclusive).unwrap();
            tell.send(()).unwrap();
        });
        assert!(granted.try_recv().is_err());
        drop(one);
        granted.recv_timeout(HANG).expect("the lock is granted");
    });
}

/// S3: `lock` blocks in the kernel until the holder lets go.
#[test]
fn a_lock_that_is_held_is_waited_for_in_the_kernel() {
    let scratch = Scratch::new();
    let (one, other) = twice(&scratch);
    let inode = one.stat(HERE).unwrap().id.inode;
    assert!(tries(one.as_ref(), LockMode::Exclusive));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| other.lock(HERE, LockMode::Shared).unwrap());
        let began = RealStorage.monotonic();
        while !waits(inode) {
            assert!(RealStorage.monotonic() < began + HANG, "nobody waits");
            thread::yield_now();
        }
        assert!(!waiter.is_finished());
        one.unlock(HERE).unwrap();
        waiter.join().unwrap();
    });
    assert!(!tries(one.as_ref(), LockMode::Exclusive));
}

/// Whether the kernel's table of locks shows somebody who waits for this inode.
fn waits(inode: u64) -> bool {
    let table = fs::read_to_string("/proc/locks").unwrap();
    let inode = format!(":{inode} ");
    table.lines().any(|line| line.contains("->") && line.contains(&inode))
}

/// The holder of a lock is known by its process id, as far as the system tells.
#[test]
fn the_holder_of_a_lock_is_known() {
    let scratch = Scratch::new();
    let (one, other) = twice(&scratch);
    assert_eq!(other.lock_holder(HERE), None);
    assert!(tries(one.as_ref(), LockMode::Exclusive));
    assert_eq!(other.lock_holder(HERE), Some(std::process::id()));
    one.unlock(HERE).unwrap();
    assert_eq!(other.lock_holder(HERE), None);
}
