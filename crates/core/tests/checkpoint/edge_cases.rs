//! Where two writers, an operator or a deletion meet a store that remembers: what the original
//! does, and what this store does, where JF-4 ("the file is the truth") reverses it.

use std::fs;

use tidemark_core::checkpoint::{Checkpoint, Condition, DeleteOutcome, Store};

use super::support::{
    Process, Scratch, Watcher, applied, at, bare, disk, expected, key, superseded,
    write_as_another_program,
};

/// A store whose process has put `key(1)` at 10, and the place where it lies.
fn store_at_10() -> (Scratch, Process, Store) {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    assert_eq!(store.put(&key(1), at(10)).unwrap(), applied(at(10)));
    (scratch, process, store)
}

/// "put equal seq, different event id": no-op, the first id stays, in both.
#[test]
fn a_put_of_an_equal_sequence_keeps_the_first_event_id() {
    let (scratch, _process, store) = store_at_10();
    let other = Checkpoint::new(10, Some("another"));
    assert_eq!(store.put(&key(1), other.clone()).unwrap(), superseded(at(10)));
    let stale = Process::new().open(&scratch.state());
    assert_eq!(stale.put(&key(1), other).unwrap(), superseded(at(10)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(10))]));
}

/// "put(k,5,null) then put(k,5,"e@5")": the id stays null, in both.
#[test]
fn a_put_of_an_equal_sequence_does_not_add_an_event_id() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    store.put(&key(1), bare(5)).unwrap();
    assert_eq!(store.put(&key(1), at(5)).unwrap(), superseded(bare(5)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), bare(5))]));
}

/// "memory (5,"x"), disk (5,"y"), any write": memory becomes "y", in both; nothing
/// went back, so that nothing is told.
#[test]
fn the_disks_event_id_wins_a_tie() {
    let (scratch, _process, store) = store_at_10();
    let watcher = Watcher::of(&store);
    let other = Checkpoint::new(10, Some("y"));
    write_as_another_program(&scratch.state(), [(key(1), other.clone())]);
    store.put(&key(2), at(1)).unwrap();
    assert_eq!(store.get(&key(1)).unwrap(), Some(other.clone()));
    assert!(watcher.is_silent());
    assert_eq!(disk(&scratch.state()), expected([(key(1), other), (key(2), at(1))]));
}

/// "fresh handle, disk k=9, put(k,0)": no-op, 9, in both.
#[test]
fn a_fresh_handle_does_not_put_a_lower_sequence() {
    let (scratch, process) = (Scratch::new(), Process::new());
    write_as_another_program(&scratch.state(), [(key(1), at(9))]);
    let before = fs::read(scratch.state()).unwrap();
    let store = process.open(&scratch.state());
    assert_eq!(store.put(&key(1), at(0)).unwrap(), superseded(at(9)));
    assert_eq!(fs::read(scratch.state()).unwrap(), before, "nothing was written");
}

/// "stale handle (k unknown), disk k=9, put(k,7)": the original reports success and
/// hides that nothing was put; here the outcome tells. Memory shows 9, in both.
#[test]
fn a_stale_handle_learns_what_superseded_its_put() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    write_as_another_program(&scratch.state(), [(key(1), at(9))]);
    assert_eq!(store.get(&key(1)).unwrap(), None);
    assert_eq!(store.put(&key(1), at(7)).unwrap(), superseded(at(9)));
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(9)));
}

/// "state file removed while handle holds k=10, put(k,5)": 10 is written back with
/// its event id, in both: a whole file that is missing is the one case that is restored.
#[test]
fn a_lower_put_after_the_file_was_removed_writes_the_higher_value_back() {
    let (scratch, _process, store) = store_at_10();
    fs::remove_file(scratch.state()).unwrap();
    assert_eq!(store.put(&key(1), at(5)).unwrap(), superseded(at(10)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(10))]));
}

