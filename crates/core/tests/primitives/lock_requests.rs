//! `LockRequests`: L-2 and L-3; waiting, timing out, taking back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidemark_core::file_lock::{FileLock, LockRegistry, LockRequests};
use tidemark_core::group_commit::Enqueued;
use tidemark_core::{ErrorKind, LockMode};

use super::support::{HANG, Hold, Mailbox, Scratch, eventually, inode, real, waiters};

const SOON: Duration = Duration::from_millis(30);

/// A process's place in the queue of a lock file.
struct Place {
    registry: LockRegistry,
    requests: LockRequests,
}

impl Place {
    fn new(path: &Path) -> Self {
        let registry = LockRegistry::default();
        let requests = LockRequests::open(&registry, &real(), path, false).unwrap();
        Self { registry, requests }
    }

    fn ask(&self, ticket: u64, mode: LockMode, within: Duration, mailbox: &Mailbox<FileLock>) {
        let asked = self.requests.enqueue(mode, within, ticket, &mailbox.sink).unwrap();
        assert_eq!(asked, Enqueued::Accepted);
    }
}

/// A lock file and its inode.
fn lock_file(scratch: &Scratch) -> (std::path::PathBuf, u64) {
    let path = scratch.path("lock");
    fs::write(&path, "").unwrap();
    let inode = inode(&path);
    (path, inode)
}

#[test]
fn a_lock_that_nobody_holds_is_granted_at_once() {
    let scratch = Scratch::new();
    let place = Place::new(&scratch.path("lock"));
    assert!(scratch.names().is_empty(), "asking for nothing makes nothing");
    let lock = place.requests.acquire(LockMode::Exclusive, HANG).unwrap();
    assert_eq!(lock.path(), scratch.path("lock"));
    assert!(Hold::is_taken(&scratch.path("lock")));
    drop(lock);
    assert!(!Hold::is_taken(&scratch.path("lock")));
}

/// L-2: the wait is a blocking `flock`; the grant comes when the holder lets go.
#[test]
fn a_request_waits_until_the_holder_lets_go() {
    let scratch = Scratch::new();
    let (path, inode) = lock_file(&scratch);
    let hold = Hold::take(&path);
    let (place, mailbox) = (Place::new(&path), Mailbox::new());
    place.ask(1, LockMode::Exclusive, HANG, &mailbox);
    eventually("the request waits in the kernel", || waiters(inode) == 1);
    assert!(mailbox.is_empty());
    drop(hold);
    let (ticket, lock) = mailbox.next();
    assert_eq!(ticket, 1);
    assert!(Hold::is_taken(&path));
    drop(lock);
    assert!(!Hold::is_taken(&path));
}

/// GC-6, L-3: the request is rejected at its time, with the holder; the late grant keeps nothing.
#[test]
fn a_request_times_out_and_its_late_grant_is_released() {
    let scratch = Scratch::new();
    let (path, inode) = lock_file(&scratch);
    let hold = Hold::take(&path);
    let place = Place::new(&path);
    let error = place.requests.acquire(LockMode::Exclusive, SOON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockTimeout);
    assert_eq!(error.holder(), Some(std::process::id()));
    assert_eq!(error.path(), Some(path.as_path()));
    drop(hold);
    eventually("the late grant came", || waiters(inode) == 0);
    eventually("and went", || !Hold::is_taken(&path));
    drop(place.requests.acquire(LockMode::Exclusive, HANG).unwrap());
}

/// L-3: what was taken back is not granted; the next in line is.
#[test]
fn a_request_that_was_taken_back_passes_the_lock_on() {
    let scratch = Scratch::new();
    let (path, inode) = lock_file(&scratch);
    let hold = Hold::take(&path);
    let (place, mailbox) = (Place::new(&path), Mailbox::new());
    place.ask(1, LockMode::Exclusive, HANG, &mailbox);
    place.ask(2, LockMode::Exclusive, HANG, &mailbox);
    eventually("the first waits", || waiters(inode) == 1);
    assert!(place.requests.withdraw(1, &mailbox.sink));
    assert!(!place.requests.withdraw(1, &mailbox.sink));
    drop(hold);
    let (ticket, lock) = mailbox.next();
    assert_eq!(ticket, 2);
    assert!(lock.is_ok());
    assert!(!place.requests.withdraw(2, &mailbox.sink), "it is granted already");
}

