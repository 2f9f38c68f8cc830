//! What readers see, and when: JF-3, JF-4 and JF-8.

use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use tidemark_core::Storage;
use tidemark_core::checkpoint::{Condition, Outcome};
use tidemark_storage::Site;

use super::support::{
    HANG, Hold, Hooked, Mailbox, Process, Scratch, Watcher, applied, at, disk, expected, key,
    metric, write_as_another_program,
};

/// Storage that stops at one site, once, tells that it has arrived, and waits to be let on.
fn stops_at(site: Site) -> (Arc<dyn Storage>, std::sync::mpsc::Receiver<()>, Sender<()>) {
    let (arrived, arrivals) = channel();
    let (let_on, gate) = channel();
    let once = Mutex::new(Some((arrived, gate)));
    let storage = Hooked::storage(move |now| {
        if now == site
            && let Some((arrived, gate)) = once.lock().unwrap().take()
        {
            arrived.send(()).unwrap();
            gate.recv_timeout(HANG).expect("the test lets it on");
        }
        None
    });
    (storage, arrivals, let_on)
}

/// An un-awaited put is not visible before it is durable (JF-3), and what is
/// in a commit cannot be withdrawn (GC-3).
#[test]
fn a_put_is_not_visible_before_its_directory_is_synced() {
    for site in [Site::JsonSync, Site::JsonRename, Site::JsonSyncDir] {
        let scratch = Scratch::new();
        let (storage, arrivals, let_on) = stops_at(site);
        let store = Process::on(storage).open(&scratch.state());
        let mailbox = Mailbox::new();
        mailbox.put(&store, 1, &key(1), at(1));
        arrivals.recv_timeout(HANG).unwrap();
        assert_eq!(store.get(&key(1)).unwrap(), None, "{site:?}");
        assert!(mailbox.is_empty(), "{site:?}");
        assert!(!store.withdraw(1, &mailbox.sink), "{site:?}");
        let_on.send(()).unwrap();
        assert_eq!(mailbox.next().1.unwrap(), Outcome::Put(vec![applied(at(1))]));
        assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
    }
}

/// JF-2: the writer holds the lock from the comparison to the directory sync.
#[test]
fn a_writer_holds_the_lock_until_its_directory_is_synced() {
    for site in [Site::SweepList, Site::JsonSync, Site::JsonRename, Site::JsonSyncDir] {
        let scratch = Scratch::new();
        let (storage, arrivals, let_on) = stops_at(site);
        let store = Process::on(storage).open(&scratch.state());
        let mailbox = Mailbox::new();
        mailbox.put(&store, 1, &key(1), at(1));
        arrivals.recv_timeout(HANG).unwrap();
        assert!(Hold::is_taken(&scratch.lock()), "{site:?}");
        let_on.send(()).unwrap();
        mailbox.next().1.unwrap();
        assert!(!Hold::is_taken(&scratch.lock()), "free before the result: {site:?}");
    }
}

/// A reader of another process sees a put after a refresh, without a lock.
#[test]
fn a_refresh_shows_what_another_process_put() {
    let scratch = Scratch::new();
    let writer = Process::new().open(&scratch.state());
    let reader = Process::new().open(&scratch.state());
    for sequence in 1..=5 {
        writer.put(&key(1), at(sequence)).unwrap();
        assert_eq!(reader.get(&key(1)).unwrap(), (sequence > 1).then(|| at(sequence - 1)));
        reader.refresh().unwrap();
        assert_eq!(reader.get(&key(1)).unwrap(), Some(at(sequence)));
    }
    writer.delete(&key(1), Condition::Always).unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.get(&key(1)).unwrap(), None);
}

/// JF-8: not even the lock of a process that is stopped in its commit holds up a reader.
#[test]
fn a_refresh_waits_for_no_lock_and_makes_no_file() {
    let scratch = Scratch::new();
    write_as_another_program(&scratch.state(), [(key(1), at(1))]);
    let reader = Process::new().open(&scratch.state());
    assert_eq!(scratch.names(), ["state.json"]);
    let _stopped = Hold::take(&scratch.lock());
    write_as_another_program(&scratch.state(), [(key(1), at(2))]);
    reader.refresh().unwrap();
    assert_eq!(reader.get(&key(1)).unwrap(), Some(at(2)));
}

/// The file is read only if it changed; our own last write is recognised.
#[test]
fn a_file_that_did_not_change_is_not_read_again() {
    let scratch = Scratch::new();
    write_as_another_program(&scratch.state(), [(key(1), at(1))]);
    let store = Process::new().open(&scratch.state());
    assert_eq!(metric(&store, "fileReads"), 1);
    for sequence in 2..=10 {
        store.put(&key(1), at(sequence)).unwrap();
        store.refresh().unwrap();
    }
    assert_eq!(metric(&store, "fileReads"), 1);
    write_as_another_program(&scratch.state(), [(key(1), at(20))]);
    store.refresh().unwrap();
    store.refresh().unwrap();
    assert_eq!(metric(&store, "fileReads"), 2);
}

/// Size, mtime and ctime catch an edit in place of the very file that we wrote.
#[test]
fn an_edit_in_place_is_noticed() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    let text = fs::read_to_string(scratch.state()).unwrap();
    fs::write(
        scratch.state(),
        text.replace("\"last_committed_sequence\": 1", "\"last_committed_sequence\": 41"),
    )
    .unwrap();
    store.refresh().unwrap();
    assert_eq!(store.get(&key(1)).unwrap().unwrap().last_committed_sequence, 41);
}

/// A missing file shows no change: only a write fills it again.
#[test]
fn a_refresh_keeps_what_is_known_of_a_missing_file() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    fs::remove_file(scratch.state()).unwrap();
    store.refresh().unwrap();
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
    assert!(!scratch.names().contains(&"state.json".to_owned()));
}

/// JF-4: whoever looks is told what went back, key by key, once.
#[test]
fn a_refresh_tells_what_went_back() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    for (number, sequence) in [(1, 10), (2, 20), (3, 30)] {
        store.put(&key(number), at(sequence)).unwrap();
    }
    let watcher = Watcher::of(&store);
    write_as_another_program(&scratch.state(), [(key(1), at(9)), (key(3), at(30))]);
    store.refresh().unwrap();
    store.refresh().unwrap();
    let mut told = [watcher.regressed(), watcher.regressed()];
    told.sort_by_key(|(_, from, _)| from.last_committed_sequence);
    assert_eq!(told, [(key(1), at(10), Some(at(9))), (key(2), at(20), None)]);
    assert!(watcher.is_silent());
}

/// A process that takes its own delete, or puts after it, is told nothing.
#[test]
fn our_own_deletes_are_not_regressions() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    let watcher = Watcher::of(&store);
    store.put(&key(1), at(10)).unwrap();
    store.delete(&key(1), Condition::Always).unwrap();
    assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)));
    store.refresh().unwrap();
    assert!(watcher.is_silent());
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
}
