//! JF-11: the lock file, or the state file, replaced while a writer is about to write.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidemark_core::checkpoint::{JsonFileOptions, Recover, Store};
use tidemark_core::{ErrorKind, Storage};
use tidemark_storage::Site;

use super::support::{
    HANG, Hold, Hooked, Mailbox, Process, Scratch, applied, at, disk, eventually, expected, inode,
    key, waiters, write_as_another_program,
};

/// Storage on which something happens when a temporary is about to be synced, so often.
fn with_an_intruder(times: usize, act: impl Fn() + Send + Sync + 'static) -> Arc<dyn Storage> {
    with_an_intruder_at(Site::JsonSync, times, act)
}

fn with_an_intruder_at(
    at: Site,
    times: usize,
    act: impl Fn() + Send + Sync + 'static,
) -> Arc<dyn Storage> {
    let left = AtomicUsize::new(times);
    Hooked::storage(move |site| {
        let less = |left: usize| left.checked_sub(1);
        let due = site == at;
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

/// Somebody who never stops is told of, not waited out. The next put has all its attempts again.
#[test]
fn a_put_gives_up_where_the_lock_file_never_stays() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let store = open(&scratch, with_an_intruder(150, move || replace(&lock)), HANG);
    let error = store.put(&key(1), at(1)).unwrap_err();
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, false));
    assert_eq!(error.path(), Some(scratch.state().as_path()));
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

/// A store that repairs, on a damaged file.
fn repairing(scratch: &Scratch, storage: Arc<dyn Storage>) -> Store {
    let options = JsonFileOptions { recover: Recover::Quarantine, ..JsonFileOptions::default() };
    let store = Process::on(storage).try_open(&scratch.state(), options).unwrap();
    fs::write(scratch.state(), "damaged").unwrap();
    store
}

/// What lies in quarantine.
fn quarantined(scratch: &Scratch) -> Vec<String> {
    let names = scratch.names().into_iter();
    names.filter(|name| name.starts_with("state.json.corrupt-")).collect()
}

/// JF-11 holds for the rename into quarantine, too: a good file that took the place of the damaged
/// one, because another lock file let its writer in, is not moved away with what it acknowledged.
#[test]
fn a_repair_does_not_move_away_what_another_writer_has_put_in_the_place_of_the_damage() {
    let scratch = Scratch::new();
    let (lock, state) = (scratch.lock(), scratch.state());
    let storage = with_an_intruder_at(Site::JsonQuarantine, 1, move || {
        replace(&lock);
        let options =
            JsonFileOptions { recover: Recover::Quarantine, ..JsonFileOptions::default() };
        let other = Process::new().try_open(&state, options).unwrap();
        other.put(&key(2), at(5)).unwrap();
    });
    let store = repairing(&scratch, storage);
    assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1)), (key(2), at(5))]));
    assert_eq!(quarantined(&scratch).len(), 1);
}

/// The same without any lock: an operator puts a good copy back.
#[test]
fn a_repair_does_not_move_away_a_copy_that_was_just_restored() {
    let scratch = Scratch::new();
    let state = scratch.state();
    let storage = with_an_intruder_at(Site::DirectoryOpen, 1, move || {
        write_as_another_program(&state, [(key(1), at(9))]);
    });
    let store = repairing(&scratch, storage);
    assert!(!store.put(&key(1), at(3)).unwrap().applied);
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(9))]));
    assert_eq!(quarantined(&scratch), Vec::<String>::new());
}