/// L-2: one thread per process and path, in the order of arrival, each when the one before it
/// lets go.
#[test]
fn requests_of_one_process_are_granted_in_their_order() {
    let scratch = Scratch::new();
    let (path, inode) = lock_file(&scratch);
    let (place, mailbox) = (Place::new(&path), Mailbox::new());
    let again = LockRequests::open(&place.registry, &real(), &path, false).unwrap();
    for ticket in 1..=5 {
        let requests = if ticket % 2 == 0 { &again } else { &place.requests };
        requests.enqueue(LockMode::Exclusive, HANG, ticket, &mailbox.sink).unwrap();
    }
    for expected in 1..=5 {
        let (ticket, lock) = mailbox.next();
        assert_eq!(ticket, expected);
        assert!(mailbox.is_empty(), "one at a time");
        if expected < 5 {
            eventually("the next one waits, alone", || waiters(inode) == 1);
        }
        drop(lock.unwrap());
    }
    assert_eq!(waiters(inode), 0);
}

/// Shared requests are granted beside each other, and an exclusive one after them.
#[test]
fn shared_requests_are_granted_together() {
    let scratch = Scratch::new();
    let (path, inode) = lock_file(&scratch);
    let (place, mailbox) = (Place::new(&path), Mailbox::new());
    place.ask(1, LockMode::Shared, HANG, &mailbox);
    place.ask(2, LockMode::Shared, HANG, &mailbox);
    place.ask(3, LockMode::Exclusive, HANG, &mailbox);
    let (one, other) = (mailbox.next(), mailbox.next());
    assert_eq!((one.0, other.0), (1, 2));
    eventually("the exclusive one waits", || waiters(inode) == 1);
    assert!(mailbox.is_empty());
    drop(one);
    drop(other);
    assert_eq!(mailbox.next().0, 3);
}

/// Two processes take turns: nobody is alone with the lock twice at a time.
#[test]
fn two_processes_exclude_each_other() {
    let scratch = Scratch::new();
    let path = scratch.path("lock");
    let counter = scratch.path("counter");
    fs::write(&counter, "0").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let place = Place::new(&path);
                for _ in 0..50 {
                    let _lock = place.requests.acquire(LockMode::Exclusive, HANG).unwrap();
                    let count: u32 = fs::read_to_string(&counter).unwrap().parse().unwrap();
                    std::thread::yield_now();
                    fs::write(&counter, (count + 1).to_string()).unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&counter).unwrap(), "100");
}

/// Leaving the queue takes nothing back: what was asked for is granted, to whoever still listens.
#[test]
fn a_request_outlives_its_place_in_the_queue() {
    let scratch = Scratch::new();
    let (path, inode) = lock_file(&scratch);
    let hold = Hold::take(&path);
    let (place, mailbox) = (Place::new(&path), Mailbox::new());
    place.ask(1, LockMode::Exclusive, HANG, &mailbox);
    eventually("the request waits", || waiters(inode) == 1);
    drop(place);
    drop(hold);
    assert!(mailbox.next().1.is_ok());
}

/// L-3: a grant that nobody listens for is freed.
#[test]
fn a_grant_that_nobody_takes_is_freed() {
    let scratch = Scratch::new();
    let (path, inode) = lock_file(&scratch);
    let hold = Hold::take(&path);
    let (place, mailbox) = (Place::new(&path), Mailbox::new());
    place.ask(1, LockMode::Exclusive, HANG, &mailbox);
    eventually("the request waits", || waiters(inode) == 1);
    drop(mailbox);
    drop(hold);
    eventually("the grant came", || waiters(inode) == 0);
    eventually("and was freed", || !Hold::is_taken(&path));
}

/// L-1: the file is replaced during the wait; the grant is on the new one.
#[test]
fn a_lock_file_replaced_during_the_wait_is_noticed() {
    let scratch = Scratch::new();
    let (path, old_inode) = lock_file(&scratch);
    let old = Hold::take(&path);
    let (place, mailbox) = (Place::new(&path), Mailbox::new());
    place.ask(1, LockMode::Exclusive, HANG, &mailbox);
    eventually("it waits for the old file", || waiters(old_inode) == 1);
    fs::remove_file(&path).unwrap();
    let new = Hold::take(&path);
    drop(old);
    let new_inode = inode(&path);
    eventually("it waits for the new file", || waiters(new_inode) == 1);
    assert!(mailbox.is_empty());
    drop(new);
    let (_, lock) = mailbox.next();
    assert!(Hold::is_taken(&path));
    drop(lock);
}

/// What is no lock file is refused before anybody waits.
#[test]
fn what_is_no_regular_file_is_refused() {
    let scratch = Scratch::new();
    let registry = LockRegistry::default();
    for path in [scratch.fifo("fifo"), scratch.root().to_owned(), "".into()] {
        let opened = LockRequests::open(&registry, &real(), &path, false);
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    // A FIFO that comes later, in the place of the lock file.
    let place = Place::new(&scratch.path("late"));
    scratch.fifo("late");
    let error = place.requests.acquire(LockMode::Exclusive, HANG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