/// "state file removed, put of another key": all keys in memory are written back, in
/// both.
#[test]
fn a_put_after_the_file_was_removed_writes_everything_back() {
    let (scratch, _process, store) = store_at_10();
    store.put(&key(2), at(20)).unwrap();
    fs::remove_file(scratch.state()).unwrap();
    store.put(&key(3), at(30)).unwrap();
    let all = expected([(key(1), at(10)), (key(2), at(20)), (key(3), at(30))]);
    assert_eq!(disk(&scratch.state()), all);
}

/// As above for a delete, which finds the key in what is restored.
#[test]
fn a_delete_after_the_file_was_removed_writes_the_rest_back() {
    let (scratch, _process, store) = store_at_10();
    store.put(&key(2), at(20)).unwrap();
    fs::remove_file(scratch.state()).unwrap();
    assert_eq!(store.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(disk(&scratch.state()), expected([(key(2), at(20))]));
}

/// "file rolled back to k=3 while memory k=10": the original's next write restores
/// 10; here 3 stands (JF-4) and `regressed` tells.
#[test]
fn a_file_that_was_rolled_back_stays_so() {
    let (scratch, _process, store) = store_at_10();
    let watcher = Watcher::of(&store);
    write_as_another_program(&scratch.state(), [(key(1), at(3))]);
    store.put(&key(2), at(1)).unwrap();
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(3)), (key(2), at(1))]));
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(3)));
    assert_eq!(watcher.regressed(), (key(1), at(10), Some(at(3))));
    assert!(watcher.is_silent(), "once");
}

/// "operator lowers a value in a running system": undone by the original's next
/// write; here it stands, and the next put goes on from it.
#[test]
fn a_value_that_an_operator_lowered_stays_lowered() {
    let (scratch, _process, store) = store_at_10();
    let watcher = Watcher::of(&store);
    write_as_another_program(&scratch.state(), [(key(1), at(3))]);
    assert_eq!(store.put(&key(1), at(4)).unwrap(), applied(at(4)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(4))]));
    assert_eq!(watcher.regressed(), (key(1), at(10), Some(at(3))));
}

/// "operator raises a value": trusted, in both.
#[test]
fn a_value_that_an_operator_raised_is_trusted() {
    let (scratch, _process, store) = store_at_10();
    let watcher = Watcher::of(&store);
    write_as_another_program(&scratch.state(), [(key(1), at(50))]);
    assert_eq!(store.put(&key(1), at(11)).unwrap(), superseded(at(50)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(50))]));
    assert!(watcher.is_silent());
}

/// "delete(k) by a handle that never saw k but disk has it": the original reports
/// success and deletes nothing; here the delete acts on the disk.
#[test]
fn a_delete_of_a_key_that_this_process_never_saw_deletes_it() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    write_as_another_program(&scratch.state(), [(key(1), at(9)), (key(2), at(2))]);
    assert_eq!(store.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(disk(&scratch.state()), expected([(key(2), at(2))]));
    assert_eq!(store.get(&key(1)).unwrap(), None);
}

/// "A deletes k; live handle B has k in memory; B writes anything": the original
/// resurrects k; here it stays deleted and B is told.
#[test]
fn a_key_that_another_process_deleted_is_not_resurrected() {
    let (scratch, _process, b) = store_at_10();
    let watcher = Watcher::of(&b);
    let a = Process::new().open(&scratch.state());
    assert_eq!(a.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(b.get(&key(1)).unwrap(), Some(at(10)), "a cache, until it looks");
    b.put(&key(2), at(1)).unwrap();
    assert_eq!(disk(&scratch.state()), expected([(key(2), at(1))]));
    assert_eq!(b.get(&key(1)).unwrap(), None);
    assert_eq!(watcher.regressed(), (key(1), at(10), None));
}

/// "A deletes k and puts k=1; B's memory has k=50; B writes anything": the original
/// brings 50 back; here the reset sticks. "Backward" is judged within one life of a key.
#[test]
fn a_reset_by_another_process_sticks() {
    let (scratch, _process, b) = store_at_10();
    let watcher = Watcher::of(&b);
    let a = Process::new().open(&scratch.state());
    a.delete(&key(1), Condition::Always).unwrap();
    assert_eq!(a.put(&key(1), at(1)).unwrap(), applied(at(1)));
    b.put(&key(2), at(1)).unwrap();
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1)), (key(2), at(1))]));
    assert_eq!(watcher.regressed(), (key(1), at(10), Some(at(1))));
    assert_eq!(b.put(&key(1), at(2)).unwrap(), applied(at(2)), "its new life goes on");
}

