//! JF-11: the lock file, or the state file, replaced while a writer is about to write.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidemark_core::checkpoint::{JsonFileOptions, Store};
use tidemark_core::{ErrorKind, Storage};
use tidemark_storage::Site;

use super::support::{
    HANG, Hold, Hooked, Mailbox, Process, Scratch, applied, at, disk, eventually, expected, inode,
    key, waiters, write_as_another_program,
};

/// Storage on which something happens when a temporary is about to be synced, so often.
fn with_an_intruder(times: usize, act: impl Fn() + Send + Sync + 'static) -> Arc<dyn Storage> {
    let left = AtomicUsize::new(times);
    Hooked::storage(move |site| {
        let less = |left: usize| left.checked_sub(1);
        let due = site == Site::JsonSync;
        if due && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            act();
        }
        None
    })
}

fn replace(lock: &Path) {
    fs::remove_file(lock).unwrap();
    fs::write(lock, "").unwrap();
}

fn open(scratch: &Scratch, storage: Arc<dyn Storage>, lock_timeout: Duration) -> Store {
    let options = JsonFileOptions { lock_timeout, ..JsonFileOptions::default() };
    Process::on(storage).try_open(&scratch.state(), options).unwrap()
}

/// The put that is under way when the lock file is replaced starts again, and keeps what another
/// writer has put under the new lock meanwhile.
#[test]
fn a_put_whose_lock_file_is_replaced_starts_again_on_what_the_other_writer_left() {
    let scratch = Scratch::new();
    let (lock, state) = (scratch.lock(), scratch.state());
    let storage = with_an_intruder(1, move || {
        replace(&lock);
        Process::new().open(&state).put(&key(2), at(5)).unwrap();
    });
    let store = open(&scratch, storage, HANG);
    assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1)), (key(2), at(5))]));
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"]);
}

/// GC-10, GC-3, GC-6: while it waits for the new lock it is queued again: it times out at its time,
/// and nothing was written.
#[test]
fn a_put_that_starts_again_waits_for_the_new_lock_and_can_time_out() {
    for patient in [false, true] {
        let scratch = Scratch::new();
        let (lock, holder) = (scratch.lock(), Arc::new(std::sync::Mutex::new(None)));
        let taken = Arc::clone(&holder);
        let storage = with_an_intruder(1, move || {
            fs::remove_file(&lock).unwrap();
            *taken.lock().unwrap() = Some(Hold::take(&lock));
        });
        let timeout = if patient { HANG } else { Duration::from_millis(200) };
        let store = open(&scratch, storage, timeout);
        let mailbox = Mailbox::new();
        mailbox.put(&store, 1, &key(1), at(1));
        if patient {
            eventually("the new holder is there", || holder.lock().unwrap().is_some());
            let lock = inode(&scratch.lock());
            eventually("the put waits for it", || waiters(lock) == 1);
            assert!(!scratch.state().exists(), "nothing is written under the old lock");
            holder.lock().unwrap().take();
            mailbox.next().1.unwrap();
            assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
        } else {
            let error = mailbox.next().1.unwrap_err();
            assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::LockTimeout, false));
            assert_eq!(scratch.names(), ["state.json.lock"]);
        }
    }
}

/// Somebody who never stops is told of, not waited out; then the store works as before.
#[test]
fn a_put_gives_up_where_the_lock_file_never_stays() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let store = open(&scratch, with_an_intruder(100, move || replace(&lock)), HANG);
    let error = store.put(&key(1), at(1)).unwrap_err();
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, false));
    assert_eq!(error.path(), Some(scratch.lock().as_path()));
    assert_eq!(scratch.names(), ["state.json.lock"], "nothing was written, nothing is left");
    assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)));
}

/// A program that replaces the state file without the lock, in the middle of a put, is not
/// overwritten: the put is judged again on what it wrote.
#[test]
fn a_put_beside_a_program_that_takes_no_lock_keeps_what_that_wrote() {
    let scratch = Scratch::new();
    let state = scratch.state();
    let storage = with_an_intruder(1, move || write_as_another_program(&state, [(key(1), at(9))]));
    let store = open(&scratch, storage, HANG);
    assert!(!store.put(&key(1), at(3)).unwrap().applied);
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(9))]));
}
