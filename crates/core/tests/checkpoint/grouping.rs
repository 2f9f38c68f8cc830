//! Many puts, one lock, one merge, one replace.

use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};

use tidemark_core::checkpoint::{Op, Store};
use tidemark_storage::Site;

use super::support::{
    HANG, Hold, Hooked, Mailbox, Process, Scratch, at, disk, eventually, key, metric,
    write_as_another_program,
};

type Figures = [u64; 3];

fn figures(store: &Store) -> Figures {
    ["fileSyncs", "directorySyncs", "replaces"].map(|name| metric(store, name))
}

fn since(store: &Store, before: Figures) -> Figures {
    let now = figures(store);
    [0, 1, 2].map(|index: usize| now[index] - before[index])
}

/// A store in a file that is there already, and its figures: a first write, and a file that
/// another process wrote, cost syncs of their own.
fn open(process: &Process, scratch: &Scratch) -> (Store, Figures) {
    write_as_another_program(&scratch.state(), [(key(1000), at(10))]);
    let store = process.open(&scratch.state());
    let before = figures(&store);
    (store, before)
}

/// 64 callers that all wait for the lock: one file sync and one directory sync for all of them.
#[test]
fn concurrent_puts_that_wait_for_the_lock_cost_one_sync() {
    let scratch = Scratch::new();
    let hold = Hold::take(&scratch.lock());
    let (store, before) = open(&Process::new(), &scratch);
    std::thread::scope(|scope| {
        for number in 0..64 {
            let store = &store;
            scope.spawn(move || assert!(store.put(&key(number), at(number)).unwrap().applied));
        }
        eventually("all have come", || metric(&store, "inFlightOperations") == 64);
        drop(hold);
    });
    assert_eq!(since(&store, before), [1, 1, 1]);
    assert_eq!(disk(&scratch.state()).len(), 65);
}

/// 64 callers of whom the first commits while the others come: two of each.
#[test]
fn concurrent_puts_during_a_commit_cost_one_more_sync() {
    let scratch = Scratch::new();
    let ((arrived, arrivals), (let_on, gate)) = (channel(), channel());
    let once = Mutex::new(Some((arrived, gate)));
    let storage = Hooked::storage(move |site| {
        let mut once = once.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Site::JsonSync, Some((arrived, gate))) =
            (site, once.take_if(|_| site == Site::JsonSync))
        {
            arrived.send(()).unwrap();
            gate.recv_timeout(HANG).unwrap();
        }
        None
    });
    let (store, before) = open(&Process::on(storage), &scratch);
    std::thread::scope(|scope| {
        let put = |number| assert!(store.put(&key(number), at(number)).unwrap().applied);
        scope.spawn(move || put(0));
        arrivals.recv_timeout(HANG).unwrap();
        (1..64).for_each(|number| drop(scope.spawn(move || put(number))));
        eventually("all have come", || metric(&store, "inFlightOperations") == 64);
        let_on.send(()).unwrap();
    });
    assert_eq!(since(&store, before), [2, 2, 2]);
    assert_eq!(disk(&scratch.state()).len(), 65);
}

/// ADR 0002: what is handed over in one go, and woken once, is one group.
#[test]
fn puts_handed_over_in_one_go_are_one_group() {
    let scratch = Scratch::new();
    let (store, before) = open(&Process::new(), &scratch);
    let mailbox = Mailbox::new();
    for number in 0..64 {
        let op = Op::Put(vec![(key(number), at(number))]);
        store.enqueue(op, number, &mailbox.sink).unwrap();
    }
    assert_eq!(metric(&store, "inFlightOperations"), 64);
    assert!(metric(&store, "inFlightBytes") >= 64 * 32);
    store.wake();
    (0..64).for_each(|_| drop(mailbox.next().1.unwrap()));
    assert_eq!(since(&store, before), [1, 1, 1]);
    assert_eq!(metric(&store, "groups"), 1);
    eventually("nothing is in flight", || metric(&store, "inFlightBytes") == 0);
    assert_eq!(metric(&store, "keys"), 65);
}

/// A put that changes nothing writes and syncs nothing, once the file is known.
#[test]
fn a_put_that_changes_nothing_costs_no_sync() {
    let scratch = Scratch::new();
    let (store, before) = open(&Process::new(), &scratch);
    for sequence in 0..10 {
        assert!(!store.put(&key(1000), at(sequence)).unwrap().applied);
    }
    assert_eq!(since(&store, before), [0, 0, 0]);
}

/// The figures of a store are named; the names are API.
#[test]
fn metrics_have_the_names_that_are_api() {
    let store = Process::new().open(&Scratch::new().state());
    let names: Vec<&str> = store.metrics().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "keys",
        "inFlightOperations",
        "inFlightBytes",
        "operations",
        "groups",
        "withdrawn",
        "lockTimeouts",
        "commitUs",
        "lockWaitUs",
        "fileReads",
        "fileSyncs",
        "directorySyncs",
        "replaces",
        "writtenBytes",
        "sweptTemporaries",
        "syncUs",
    ];
    assert_eq!(names, expected);
}
