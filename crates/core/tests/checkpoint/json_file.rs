//! The original's own tests of its store, its lock path, loader, merging and checkpoints, held
//! against this store.

use std::fs;
use std::path::Path;
use std::thread;

use tidemark_core::checkpoint::{
    Checkpoint, Condition, DeleteOutcome, JsonFileOptions, Op, Outcome, Store,
};
use tidemark_core::{Error, ErrorKind};

use super::support::{
    Mailbox, Process, Scratch, applied, at, bare, disk, expected, key, superseded,
    write_as_another_program,
};

fn open_error(path: &Path) -> Error {
    Process::new().try_open(path, JsonFileOptions::default()).expect_err("it is refused")
}

// Checkpoint: `serde_roundtrip_*` are the format's own tests (`format_tests`).

/// Checkpoint `new_sets_fields`.
#[test]
fn a_new_checkpoint_has_its_fields() {
    let checkpoint = Checkpoint::new(7, Some("e@7"));
    assert_eq!(checkpoint.last_committed_sequence, 7);
    assert_eq!(checkpoint.last_event_id.as_deref(), Some("e@7"));
    assert_eq!(Checkpoint::new(7, None).last_event_id, None);
}

// Lock path: the name is appended to the full name.

/// Lock path `/a/b/state.json` -> `/a/b/state.json.lock`, `/a/b/state` -> `/a/b/state.lock`.
#[test]
fn the_lock_file_has_the_full_name_and_lock() {
    for (name, lock) in
        [("state.json", "state.json.lock"), ("state", "state.lock"), (".x", ".x.lock")]
    {
        let scratch = Scratch::new();
        Process::new().open(&scratch.path(name)).put(&key(1), at(1)).unwrap();
        let mut expected = [name, lock];
        expected.sort_unstable();
        assert_eq!(scratch.names(), expected);
        assert_eq!(fs::read(scratch.path(lock)).unwrap(), b"", "L-4: never written to");
    }
}

// Loader: the rows of `malformed` have the same cases on a live handle.

/// Loader `newer_file_version_returns_unsupported_file_version`, `older_...` (found, supported).
#[test]
fn an_unsupported_version_names_what_was_found_and_what_is_supported() {
    let scratch = Scratch::new();
    for version in [0, 2, 7] {
        let text =
            format!("{{\"version\": {version}, \"key_format_version\": 1, \"checkpoints\": {{}}}}");
        fs::write(scratch.state(), text).unwrap();
        let error = open_error(&scratch.state());
        assert_eq!(error.kind(), ErrorKind::UnsupportedFileVersion);
        let expected =
            format!("state file format version {version} does not match supported version 1");
        assert_eq!(error.message(), expected);
    }
}

// JsonFileStore.

/// `open_missing_file_starts_empty_and_does_not_create`.
#[test]
fn opening_a_missing_file_creates_nothing() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.refresh().unwrap();
    assert_eq!(store.entries().unwrap(), []);
    assert!(scratch.names().is_empty());
}

/// `put_persists_across_reopen` (42, "e@42").
#[test]
fn a_put_persists_across_a_reopen() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    assert_eq!(store.put(&key(1), at(42)).unwrap(), applied(at(42)));
    store.close_blocking();
    assert_eq!(process.open(&scratch.state()).get(&key(1)).unwrap(), Some(at(42)));
}

/// `delete_persists_across_reopen`.
#[test]
fn a_delete_persists_across_a_reopen() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let store = process.open(&scratch.state());
    store.put(&key(1), at(42)).unwrap();
    assert_eq!(store.delete(&key(1), Condition::Always).unwrap(), DeleteOutcome::Deleted);
    store.close_blocking();
    assert_eq!(process.open(&scratch.state()).get(&key(1)).unwrap(), None);
}

/// `delete_absent_key_after_open_is_ok_and_file_remains_valid`.
#[test]
fn a_delete_of_an_absent_key_leaves_the_file_as_it_is() {
    let scratch = Scratch::new();
    write_as_another_program(&scratch.state(), [(key(1), bare(1))]);
    let before = fs::read(scratch.state()).unwrap();
    let store = Process::new().open(&scratch.state());
    assert_eq!(store.delete(&key(2), Condition::Always).unwrap(), DeleteOutcome::Absent);
    assert_eq!(store.delete(&key(2), Condition::UpTo(9)).unwrap(), DeleteOutcome::Absent);
    assert_eq!(fs::read(scratch.state()).unwrap(), before, "byte for byte");
}

/// `failed_write_leaves_in_memory_state_unchanged`.
#[test]
fn a_failed_write_leaves_the_memory_unchanged() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("sub")).unwrap();
    let store = Process::new().open(&scratch.path("sub/state.json"));
    store.put(&key(1), at(1)).unwrap();
    fs::remove_dir_all(scratch.path("sub")).unwrap();
    let error = store.put(&key(2), at(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
    assert_eq!(store.get(&key(2)).unwrap(), None);
}

/// `after_put_file_parses_cleanly`.
#[test]
fn after_a_put_another_decoder_reads_the_file() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    store.put(&key(2), bare(2)).unwrap();
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1)), (key(2), bare(2))]));
}

/// `cloned_handles_share_state`: here, handles of one process.
#[test]
fn handles_of_one_process_share_their_state() {
    let (scratch, process) = (Scratch::new(), Process::new());
    let (one, other) = (process.open(&scratch.state()), process.open(&scratch.state()));
    one.put(&key(1), at(1)).unwrap();
    assert_eq!(other.get(&key(1)).unwrap(), Some(at(1)));
}

