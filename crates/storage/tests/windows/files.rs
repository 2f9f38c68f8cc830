//! Opening, reading, writing, syncing, replacing and removing, as Windows does them.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::os::windows::fs::OpenOptionsExt;
use std::{fs, thread};

use tidemark_storage::{
    FileKind, LockMode, Open, OsError, Pages, RealStorage, Result, Site, Storage,
};

use crate::support::{HERE, SHARING_VIOLATION, Scratch, errno, is_wine, tries};

#[test]
fn a_new_file_must_not_exist_and_an_old_one_must() {
    let scratch = Scratch::new();
    scratch.file("file", b"old");
    assert_eq!(errno(scratch.open("file", Open::new_file(0o600))), OsError::EEXIST);
    assert!(scratch.open("missing", Open::READ).unwrap_err().is_not_found());
    assert!(scratch.open("missing/file", Open::READ_WRITE).unwrap_err().is_not_found());
    assert_eq!(errno(RealStorage.make_dir(HERE, &scratch.path("file"), 0o700)), OsError::EEXIST);
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"old");
}

/// S2. Not everybody may make links here; whoever may not is told that it was not shown.
#[test]
fn a_symbolic_link_is_not_opened() {
    let scratch = Scratch::new();
    scratch.file("file", b"x");
    let made = std::os::windows::fs::symlink_file("file", scratch.path("link"));
    if made.is_err() || is_wine() {
        println!("not shown: no link can be made: {made:?}");
        return;
    }
    for how in [Open::READ, Open::READ_WRITE] {
        assert_eq!(errno(scratch.open("link", how)), OsError::ELOOP);
    }
    let kind = |stat: Result<tidemark_storage::Stat>| stat.unwrap().kind;
    assert_eq!(kind(RealStorage.stat_link(HERE, &scratch.path("link"))), FileKind::Symlink);
    assert_eq!(kind(RealStorage.stat(HERE, &scratch.path("link"))), FileKind::Regular);
}

#[test]
fn reads_and_writes_are_positional_and_short_at_the_end() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"0123456789");
    file.write_all(HERE, b"ab", 3).unwrap();
    assert_eq!(file.write_at(HERE, b"z", 12).unwrap(), 1);
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"012ab56789\0\0z");
    let mut bytes = [b'_'; 4];
    assert_eq!(file.read_at(HERE, &mut bytes, 11).unwrap(), 2);
    assert_eq!(file.read_at(HERE, &mut bytes, 13).unwrap(), 0);
    assert_eq!(file.read_full(HERE, &mut bytes, 1 << 40).unwrap(), 0);
    file.set_len(HERE, 4).unwrap();
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"012a");
    let reader = scratch.open("file", Open::READ).unwrap();
    assert_eq!(errno(reader.write_at(HERE, b"y", 0)), OsError::EACCES);
    assert!(reader.set_len(HERE, 0).is_err());
}

/// JF-3 syncs what another process wrote, through a file that was opened to be read.
#[test]
fn what_was_opened_to_be_read_is_synced_and_so_is_a_directory() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"x");
    file.sync_data(HERE).unwrap();
    file.sync_all(HERE).unwrap();
    scratch.open("file", Open::READ).unwrap().sync_all(HERE).unwrap();
    RealStorage.sync_dir(HERE, scratch.root()).unwrap();
    let directory = RealStorage.open_dir(HERE, scratch.root()).unwrap();
    scratch.file("other", b"y");
    directory.sync_all(HERE).unwrap();
    assert_eq!(directory.stat(HERE).unwrap().kind, FileKind::Directory);
    assert_eq!(errno(RealStorage.open_dir(HERE, &scratch.path("file"))), OsError::ENOTDIR);
    assert!(RealStorage.open_dir(HERE, &scratch.path("none")).unwrap_err().is_not_found());
}

