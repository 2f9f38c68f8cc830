//! One instance per store and process, whoever opens it, and closing.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc::channel;
use std::time::Duration;

use tidemark_core::ErrorKind;
use tidemark_core::checkpoint::{
    Condition, JsonFileOptions, JsonFileStore, Outcome, Recover, Store,
};

use super::support::{HANG, Mailbox, Process, Scratch, applied, at, disk, expected, key, metric};

/// A second open shares the first one's instance: one queue, one thread, one set of figures.
#[test]
fn a_second_open_shares_the_instance() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let (one, other) = (process.open(&scratch.state()), process.open(&scratch.state()));
    one.put(&key(1), at(1)).unwrap();
    other.put(&key(1), at(2)).unwrap();
    assert_eq!(metric(&one, "groups"), 2);
    assert_eq!(metric(&other, "groups"), 2);
    assert_eq!(metric(&one, "fileReads"), 0, "nobody had to read what the other wrote");
}

/// The registry goes by device, inode and name: every path to a store leads to its instance.
#[test]
fn every_path_to_a_file_leads_to_one_instance() {
    let (scratch, process) = (Scratch::new(), Process::new());
    fs::create_dir(scratch.path("sub")).unwrap();
    symlink("sub", scratch.path("way")).unwrap();
    let first = process.open(&scratch.path("sub/state.json"));
    first.put(&key(1), at(1)).unwrap();
    symlink("sub/state.json", scratch.path("link.json")).unwrap();
    for path in ["sub/./state.json", "sub/../sub/state.json", "way/state.json", "link.json"] {
        let same = process.open(&scratch.path(path));
        assert_eq!(metric(&same, "groups"), 1, "{path}");
    }
    let another = process.open(&scratch.path("sub/other.json"));
    assert_eq!(metric(&another, "groups"), 0);
}

/// A file system gives the inode of a directory that is removed to the next one. The instance keeps
/// its directory open, so that the registry never takes that one's store for its own.
#[test]
fn a_store_in_a_new_directory_is_not_taken_for_one_whose_directory_is_gone() {
    let (scratch, process) = (Scratch::new(), Process::new());
    fs::create_dir(scratch.path("gone")).unwrap();
    // A file that is known would keep its directory's inode, too.
    let gone = process.open(&scratch.path("gone/state.json"));
    fs::remove_dir(scratch.path("gone")).unwrap();
    for name in ["one", "two", "three", "four"] {
        fs::create_dir(scratch.path(name)).unwrap();
        let new = process.open(&scratch.path(name).join("state.json"));
        assert_eq!(new.put(&key(1), at(7)).unwrap(), applied(at(7)), "{name}");
    }
    assert_eq!(metric(&gone, "groups"), 0);
}

/// "With other options it is `_CONFLICT`"; the handle that is open is not disturbed.
#[test]
fn a_second_open_with_other_options_is_a_conflict() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    let usual = JsonFileOptions::default();
    for options in [
        JsonFileOptions { lock_timeout: Duration::from_secs(1), ..usual },
        JsonFileOptions { mode: 0o644, ..usual },
        JsonFileOptions { recover: Recover::Quarantine, ..usual },
        JsonFileOptions { allow_network_fs: true, ..usual },
    ] {
        let error = process.try_open(&scratch.state(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{options:?}");
        assert_eq!(error.path(), Some(scratch.state().as_path()));
    }
    assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)));
    store.close_blocking();
    let options = JsonFileOptions { mode: 0o644, ..usual };
    let reopened = process.try_open(&scratch.state(), options).unwrap();
    assert_eq!(reopened.get(&key(1)).unwrap(), Some(at(1)), "once it is closed it may be other");
}

/// An open that fails does not count as a handle.
#[test]
fn a_failed_open_leaves_nothing_open() {
    let (scratch, process) = (Scratch::new(), Process::new());
    fs::write(scratch.state(), "garbage").unwrap();
    assert_eq!(
        process.try_open(&scratch.state(), JsonFileOptions::default()).unwrap_err().kind(),
        ErrorKind::Decode
    );
    fs::remove_file(scratch.state()).unwrap();
    // Another instance or the same one whose last handle is gone: other options are no conflict.
    let options = JsonFileOptions { mode: 0o640, ..JsonFileOptions::default() };
    let store = process.try_open(&scratch.state(), options).unwrap();
    store.put(&key(1), at(1)).unwrap();
}

/// A second open looks at the disk: it shows what another process put meanwhile.
#[test]
fn a_second_open_is_as_fresh_as_the_first() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let first = process.open(&scratch.state());
    Process::new().open(&scratch.state()).put(&key(1), at(1)).unwrap();
    let second = process.open(&scratch.state());
    assert_eq!(second.get(&key(1)).unwrap(), Some(at(1)));
    assert_eq!(first.get(&key(1)).unwrap(), Some(at(1)));
}

