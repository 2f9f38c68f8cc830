//! Waiting for a lock that another process holds: GC-6, GC-8, L-2 and L-3.

use std::sync::mpsc::channel;
use std::time::Duration;

use tidemark_core::ErrorKind;
use tidemark_core::checkpoint::{Condition, JsonFileOptions, Outcome, Store};

use super::support::{
    HANG, Hold, Mailbox, Process, Scratch, applied, at, disk, eventually, expected, inode, key,
    metric, waiters,
};

const SOON: Duration = Duration::from_millis(40);

fn impatient() -> JsonFileOptions {
    JsonFileOptions { lock_timeout: SOON, ..JsonFileOptions::default() }
}

/// Waits until the store's thread waits for the lock.
fn until_it_waits(scratch: &Scratch) {
    let lock = inode(&scratch.lock());
    eventually("the commit thread waits in flock", || waiters(lock) == 1);
}

/// A store whose lock another process holds, and that process's hold.
fn locked_out(options: JsonFileOptions) -> (Scratch, Process, Store, Hold) {
    let (scratch, process) = (Scratch::new(), Process::new());
    let hold = Hold::take(&scratch.lock());
    let store = process.try_open(&scratch.state(), options).unwrap();
    (scratch, process, store, hold)
}

/// GC-6: the ticket is rejected at its time, definite, with the holder's process id;
/// the late grant writes nothing and is released at once (L-3).
#[test]
fn a_put_that_times_out_was_not_done_and_the_late_grant_does_nothing() {
    let (scratch, _process, store, hold) = locked_out(impatient());
    let error = store.put(&key(1), at(1)).unwrap_err();
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::LockTimeout, false));
    assert_eq!(error.holder(), Some(std::process::id()), "the holder is this very process");
    assert_eq!(error.path(), Some(scratch.lock().as_path()));
    until_it_waits(&scratch);
    drop(hold);
    let lock = inode(&scratch.lock());
    eventually("the thread got its lock", || waiters(lock) == 0);
    eventually("and released it", || !Hold::is_taken(&scratch.lock()));
    assert_eq!(scratch.names(), ["state.json.lock"], "nothing was written");
    assert_eq!(store.put(&key(1), at(2)).unwrap(), applied(at(2)), "the store is usable");
    assert_eq!(metric(&store, "lockTimeouts"), 1);
}

/// A holder that never lets go gives an error each time, and costs nobody else anything.
#[test]
fn every_put_times_out_while_the_holder_is_stopped() {
    let (scratch, _process, store, _hold) = locked_out(impatient());
    for sequence in 1..=3 {
        let error = store.put(&key(1), at(sequence)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LockTimeout);
    }
    let error = store.delete(&key(1), Condition::Always).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockTimeout);
    store.refresh().unwrap();
    assert_eq!(store.get(&key(1)).unwrap(), None, "reads go on");
    assert_eq!(waiters(inode(&scratch.lock())), 1, "one thread waits for all of them");
}

/// GC-3: what is withdrawn while it waits was not done; what came later is.
#[test]
fn a_put_can_be_withdrawn_while_it_waits_for_the_lock() {
    let (scratch, _process, store, hold) = locked_out(JsonFileOptions::default());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    until_it_waits(&scratch);
    mailbox.put(&store, 2, &key(2), at(2));
    assert!(store.withdraw(1, &mailbox.sink));
    drop(hold);
    let (ticket, result) = mailbox.next();
    assert_eq!((ticket, result.unwrap()), (2, Outcome::Put(vec![applied(at(2))])));
    assert_eq!(disk(&scratch.state()), expected([(key(2), at(2))]));
    drop(store);
    assert!(mailbox.into_rest().is_empty(), "a withdrawn put is never settled");
}

