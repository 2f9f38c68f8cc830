//! `MemoryStore`: the original's own tests of its counterpart, held against this one.

use std::thread;

use tidemark_core::ErrorKind;
use tidemark_core::checkpoint::{
    Condition, DeleteOutcome, Durability, MemoryStore, ResumeKey, Store,
};

use super::support::{applied, at, key, real, superseded};

fn open() -> Store {
    MemoryStore::open(&real()).unwrap()
}

/// `get_on_empty_returns_none`.
#[test]
fn a_get_on_an_empty_store_finds_nothing() {
    let store = open();
    assert_eq!(store.get(&key(1)).unwrap(), None);
    assert!(store.is_empty().unwrap());
    assert_eq!(store.entries().unwrap(), []);
}

/// `put_then_get_returns_checkpoint`.
#[test]
fn a_put_is_there_when_it_returns() {
    let store = open();
    assert_eq!(store.put(&key(1), at(7)).unwrap(), applied(at(7)));
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(7)));
    assert_eq!(store.len().unwrap(), 1);
}

/// `put_overwrites` (1 then 2 -> 2), and the monotonic rule that newer versions enforce.
#[test]
fn a_put_overwrites_what_is_lower_only() {
    let store = open();
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(store.put(&key(1), at(2)).unwrap(), applied(at(2)));
    assert_eq!(store.put(&key(1), at(1)).unwrap(), superseded(at(2)));
    assert_eq!(store.put(&key(1), at(2)).unwrap(), superseded(at(2)));
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(2)));
}

/// `delete_removes_entry`, `delete_absent_key_is_ok`.
#[test]
fn a_delete_removes_what_is_there() {
    let store = open();
    assert_eq!(store.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Absent);
    store.put(&key(1), at(5)).unwrap();
    assert_eq!(store.delete(&key(1), Condition::UpTo(4)).unwrap(), DeleteOutcome::Superseded);
    assert_eq!(store.delete(&key(1), Condition::UpTo(5)).unwrap(), DeleteOutcome::Deleted);
    assert_eq!(store.get(&key(1)).unwrap(), None);
    assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)), "to go back: delete, then put");
}

/// `cloned_handles_share_state` has no counterpart: each open is a store of its own.
#[test]
fn each_memory_store_is_its_own() {
    let (one, other) = (open(), open());
    one.put(&key(1), at(1)).unwrap();
    assert_eq!(other.get(&key(1)).unwrap(), None);
}

/// `concurrent_puts_to_distinct_keys_all_land` (10 tasks).
#[test]
fn concurrent_puts_to_distinct_keys_all_land() {
    let store = open();
    thread::scope(|scope| {
        for number in 0..10 {
            let store = &store;
            scope.spawn(move || store.put(&key(number), at(number)).unwrap());
        }
    });
    assert_eq!(store.len().unwrap(), 10);
}

/// A name given with a key stays with it in memory; the last one given wins.
#[test]
fn the_last_name_given_to_a_key_stays_on_it() {
    let store = open();
    let named = key(1);
    let bare = ResumeKey::from_hex(&named.hex()).unwrap();
    let name = |store: &Store| store.entries().unwrap()[0].0.name().map(str::to_owned);
    store.put(&bare, at(1)).unwrap();
    assert_eq!(name(&store), None);
    store.put(&named, at(2)).unwrap();
    assert_eq!(name(&store), named.name().map(str::to_owned));
    store.put(&bare, at(3)).unwrap();
    assert_eq!(name(&store), named.name().map(str::to_owned), "no name is not another one");
    assert_eq!(store.len().unwrap(), 1);
}

/// It promises nothing that it cannot keep, and closes as the others do.
#[test]
fn a_memory_store_promises_nothing_and_closes() {
    let store = open();
    assert_eq!(store.durability(), Durability::None);
    assert_eq!(store.weakness(), None);
    store.refresh().unwrap();
    store.close_blocking();
    assert_eq!(store.get(&key(1)).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(store.put(&key(1), at(1)).unwrap_err().kind(), ErrorKind::Closed);
}