fn assert_closed(store: &Store) {
    let mailbox = Mailbox::new();
    let op = JsonFileStore::repair();
    let kinds = [
        store.get(&key(1)).unwrap_err().kind(),
        store.entries().unwrap_err().kind(),
        store.len().unwrap_err().kind(),
        store.is_empty().unwrap_err().kind(),
        store.refresh().unwrap_err().kind(),
        store.put(&key(1), at(9)).unwrap_err().kind(),
        store.delete(&key(1), Condition::Always).unwrap_err().kind(),
        store.call(&op).unwrap_err().kind(),
        store.enqueue(op, 1, &mailbox.sink).unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Closed; 9]);
}

/// Whatever a closed handle is asked, it is `_CLOSED`; closing it again does nothing.
#[test]
fn a_closed_handle_refuses_everything() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    store.close_blocking();
    assert_closed(&store);
    store.close_blocking();
    let (tell, closed) = channel();
    store.close(move || tell.send(()).unwrap());
    closed.recv_timeout(HANG).expect("closing twice is no error");
    assert!(store.is_finished());
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
}

/// Each handle is closed by itself; dropping one closes it.
#[test]
fn closing_one_handle_leaves_the_others_open() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let (one, other) = (process.open(&scratch.state()), process.open(&scratch.state()));
    let third = process.open(&scratch.state());
    one.close_blocking();
    drop(third);
    assert_closed(&one);
    assert_eq!(other.put(&key(1), at(1)).unwrap(), applied(at(1)));
    one.close_blocking();
    assert_eq!(other.put(&key(1), at(2)).unwrap(), applied(at(2)), "closed twice counts once");
}

/// GC-8: what was accepted is finished, and the result comes before the close ends.
#[test]
fn closing_finishes_what_was_accepted() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    let mailbox = Mailbox::new();
    for ticket in 1..=100 {
        mailbox.put(&store, ticket, &key(ticket), at(ticket));
    }
    store.close_blocking();
    assert_eq!(disk(&scratch.state()).len(), 100);
    for ticket in 1..=100 {
        let (settled, result) = mailbox.next();
        assert_eq!((settled, result.unwrap()), (ticket, Outcome::Put(vec![applied(at(ticket))])));
    }
}

/// GC-8: dropping the last handle finishes what was accepted as well.
#[test]
fn dropping_the_last_handle_finishes_what_was_accepted() {
    let scratch = Scratch::new();
    let mailbox = Mailbox::new();
    let store = Process::new().open(&scratch.state());
    mailbox.put(&store, 1, &key(1), at(1));
    drop(store);
    assert_eq!(mailbox.next().1.unwrap(), Outcome::Put(vec![applied(at(1))]));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
}

/// What was handed over without a wake is committed when the store drains or closes.
#[test]
fn what_was_handed_over_without_a_wake_is_not_forgotten() {
    let (scratch, process) = (Scratch::new(), Process::new());
    for close in [false, true] {
        let store = process.open(&scratch.state());
        let mailbox = Mailbox::new();
        let op = tidemark_core::checkpoint::Op::Put(vec![(key(1), at(1))]);
        store.enqueue(op, 1, &mailbox.sink).unwrap();
        if close {
            store.close(|| ());
        } else {
            assert!(store.drain(HANG));
        }
        assert!(mailbox.next().1.is_ok());
    }
}

/// After a close the store opens again, as often as one likes, and knows what it knew.
#[test]
fn a_store_can_be_opened_and_closed_again_and_again() {
    let (scratch, process) = (Scratch::new(), Process::new());
    for sequence in 1..=50 {
        let store = process.open(&scratch.state());
        assert_eq!(store.get(&key(1)).unwrap(), (sequence > 1).then(|| at(sequence - 1)));
        assert_eq!(store.put(&key(1), at(sequence)).unwrap(), applied(at(sequence)));
        if sequence % 2 == 0 { store.close_blocking() } else { drop(store) }
    }
}

/// Threads that open and close the same store at the same time share what is open.
#[test]
fn racing_opens_and_closes_lose_nothing() {
    let (scratch, process) = (Scratch::new(), Process::new());
    std::thread::scope(|scope| {
        for own in 0..4 {
            let (scratch, process) = (&scratch, &process);
            scope.spawn(move || {
                for sequence in 1..=25 {
                    let store = process.open(&scratch.state());
                    assert!(store.put(&key(own), at(sequence)).unwrap().applied);
                }
            });
        }
    });
    let all = [0, 1, 2, 3].map(|own| (key(own), at(25)));
    assert_eq!(disk(&scratch.state()), expected(all));
}