/// No sync was tried while somebody has the file open and shares nothing, so that none has failed;
/// who has it no more is no obstacle.
#[test]
fn what_a_sync_needs_is_waited_for_and_told_apart_from_a_failed_sync() {
    let scratch = Scratch::new();
    drop(scratch.file("file", b"x"));
    let reader = scratch.open("file", Open::READ).unwrap();
    let mut options = fs::OpenOptions::new();
    // Shared to be read alone: nobody else may open it to write.
    let scanner = options.read(true).share_mode(1).open(scratch.path("file")).unwrap();
    assert_eq!(errno(reader.prepare_sync(HERE)), SHARING_VIOLATION);
    thread::scope(|scope| {
        let prepared = scope.spawn(|| reader.prepare_sync(HERE));
        drop(scanner);
        prepared.join().unwrap().unwrap();
    });
    reader.sync_all(HERE).unwrap();
}

#[test]
fn allocation_fills_with_zeros_and_fails_whole() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"head");
    file.allocate(HERE, 4, 6000, Pages::Together).unwrap();
    file.reserve(HERE, 9000, 1000).unwrap();
    file.allocate(HERE, 0, 5, Pages::Single).unwrap();
    let held = fs::read(scratch.path("file")).unwrap();
    assert_eq!(held, [b"head".as_slice(), &[0; 9996]].concat());
    assert_eq!(errno(file.reserve(HERE, u64::MAX, 1)), OsError::EINVAL);
    assert!(file.allocate(HERE, 0, 1 << 62, Pages::Together).is_err());
    assert_eq!(file.stat(HERE).unwrap().size_bytes, 10_000, "as long as it was");
    let reader = scratch.open("file", Open::READ).unwrap();
    assert_eq!(errno(reader.reserve(HERE, 0, 1)), OsError::EACCES);
}

/// Readers keep a file open whose name goes to another one, and so does its writer.
#[test]
fn a_file_is_replaced_while_it_is_open_on_both_sides() {
    let scratch = Scratch::new();
    if is_wine() {
        return;
    }
    let old = scratch.file("state", b"old");
    let reader = scratch.open("state", Open::READ).unwrap();
    let new = scratch.file("temporary", b"new");
    assert!(tries(new.as_ref(), Site::TempLock, LockMode::Exclusive));
    let (before, named) = (old.stat(HERE).unwrap(), new.stat(HERE).unwrap());
    RealStorage.rename(HERE, &scratch.path("temporary"), &scratch.path("state")).unwrap();
    let mut bytes = [0; 3];
    reader.read_full(HERE, &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"old");
    assert_eq!(fs::read(scratch.path("state")).unwrap(), b"new");
    assert_eq!(RealStorage.stat_link(HERE, &scratch.path("state")).unwrap().id, named.id);
    assert_eq!(reader.stat(HERE).unwrap().id, before.id);
    assert!(RealStorage.stat_link(HERE, &scratch.path("temporary")).unwrap_err().is_not_found());
}

#[test]
fn an_open_file_loses_its_name_at_once() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"12345");
    RealStorage.rename(HERE, &scratch.path("file"), &scratch.path("other")).unwrap();
    RealStorage.remove(HERE, &scratch.path("other")).unwrap();
    assert!(is_wine() || file.stat(HERE).unwrap().link_count == 0);
    let mut bytes = [0; 5];
    file.read_full(HERE, &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"12345");
    if !is_wine() {
        scratch.file("other", b"another");
    }
    let error = RealStorage.remove(HERE, &scratch.path("file")).unwrap_err();
    assert!(error.is_not_found());
}

#[test]
fn a_file_that_may_not_be_written_to_is_replaced_as_on_unix() {
    let scratch = Scratch::new();
    drop(scratch.file("state", b"old"));
    let mut permissions = fs::metadata(scratch.path("state")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(scratch.path("state"), permissions).unwrap();
    assert_eq!(RealStorage.stat(HERE, &scratch.path("state")).unwrap().mode, 0o444);
    // Wine asks the Unix below, whose root may write to anything.
    assert!(is_wine() || errno(scratch.open("state", Open::READ_WRITE)) == OsError::EACCES);
    drop(scratch.file("temporary", b"new"));
    RealStorage.rename(HERE, &scratch.path("temporary"), &scratch.path("state")).unwrap();
    assert_eq!(fs::read(scratch.path("state")).unwrap(), b"new");
}
