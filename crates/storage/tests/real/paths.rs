//! Paths, file systems, the clock and randomness.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use tidemark_storage::{FileKind, FileSystemClass, OsError, RealStorage, Storage};

use super::support::{HERE, Scratch, fifo};

/// Names without `.` and `..`, also such as are no text.
#[test]
fn a_directory_is_listed_whole() {
    let scratch = Scratch::new();
    assert!(RealStorage.read_dir(HERE, scratch.root()).unwrap().is_empty());
    let odd = OsString::from_vec(b"not \xff UTF-8\n".to_vec());
    let mut expected: BTreeSet<OsString> = (0..500).map(|n| format!("file {n}").into()).collect();
    expected.extend([odd, ".hidden".into(), "...".into()]);
    for name in &expected {
        fs::write(scratch.root().join(name), "").unwrap();
    }
    let names = RealStorage.read_dir(HERE, scratch.root()).unwrap();
    assert_eq!(names.len(), expected.len());
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn what_is_no_directory_is_not_listed_or_synced() {
    let scratch = Scratch::new();
    scratch.file("file", b"");
    fifo(&scratch.path("fifo"));
    for name in ["file", "fifo"] {
        let path = scratch.path(name);
        assert_eq!(RealStorage.read_dir(HERE, &path).unwrap_err().errno, OsError::ENOTDIR);
        assert_eq!(RealStorage.sync_dir(HERE, &path).unwrap_err().errno, OsError::ENOTDIR);
    }
    assert!(RealStorage.read_dir(HERE, &scratch.path("missing")).unwrap_err().is_not_found());
    assert!(RealStorage.sync_dir(HERE, &scratch.path("missing")).unwrap_err().is_not_found());
    RealStorage.sync_dir(HERE, scratch.root()).unwrap();
}

/// `stat` follows links, `stat_link` does not; both tell the kinds apart.
#[test]
fn the_kinds_of_files_are_told_apart() {
    let scratch = Scratch::new();
    scratch.file("file", b"123");
    fifo(&scratch.path("fifo"));
    symlink("file", scratch.path("link")).unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    for (name, followed, itself) in [
        ("file", Some(FileKind::Regular), FileKind::Regular),
        (".", Some(FileKind::Directory), FileKind::Directory),
        ("fifo", Some(FileKind::Special), FileKind::Special),
        ("link", Some(FileKind::Regular), FileKind::Symlink),
        ("dangling", None, FileKind::Symlink),
    ] {
        let path = scratch.path(name);
        assert_eq!(RealStorage.stat(HERE, &path).ok().map(|stat| stat.kind), followed, "{name}");
        assert_eq!(RealStorage.stat_link(HERE, &path).unwrap().kind, itself, "{name}");
    }
    assert_eq!(RealStorage.stat(HERE, Path::new("/dev/null")).unwrap().kind, FileKind::Special);
    let error = RealStorage.stat_link(HERE, &scratch.path("missing")).unwrap_err();
    assert_eq!(error, OsError::new(OsError::ENOENT, "lstat"));
    let error = RealStorage.stat_link(HERE, &scratch.path("file/x")).unwrap_err();
    assert_eq!(error.errno, OsError::ENOTDIR);
}

#[test]
fn a_rename_replaces_what_has_the_name() {
    let scratch = Scratch::new();
    scratch.file("new", b"new");
    scratch.file("old", b"old");
    RealStorage.rename(HERE, &scratch.path("new"), &scratch.path("old")).unwrap();
    assert_eq!(fs::read(scratch.path("old")).unwrap(), b"new");
    assert_eq!(RealStorage.read_dir(HERE, scratch.root()).unwrap(), ["old"]);
    let error = RealStorage.rename(HERE, &scratch.path("new"), &scratch.path("old")).unwrap_err();
    assert_eq!(error, OsError::new(OsError::ENOENT, "rename"));
}

#[test]
fn files_and_directories_are_removed_each_in_its_way() {
    let scratch = Scratch::new();
    RealStorage.make_dir(HERE, &scratch.path("d"), 0o700).unwrap();
    let error = RealStorage.make_dir(HERE, &scratch.path("d"), 0o700).unwrap_err();
    assert_eq!(error.errno, OsError::EEXIST);
    scratch.file("d/file", b"");
    assert!(RealStorage.remove(HERE, &scratch.path("d")).is_err(), "a directory stays");
    let error = RealStorage.remove_dir(HERE, &scratch.path("d")).unwrap_err();
    assert_eq!(error.errno, OsError::ENOTEMPTY);
    symlink("d/file", scratch.path("link")).unwrap();
    RealStorage.remove(HERE, &scratch.path("link")).unwrap();
    assert!(scratch.path("d/file").exists(), "the link went, not its target");
    RealStorage.remove(HERE, &scratch.path("d/file")).unwrap();
    RealStorage.remove_dir(HERE, &scratch.path("d")).unwrap();
    assert!(RealStorage.read_dir(HERE, scratch.root()).unwrap().is_empty());
}

#[test]
fn a_real_path_has_no_links_and_must_exist() {
    let scratch = Scratch::new();
    let root = fs::canonicalize(scratch.root()).unwrap();
    scratch.file("file", b"");
    symlink("file", scratch.path("link")).unwrap();
    symlink("cycle", scratch.path("cycle")).unwrap();
    let real = |name: &str| RealStorage.real_path(HERE, &scratch.path(name));
    assert_eq!(real("link").unwrap(), root.join("file"));
    assert_eq!(real("./link").unwrap(), root.join("file"));
    assert_eq!(real("missing").unwrap_err(), OsError::new(OsError::ENOENT, "realpath"));
    assert_eq!(real("cycle").unwrap_err().errno, OsError::ELOOP);
    assert_eq!(real("file/x").unwrap_err().errno, OsError::ENOTDIR);
}

/// What is kept in memory is never called durable, and a reason is given where one is due.
#[test]
fn file_systems_are_classed() {
    let shm = Path::new("/dev/shm");
    let file_system = RealStorage.file_system(HERE, shm).unwrap();
    assert_eq!(
        (file_system.name.as_str(), file_system.class),
        ("tmpfs", FileSystemClass::Volatile)
    );
    assert!(!file_system.reason.is_empty() && file_system.overwrites_in_place);
    let proc = RealStorage.file_system(HERE, Path::new("/proc")).unwrap();
    assert_eq!(proc.class, FileSystemClass::Unproven, "a kind that is not known promises nothing");
    assert!(proc.name.starts_with("0x"), "{}", proc.name);
    assert!(!proc.overwrites_in_place, "nor is it known where it writes");
    for path in [Path::new("/"), Scratch::new().root(), shm] {
        let found = RealStorage.file_system(HERE, path).unwrap();
        assert!(!found.name.is_empty());
        let proven = found.class == FileSystemClass::Proven;
        assert_eq!(found.reason.is_empty(), proven, "{}: {found:?}", path.display());
    }
    let error = RealStorage.file_system(HERE, Path::new("/nowhere at all")).unwrap_err();
    assert_eq!(error, OsError::new(OsError::ENOENT, "statfs"));
}

#[test]
fn the_clock_never_goes_back() {
    let mut last = RealStorage.monotonic();
    for _ in 0..1000 {
        let now = RealStorage.monotonic();
        assert!(now >= last);
        last = now;
    }
    assert!(RealStorage.unix_time().as_secs() > 1_600_000_000, "it is after 2020");
}

#[test]
fn random_bytes_fill_the_whole_buffer_and_differ() {
    let draw = |count: usize| {
        let mut bytes = vec![0; count];
        RealStorage.random(HERE, &mut bytes).unwrap();
        bytes
    };
    assert_ne!(draw(16), draw(16));
    let many = draw(100_000);
    assert!(many.chunks(100).all(|part| part.iter().any(|byte| *byte != 0)), "to the end");
    assert!(draw(0).is_empty());
}

/// A system call that failed is named, with what it said.
#[test]
fn an_error_names_its_system_call() {
    let error = OsError::new(OsError::ENOSPC, "pwrite");
    assert!(error.is_no_space() && !error.is_not_found());
    assert!(error.to_string().starts_with("pwrite: No space left on device"), "{error}");
}
