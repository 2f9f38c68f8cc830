//! Which file a name leads to, and what it is called.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::ffi::OsStr;
use std::fs;

use tidemark_storage::{FileKind, Open, RealStorage, Storage, is_plain};

use crate::support::{HERE, Scratch, is_wine};

#[test]
fn files_are_told_apart_and_their_changes_are_seen() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.file("one", b"12345"), scratch.file("other", b"1"));
    let before = one.stat(HERE).unwrap();
    assert_eq!((before.kind, before.link_count, before.size_bytes), (FileKind::Regular, 1, 5));
    assert_ne!(before.id, other.stat(HERE).unwrap().id);
    assert_eq!(before.id, RealStorage.stat(HERE, &scratch.path("one")).unwrap().id);
    assert_eq!(RealStorage.stat(HERE, scratch.root()).unwrap().kind, FileKind::Directory);
    let written = fs::metadata(scratch.path("one")).unwrap().modified().unwrap();
    let written = written.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(before.modified.seconds.unsigned_abs(), written.as_secs());
    fs::hard_link(scratch.path("one"), scratch.path("link")).unwrap();
    assert_eq!(one.stat(HERE).unwrap().link_count, 2);
    let now = RealStorage.unix_time().as_secs();
    assert!(before.modified.seconds.unsigned_abs().abs_diff(now) < 3600);
}

#[test]
fn a_device_is_no_file_and_its_name_is_not_plain() {
    assert!(!is_plain(OsStr::new("NUL")) && is_plain(OsStr::new("state.json")));
    let found = RealStorage.stat_link(HERE, "NUL".as_ref());
    assert!(found.is_err() || found.unwrap().kind == FileKind::Special);
}

/// Two names of one file would be two locks beside it. Short names are made only where the volume
/// is told to.
#[test]
fn a_real_path_has_the_name_that_the_file_has() {
    let scratch = Scratch::new();
    drop(scratch.file("A long Name.json", b"x"));
    for name in ["a LONG nAME.JSON", "A long Name.json", "ALONGN~1.JSO"] {
        match RealStorage.real_path(HERE, &scratch.path(name)) {
            Err(error) if name.contains('~') && error.is_not_found() => {
                println!("not shown: no short name was made");
            }
            real => assert_eq!(real.unwrap().file_name(), Some("A long Name.json".as_ref())),
        }
    }
    assert!(RealStorage.folds_names());
}

/// A real path is one that people and other programs can use.
#[test]
fn a_real_path_has_no_prefix_and_leads_to_the_same_place() {
    let scratch = Scratch::new();
    let real = RealStorage.real_path(HERE, &scratch.path(".")).unwrap();
    assert!(real.is_absolute() && !real.to_str().unwrap().starts_with(r"\\?\"), "{real:?}");
    let id = |path| RealStorage.stat(HERE, path).unwrap().id;
    assert_eq!(id(real.as_path()), id(scratch.root()));
    assert!(RealStorage.real_path(HERE, &scratch.path("none")).unwrap_err().is_not_found());
}

#[test]
fn a_name_may_lie_deeper_than_260_characters() {
    let scratch = Scratch::new();
    let deep = scratch.path(&"d".repeat(200)).join("e".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    let (from, to) = (deep.join("from"), deep.join("to"));
    let file = RealStorage.open(HERE, &from, Open::new_file(0o600)).unwrap();
    file.write_all(HERE, b"x", 0).unwrap();
    RealStorage.rename(HERE, &from, &to).unwrap();
    assert_eq!(RealStorage.read_dir(HERE, &deep).unwrap(), ["to"]);
    assert!(RealStorage.file_system(HERE, &deep).is_ok());
    RealStorage.remove(HERE, &to).unwrap();
    if !is_wine() {
        let real = RealStorage.real_path(HERE, &deep).unwrap();
        assert!(real.to_str().unwrap().starts_with(r"\\?\"), "{real:?}");
    }
}
