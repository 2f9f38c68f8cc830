//! Files that are not what they should be, case by case what the original makes of them: at open,
//! and at a put on a live handle. JF-10: what cannot be decoded is never overwritten.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tidemark_core::checkpoint::JsonFileOptions;
use tidemark_core::{Error, ErrorKind};
use tidemark_storage::OsError;

use super::support::{
    Process, Scratch, again_in_a_process_of_its_own, applied, at, disk, expected, key,
};

fn refused(path: &Path) -> Error {
    Process::new().try_open(path, JsonFileOptions::default()).expect_err("it is refused")
}

fn errno(error: &Error) -> Option<i32> {
    error.os_error().map(|os| os.errno)
}

/// The row's text is refused at open and at a put on a live handle; the file and the memory stay.
fn refuses(text: impl AsRef<[u8]>, kind: ErrorKind) {
    let text = text.as_ref();
    let scratch = Scratch::new();
    fs::write(scratch.state(), text).unwrap();
    let error = refused(&scratch.state());
    assert_eq!(error.kind(), kind, "{error:?}");
    assert_eq!(error.path(), Some(scratch.state().as_path()));
    assert_eq!(scratch.names(), ["state.json"], "JF-8: opening makes nothing");

    fs::remove_file(scratch.state()).unwrap();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    fs::write(scratch.state(), text).unwrap();
    for _ in 0..2 {
        let error = store.put(&key(1), at(2)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(!error.is_indeterminate(), "JF-7: definite");
        assert_eq!(store.refresh().unwrap_err().kind(), kind);
    }
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)), "memory is as before");
    assert_eq!(fs::read(scratch.state()).unwrap(), text, "never repaired unless asked");

    fs::remove_file(scratch.state()).unwrap();
    assert_eq!(store.put(&key(1), at(2)).unwrap(), applied(at(2)), "and the store is usable");
}

fn with_key(key: &str) -> String {
    format!(
        "{{\"version\": 1, \"key_format_version\": 1, \
         \"checkpoints\": {{\"{key}\": {{\"last_committed_sequence\": 1}}}}}}"
    )
}

/// The case "missing file, good parent": empty, nothing is made until a write, in both.
#[test]
fn a_missing_file_is_an_empty_store() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    assert!(store.is_empty().unwrap());
    assert!(scratch.names().is_empty());
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"]);
}

/// The case "missing parent": `ENOENT` at open; at a put as well, memory unchanged, in both.
#[test]
fn a_missing_parent_is_an_io_error() {
    let scratch = Scratch::new();
    let error = refused(&scratch.path("nowhere/state.json"));
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::ENOENT)));

    fs::create_dir(scratch.path("gone")).unwrap();
    let path = scratch.path("gone/state.json");
    let store = Process::new().open(&path);
    fs::remove_dir(scratch.path("gone")).unwrap();
    let error = store.put(&key(1), at(1)).unwrap_err();
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::ENOENT)));
    assert_eq!(store.get(&key(1)).unwrap(), None);
    assert_eq!(store.refresh().unwrap_err().kind(), ErrorKind::Io);
    fs::create_dir(scratch.path("gone")).unwrap();
    assert_eq!(store.put(&key(1), at(1)).unwrap(), applied(at(1)), "and it recovers");
}

/// The case "parent is a file": `ENOTDIR`, in both.
#[test]
fn a_parent_that_is_a_file_is_an_io_error_of_its_own() {
    let scratch = Scratch::new();
    fs::write(scratch.path("file"), "").unwrap();
    let error = refused(&scratch.path("file/state.json"));
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::ENOTDIR)));

    fs::create_dir(scratch.path("turned")).unwrap();
    let store = Process::new().open(&scratch.path("turned/state.json"));
    store.put(&key(1), at(1)).unwrap();
    fs::remove_dir_all(scratch.path("turned")).unwrap();
    fs::write(scratch.path("turned"), "").unwrap();
    let error = store.put(&key(1), at(2)).unwrap_err();
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::ENOTDIR)));
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
}

/// The case "empty or whitespace file": a decode error, in both; the original never repairs it.
#[test]
fn an_empty_or_whitespace_file_is_a_decode_error() {
    refuses("", ErrorKind::Decode);
    refuses(" \n\t", ErrorKind::Decode);
}

/// The case "truncated/garbage", in both.
#[test]
fn a_truncated_or_garbage_file_is_a_decode_error() {
    refuses("{\"version\": 1, \"key_format_version\": 1, \"checkpoi", ErrorKind::Decode);
    refuses("garbage", ErrorKind::Decode);
    refuses(b"\xff\xfe\x00", ErrorKind::Decode);
    refuses([0; 4096], ErrorKind::Decode);
}

/// The case "version 0 or 2", in both; a later layout is a decode error in the original.
#[test]
fn another_file_version_is_called_that() {
    for version in [0, 2] {
        let text =
            with_key(&key(1).hex()).replace("\"version\": 1", &format!("\"version\": {version}"));
        refuses(text, ErrorKind::UnsupportedFileVersion);
    }
    refuses("{\"version\": 2, \"shards\": []}", ErrorKind::UnsupportedFileVersion);
}

