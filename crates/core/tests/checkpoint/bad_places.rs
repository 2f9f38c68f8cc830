//! Names that no store may have, and what is no file in the place of one, a FIFO or a device:
//! refused, and not so much as opened.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use tidemark_core::atomic_write::{AtomicWriteOptions, write_file_atomic};
use tidemark_core::checkpoint::JsonFileOptions;
use tidemark_core::file_lock::FileLock;
use tidemark_core::{ErrorKind, LockMode, Result};

use super::support::{Process, Scratch, at, key, real};

const TEMPORARY: &str = ".tidemark-0123456789abcdef0123456789ABCDEF.tmp";

#[track_caller]
fn is_invalid<T>(result: Result<T>) {
    assert_eq!(result.err().map(|error| error.kind()), Some(ErrorKind::InvalidArgument));
}

/// Whatever opens, locks or writes a file by a path.
#[track_caller]
fn all_refuse(path: &Path) {
    is_invalid(Process::new().try_open(path, JsonFileOptions::default()));
    is_invalid(write_file_atomic(&real(), path, b"new", AtomicWriteOptions::default()));
    is_invalid(FileLock::try_acquire(&real(), path, LockMode::Exclusive, false));
}

/// T-3 lets any writer in the directory unlink it: a put that was acknowledged was gone.
#[test]
fn the_name_of_a_temporary_is_refused_because_the_next_write_would_sweep_the_file() {
    let scratch = Scratch::new();
    all_refuse(&scratch.path(TEMPORARY));
    fs::write(scratch.path(TEMPORARY), "").unwrap();
    std::os::unix::fs::symlink(TEMPORARY, scratch.path("link")).unwrap();
    all_refuse(&scratch.path(TEMPORARY));
    all_refuse(&scratch.path("link"));
    assert_eq!(scratch.names(), [TEMPORARY, "link"]);
}

/// The system follows such a path to a directory only; a file with the name before it was made.
#[test]
fn a_path_that_ends_in_a_dot_is_refused() {
    let scratch = Scratch::new();
    for path in ["missing/.", "missing/./."] {
        all_refuse(&scratch.path(path));
    }
    assert!(scratch.names().is_empty());
}

/// Opening a FIFO, in whatever way, wakes who waits for its other end.
#[test]
fn a_fifo_in_the_place_of_lock_file_or_temporary_is_not_opened() {
    let scratch = Scratch::new();
    // A lock file would be opened to read and write, a stray to read: who waits for that is there.
    for (name, writes) in [("state.json.lock", false), (TEMPORARY, true)] {
        let fifo = scratch.fifo(name);
        let (tell, woken) = channel();
        let waiting = fifo.clone();
        let other = std::thread::spawn(move || {
            drop(File::options().read(!writes).write(writes).open(waiting).unwrap());
            tell.send(()).unwrap();
        });
        let store = Process::new().open(&scratch.state());
        let put = store.put(&key(1), at(1));
        match name {
            TEMPORARY => assert!(put.unwrap().applied),
            _ => is_invalid(put),
        }
        // No event tells that nobody is woken; a moment shows it on a machine of any speed, and
        // too short a one can only hide the defect.
        assert!(woken.recv_timeout(Duration::from_millis(20)).is_err(), "{name} was opened");
        drop(File::options().read(writes).write(!writes).open(&fifo).unwrap());
        other.join().unwrap();
        fs::remove_file(fifo).unwrap();
    }
}

/// `open` of a socket answers ENXIO, which tells nobody what to do.
#[test]
fn a_socket_in_the_place_of_a_file_is_called_what_it_is() {
    let scratch = Scratch::new();
    let socket = UnixListener::bind(scratch.path("socket")).unwrap();
    all_refuse(&scratch.path("socket"));
    drop(socket);
    let store = Process::new().open(&scratch.state());
    let _lock = UnixListener::bind(scratch.lock()).unwrap();
    is_invalid(store.put(&key(1), at(1)));
    fs::remove_file(scratch.lock()).unwrap();
    store.put(&key(1), at(1)).unwrap();
    fs::remove_file(scratch.state()).unwrap();
    let _state = UnixListener::bind(scratch.state()).unwrap();
    is_invalid(store.put(&key(1), at(2)));
    is_invalid(store.refresh());
}