/// "delete then concurrent put higher": in the original the put survives and the
/// delete reports success. Here a delete is unconditional, unless it says up to where.
#[test]
fn a_delete_beside_a_higher_put_is_unconditional_unless_it_says_otherwise() {
    let (scratch, _process, store) = store_at_10();
    let other = Process::new().open(&scratch.state());
    other.put(&key(1), at(15)).unwrap();
    let seen = Condition::UpTo(10);
    assert_eq!(store.delete(&key(1), seen).unwrap(), DeleteOutcome::Superseded);
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(15)), "and it is seen from then on");
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(15))]));
    other.put(&key(1), at(16)).unwrap();
    assert_eq!(store.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(disk(&scratch.state()), expected([]));
}

/// "delete(k) where disk older than seen": deleted, in both.
#[test]
fn a_delete_deletes_what_is_older_than_what_was_seen() {
    let (scratch, _process, store) = store_at_10();
    write_as_another_program(&scratch.state(), [(key(1), at(3))]);
    let seen = Condition::UpTo(10);
    assert_eq!(store.delete(&key(1), seen).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(disk(&scratch.state()), expected([]));
}

/// "delete of absent key, no file": success; the lock file is made and the state file
/// is not, in both.
#[test]
fn a_delete_of_an_absent_key_makes_no_state_file() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    assert_eq!(store.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Absent);
    assert_eq!(scratch.names(), ["state.json.lock"]);
    assert_eq!(fs::metadata(scratch.lock()).unwrap().len(), 0);
}

/// "deleting the last key": the file stays, in both.
#[test]
fn deleting_the_last_key_leaves_an_empty_store() {
    let (scratch, _process, store) = store_at_10();
    store.delete(&key(1), Condition::Always).unwrap();
    let text = fs::read_to_string(scratch.state()).unwrap();
    assert!(text.ends_with("\"checkpoints\": {}\n}"), "{text}");
}

/// "two puts racing in one handle": the higher sequence stands, in both.
#[test]
fn of_two_puts_that_race_in_one_handle_the_higher_stands() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    for round in 0..20 {
        let (low, high) = (round * 2 + 1, round * 2 + 2);
        std::thread::scope(|scope| {
            scope.spawn(|| store.put(&key(1), at(high)).unwrap());
            scope.spawn(|| store.put(&key(1), at(low)).unwrap());
        });
        assert_eq!(store.get(&key(1)).unwrap(), Some(at(high)));
        assert_eq!(disk(&scratch.state()), expected([(key(1), at(high))]));
    }
}

/// "two processes": on the same key the larger sequence stands, on different keys
/// both stand, in both.
#[test]
fn two_processes_do_not_lose_each_others_puts() {
    let scratch = Scratch::new();
    let stores = [1, 2].map(|own| (own, Process::new().open(&scratch.state())));
    std::thread::scope(|scope| {
        for (own, store) in &stores {
            scope.spawn(move || {
                for sequence in 1..=50 {
                    store.put(&key(0), at(sequence * 2 + own)).unwrap();
                    assert!(store.put(&key(*own), at(sequence)).unwrap().applied);
                }
            });
        }
    });
    let all = expected([(key(0), at(102)), (key(1), at(50)), (key(2), at(50))]);
    assert_eq!(disk(&scratch.state()), all);
}

/// "sequence `u64::MAX`": storable, in both.
#[test]
fn the_largest_sequence_can_be_stored() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    assert_eq!(store.put(&key(1), at(u64::MAX)).unwrap(), applied(at(u64::MAX)));
    assert_eq!(store.put(&key(1), at(0)).unwrap(), superseded(at(u64::MAX)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(u64::MAX))]));
    let reopened = Process::new().open(&scratch.state());
    assert_eq!(reopened.get(&key(1)).unwrap(), Some(at(u64::MAX)));
}