/// L-3: a withdrawn put leaves its thread waiting, which lets the lock go when it gets it.
#[test]
fn a_late_grant_that_finds_nothing_to_do_is_released_at_once() {
    let (scratch, _process, store, hold) = locked_out(JsonFileOptions::default());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    until_it_waits(&scratch);
    assert!(store.withdraw(1, &mailbox.sink));
    assert!(store.drain(HANG), "nothing is in flight");
    drop(hold);
    let lock = inode(&scratch.lock());
    eventually("the grant came", || waiters(lock) == 0);
    eventually("and went", || !Hold::is_taken(&scratch.lock()));
    assert_eq!(scratch.names(), ["state.json.lock"]);
}

/// "While the thread waited the group collects": one commit for all that waited.
#[test]
fn whatever_came_during_the_wait_is_one_commit() {
    let (scratch, _process, store, hold) = locked_out(JsonFileOptions::default());
    let mailbox = Mailbox::new();
    for ticket in 1..=50 {
        mailbox.put(&store, ticket, &key(ticket), at(ticket));
    }
    until_it_waits(&scratch);
    drop(hold);
    for ticket in 1..=50 {
        assert_eq!(mailbox.next().0, ticket);
    }
    assert_eq!(metric(&store, "replaces"), 1);
    assert_eq!(disk(&scratch.state()).len(), 50);
}

/// GC-8: close does not join a thread that waits for a lock; what was accepted is finished.
#[test]
fn closing_does_not_wait_for_the_lock_and_loses_nothing() {
    let (scratch, _process, store, hold) = locked_out(JsonFileOptions::default());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    until_it_waits(&scratch);
    let (tell, closed) = channel();
    store.close(move || tell.send(()).unwrap());
    closed.recv_timeout(HANG).expect("at once");
    assert_eq!(store.put(&key(1), at(2)).unwrap_err().kind(), ErrorKind::Closed);
    assert!(!store.is_finished(), "the put still waits");
    drop(hold);
    assert_eq!(mailbox.next().1.unwrap(), Outcome::Put(vec![applied(at(1))]));
    eventually("everything is settled", || store.is_finished());
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
    eventually("the lock is free", || !Hold::is_taken(&scratch.lock()));
}

/// GC-8: opened again before the lock came, the store is served by the same thread and instance;
/// the options of the new handle count.
#[test]
fn a_store_closed_while_it_waits_is_revived_by_the_next_open() {
    let (scratch, process, store, hold) = locked_out(JsonFileOptions::default());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    until_it_waits(&scratch);
    drop(store);
    let revived = process.try_open(&scratch.state(), impatient()).unwrap();
    assert_eq!(metric(&revived, "inFlightOperations"), 1, "the same instance");
    let error = revived.put(&key(2), at(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockTimeout, "with the new handle's timeout");
    assert_eq!(waiters(inode(&scratch.lock())), 1);
    drop(hold);
    assert_eq!(mailbox.next().1.unwrap(), Outcome::Put(vec![applied(at(1))]));
    assert_eq!(revived.put(&key(2), at(3)).unwrap(), applied(at(3)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1)), (key(2), at(3))]));
}

/// `close_blocking` finishes what was accepted, and waits for the lock no longer than a put would.
#[test]
fn closing_with_waiting_gives_up_on_a_lock_that_is_not_granted() {
    let (scratch, _process, store, _hold) = locked_out(impatient());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    store.close_blocking();
    assert_eq!(mailbox.next().1.unwrap_err().kind(), ErrorKind::LockTimeout);
    assert_eq!(scratch.names(), ["state.json.lock"]);
}

/// Stores that wait for different locks do not wait for each other.
#[test]
fn a_locked_store_does_not_hold_up_another_one_of_the_same_process() {
    let (scratch, process, store, _hold) = locked_out(JsonFileOptions::default());
    let mailbox = Mailbox::new();
    mailbox.put(&store, 1, &key(1), at(1));
    until_it_waits(&scratch);
    let other = process.open(&scratch.path("other.json"));
    assert_eq!(other.put(&key(1), at(1)).unwrap(), applied(at(1)));
    assert!(store.withdraw(1, &mailbox.sink));
}