/// `two_independent_opens_to_same_path_do_not_share_state`: in the original also within a
/// process; here only between processes, until they look.
#[test]
fn processes_do_not_share_their_state_until_they_look() {
    let scratch = Scratch::new();
    let one = Process::new().open(&scratch.state());
    let other = Process::new().open(&scratch.state());
    one.put(&key(1), at(1)).unwrap();
    assert_eq!(other.get(&key(1)).unwrap(), None);
    other.refresh().unwrap();
    assert_eq!(other.get(&key(1)).unwrap(), Some(at(1)));
}

/// `concurrent_puts_to_distinct_keys_all_land` (10, live and after reopen).
#[test]
fn concurrent_puts_to_distinct_keys_all_land() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    thread::scope(|scope| {
        for number in 0..10 {
            let store = &store;
            scope.spawn(move || store.put(&key(number), at(number)).unwrap());
        }
    });
    for store in [store, Process::new().open(&scratch.state())] {
        assert_eq!(store.len().unwrap(), 10);
        for number in 0..10 {
            assert_eq!(store.get(&key(number)).unwrap(), Some(at(number)));
        }
    }
}

/// `put_lower_seq_is_no_op_even_when_disk_is_externally_rolled_back` (file removed; put 5 after
/// 10 -> 10 and its event id).
#[test]
fn a_lower_put_is_no_op_even_when_the_file_was_removed() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(10)).unwrap();
    fs::remove_file(scratch.state()).unwrap();
    assert_eq!(store.put(&key(1), at(5)).unwrap(), superseded(at(10)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(10))]));
}

/// "compile-time Send+Sync".
#[test]
fn a_store_may_be_used_by_several_threads() {
    const fn shared<T: Send + Sync>() {}
    const { shared::<Store>() }
}

// What the original does not have.

/// putMany is one atomic commit, judged in order.
#[test]
fn many_puts_are_judged_in_order_and_written_at_once() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    let puts = vec![(key(1), at(5)), (key(1), at(4)), (key(2), at(1)), (key(1), at(6))];
    let outcome = store.call(&Op::Put(puts)).unwrap();
    let expected_outcome =
        Outcome::Put(vec![applied(at(5)), superseded(at(5)), applied(at(1)), applied(at(6))]);
    assert_eq!(outcome, expected_outcome);
    assert_eq!(super::support::metric(&store, "replaces"), 1);
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(6)), (key(2), at(1))]));
}

/// JF-5 through the store: what others wrote beside the checkpoints survives our rewrite; the
/// original drops it.
#[test]
fn unknown_members_of_the_file_survive_a_put() {
    let scratch = Scratch::new();
    let hex = key(1).hex();
    let text = format!(
        "{{\"version\": 1, \"owner\": {{\"a\": 1.0}}, \"key_format_version\": 1, \
         \"checkpoints\": {{\"{hex}\": {{\"last_committed_sequence\": 1, \"note\": [ 1e2 ]}}}}}}"
    );
    fs::write(scratch.state(), text).unwrap();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(2)).unwrap();
    store.put(&key(2), at(1)).unwrap();
    let text = fs::read_to_string(scratch.state()).unwrap();
    assert!(text.contains("\"note\": [ 1e2 ]"), "{text}");
    assert!(text.contains("\"owner\": {\"a\": 1.0}"), "{text}");
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(2)), (key(2), at(1))]));
    fs::remove_file(scratch.state()).unwrap();
    store.put(&key(2), at(2)).unwrap();
    let text = fs::read_to_string(scratch.state()).unwrap();
    assert!(text.contains("\"owner\"") && text.contains("\"note\""), "restored too: {text}");
}

/// 64 KiB of UTF-8 for a put; a longer one found in a file is accepted.
#[test]
fn a_long_event_id_is_refused_from_a_caller_and_kept_from_a_file() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    let with_id = |bytes: usize| Checkpoint::new(1, Some(&"\u{e9}".repeat(bytes / 2)));
    let error = store.put(&key(1), with_id((64 << 10) + 2)).unwrap_err();
    assert_eq!((error.kind(), error.sequence()), (ErrorKind::InvalidArgument, Some(1)));
    assert!(scratch.names().is_empty(), "nothing was touched");
    assert!(store.put(&key(1), with_id(64 << 10)).unwrap().applied);
    write_as_another_program(&scratch.state(), [(key(2), with_id(100 << 10))]);
    store.put(&key(3), at(1)).unwrap();
    assert_eq!(store.get(&key(2)).unwrap(), Some(with_id(100 << 10)));
    assert_eq!(disk(&scratch.state()).len(), 2);
}

/// The file has no place for names, and the version of keys is that of the file.
#[test]
fn keys_of_another_version_are_refused() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    let foreign = tidemark_core::checkpoint::ResumeKey::from_parts([7; 32], 2);
    let error = store.put(&foreign, at(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedKeyFormatVersion);
    let error = store.delete(&foreign, Condition::Always).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedKeyFormatVersion);
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(store.entries().unwrap()[0].0.name(), None);
}

/// `entries()` is sorted by hex.
#[test]
fn entries_are_sorted_by_digest() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    let puts = (0..20).map(|number| (key(number), at(number))).collect();
    store.call(&Op::Put(puts)).unwrap();
    let hexes: Vec<String> =
        store.entries().unwrap().into_iter().map(|(key, _)| key.hex()).collect();
    assert_eq!(hexes.len(), 20);
    assert!(hexes.is_sorted());
}

/// Hand-over does not wait: results come through the sink, in order.
#[test]
fn results_of_what_was_handed_over_come_in_order() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    let mailbox = Mailbox::new();
    for ticket in 1..=20 {
        mailbox.put(&store, ticket, &key(1), at(ticket));
    }
    for ticket in 1..=20 {
        let (settled, result) = mailbox.next();
        assert_eq!(settled, ticket);
        assert_eq!(result.unwrap(), Outcome::Put(vec![applied(at(ticket))]));
    }
}