/// The case "key version != 1", in both.
#[test]
fn another_key_version_is_called_that() {
    let text =
        with_key(&key(1).hex()).replace("\"key_format_version\": 1", "\"key_format_version\": 2");
    refuses(text, ErrorKind::UnsupportedKeyFormatVersion);
}

/// Rows "non-hex / odd-length key" and "short/long key", in both.
#[test]
fn a_bad_key_is_called_that() {
    let long = key(1).hex() + "00";
    for bad in ["zzz", "abc", "deadbeef", "", long.as_str()] {
        refuses(with_key(bad), ErrorKind::InvalidResumeKey);
    }
}

/// The case "unreadable (EACCES)": an I/O error, in both.
#[test]
fn an_unreadable_file_is_an_io_error() {
    let name = "malformed::an_unreadable_file_is_an_io_error";
    if !again_in_a_process_of_its_own(name, "", true) {
        return;
    }
    let scratch = Scratch::new();
    fs::write(scratch.state(), with_key(&key(1).hex())).unwrap();
    let store = Process::new().open(&scratch.state());
    fs::write(scratch.state(), with_key(&key(2).hex()) + " ").unwrap();
    fs::set_permissions(scratch.state(), Permissions::from_mode(0o000)).unwrap();
    for error in [refused(&scratch.state()), store.put(&key(1), at(2)).unwrap_err()] {
        assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::EACCES)));
    }
    assert_eq!(store.len().unwrap(), 1);
}

/// The case "path is a directory": an I/O error in the original; here an invalid argument
/// (docs/errors.md).
#[test]
fn a_directory_is_not_a_state_file() {
    let scratch = Scratch::new();
    assert_eq!(refused(scratch.root()).kind(), ErrorKind::InvalidArgument);
    assert_eq!(refused(&scratch.path("new/")).kind(), ErrorKind::InvalidArgument);
    assert_eq!(refused(&scratch.path("..")).kind(), ErrorKind::InvalidArgument);
    assert_eq!(refused(Path::new("/")).kind(), ErrorKind::InvalidArgument);
}

/// The case "dangling symlink": an empty store in the original, whose first write replaces the
/// link; here `ENOENT`, and the link stays.
#[test]
fn a_dangling_symbolic_link_is_refused() {
    let scratch = Scratch::new();
    symlink("nowhere", scratch.state()).unwrap();
    let error = refused(&scratch.state());
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::ENOENT)));
    symlink("loop", scratch.path("loop")).unwrap();
    let error = refused(&scratch.path("loop"));
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::ELOOP)));
    assert_eq!(scratch.names(), ["loop", "state.json"]);
}

/// The case "empty path": opens in the original and panics in its writer; here refused at open, as
/// is one with a NUL character.
#[test]
fn an_empty_path_is_refused_at_open() {
    assert_eq!(refused(Path::new("")).kind(), ErrorKind::InvalidArgument);
    assert_eq!(refused(Path::new("a\0b")).kind(), ErrorKind::InvalidArgument);
}

/// The case "lock file not creatable (read-only dir)": opens fine, an I/O error at the first write,
/// in both. JF-8: readers work on a read-only mount.
#[test]
fn a_directory_that_cannot_be_written_is_an_io_error_at_the_first_write() {
    let name = "malformed::a_directory_that_cannot_be_written_is_an_io_error_at_the_first_write";
    if !again_in_a_process_of_its_own(name, "", true) {
        return;
    }
    let scratch = Scratch::new();
    fs::write(scratch.state(), with_key(&key(1).hex())).unwrap();
    fs::set_permissions(scratch.root(), Permissions::from_mode(0o555)).unwrap();
    let store = Process::new().open(&scratch.state());
    store.refresh().unwrap();
    let error = store.put(&key(1), at(2)).unwrap_err();
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::EACCES)));
    fs::set_permissions(scratch.root(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(store.put(&key(1), at(2)).unwrap(), applied(at(2)));
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(2))]));
}

/// The case "read-only lock file (`EACCES` on `O_RDWR`)": fine at open, an I/O error at a write,
/// in both.
#[test]
fn a_lock_file_that_cannot_be_opened_is_an_io_error_at_the_first_write() {
    let name = "malformed::a_lock_file_that_cannot_be_opened_is_an_io_error_at_the_first_write";
    if !again_in_a_process_of_its_own(name, "", true) {
        return;
    }
    let scratch = Scratch::new();
    fs::write(scratch.lock(), "").unwrap();
    fs::set_permissions(scratch.lock(), Permissions::from_mode(0o444)).unwrap();
    let store = Process::new().open(&scratch.state());
    let error = store.put(&key(1), at(1)).unwrap_err();
    assert_eq!((error.kind(), errno(&error)), (ErrorKind::Io, Some(OsError::EACCES)));
    assert_eq!(error.path(), Some(scratch.lock().as_path()));
    assert_eq!(store.get(&key(1)).unwrap(), None);
}
