//! L-1: a lock file that was replaced, or is something else.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_core::checkpoint::Outcome;
use tidemark_core::{Error, ErrorKind};

use super::support::{
    Hold, Mailbox, Process, Scratch, applied, at, disk, eventually, expected, inode, key, waiters,
};

/// L-1: the lock file is replaced while a put waits for it. The grant on the old file is worth
/// nothing: the put goes on to wait for the new one, which another process holds.
#[test]
fn a_lock_file_replaced_during_the_wait_is_noticed() {
    let scratch = Scratch::new();
    let old = Hold::take(&scratch.lock());
    let store = Process::new().open(&scratch.state());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    let lock = inode(&scratch.lock());
    eventually("the put waits for the old file", || waiters(lock) == 1);
    fs::remove_file(scratch.lock()).unwrap();
    let new = Hold::take(&scratch.lock());
    drop(old);
    let lock = inode(&scratch.lock());
    eventually("the put waits for the new file", || waiters(lock) == 1);
    assert!(mailbox.is_empty());
    assert_eq!(scratch.names(), ["state.json.lock"], "nothing was written under the old lock");
    drop(new);
    assert_eq!(mailbox.next().1.unwrap(), Outcome::Put(vec![applied(at(1))]));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
}

/// L-1: a lock file deleted during the wait is made again, and the put goes on.
#[test]
fn a_lock_file_deleted_during_the_wait_is_made_again() {
    let scratch = Scratch::new();
    let hold = Hold::take(&scratch.lock());
    let store = Process::new().open(&scratch.state());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    let lock = inode(&scratch.lock());
    eventually("the put waits", || waiters(lock) == 1);
    fs::remove_file(scratch.lock()).unwrap();
    drop(hold);
    assert_eq!(mailbox.next().1.unwrap(), Outcome::Put(vec![applied(at(1))]));
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"]);
}

/// L-1: between two puts of one process, whose descriptor of the lock file stays open.
#[test]
fn a_lock_file_replaced_between_two_puts_is_noticed() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    fs::remove_file(scratch.lock()).unwrap();
    let hold = Hold::take(&scratch.lock());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(2));
    let lock = inode(&scratch.lock());
    eventually("the put waits for the new file", || waiters(lock) == 1);
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
    drop(hold);
    assert_eq!(mailbox.next().1.unwrap(), Outcome::Put(vec![applied(at(2))]));
}

/// L-1: two writers, while somebody takes the lock file away again and again, under its lock.
/// (What comes of it where somebody asks nobody: `intruder` here, and `crash_lock_file`.)
#[test]
fn no_put_is_lost_while_the_lock_file_is_being_replaced() {
    let scratch = Scratch::new();
    let stores = [1, 2].map(|own| (own, Process::new().open(&scratch.state())));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = stores
            .iter()
            .map(|(own, store)| {
                scope.spawn(move || {
                    for sequence in 1..=20 {
                        assert!(store.put(&key(*own), at(sequence)).unwrap().applied);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let hold = Hold::take(&scratch.lock());
                fs::remove_file(scratch.lock()).unwrap();
                drop(hold);
                std::thread::yield_now();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(20)), (key(2), at(20))]));
}

fn put_error(scratch: &Scratch) -> Error {
    let store = Process::new().open(&scratch.state());
    let error = store.put(&key(1), at(1)).unwrap_err();
    assert_eq!(store.get(&key(1)).unwrap(), None);
    error
}

/// A FIFO, a directory, a link or a socket in the place of the lock file is a typed error;
/// nothing hangs and no link is followed.
#[test]
fn a_lock_file_that_is_no_regular_file_is_refused() {
    for place in ["fifo", "directory", "link", "dangling", "socket"] {
        let scratch = Scratch::new();
        match place {
            "fifo" => drop(scratch.fifo("state.json.lock")),
            "directory" => fs::create_dir(scratch.lock()).unwrap(),
            "link" => {
                fs::write(scratch.path("target"), "").unwrap();
                symlink("target", scratch.lock()).unwrap();
            }
            "dangling" => symlink("nowhere", scratch.lock()).unwrap(),
            _ => drop(std::os::unix::net::UnixListener::bind(scratch.lock()).unwrap()),
        }
        let before = scratch.names();
        let error = put_error(&scratch);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{place}: {error:?}");
        assert_eq!(error.path(), Some(scratch.lock().as_path()), "{place}");
        assert_eq!(scratch.names(), before, "{place}");
    }
}

/// L-4: a lock file that somebody filled is locked all the same and stays as it is.
#[test]
fn a_lock_file_is_never_written_to() {
    let scratch = Scratch::new();
    fs::write(scratch.lock(), "a note").unwrap();
    let before = inode(&scratch.lock());
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    store.close_blocking();
    assert_eq!(fs::read(scratch.lock()).unwrap(), b"a note");
    assert_eq!(inode(&scratch.lock()), before);
}
