//! JF-6, T-1 to T-3: temporaries belong to who has them locked.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::support::{Process, Scratch, at, disk, expected, key, metric};

/// A name like those of our temporaries.
fn stray(number: u32) -> String {
    format!(".tidemark-{number:032x}.tmp")
}

fn make_old(path: &Path) {
    // Long before whatever the clock says now.
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
    File::open(path).unwrap().set_times(times).unwrap();
}

/// What another implementation of the store leaves behind when it is killed.
fn original_stray(scratch: &Scratch, name: &str) {
    fs::create_dir(scratch.path(name)).unwrap();
    fs::write(scratch.path(name).join("tmpfile.tmp"), "half a").unwrap();
}

fn left_after_a_put(scratch: &Scratch) -> Vec<String> {
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(1))]));
    let ours = ["state.json", "state.json.lock"];
    scratch.names().into_iter().filter(|name| !ours.contains(&name.as_str())).collect()
}

/// JF-6: the temporary of a dead writer is swept by the next write, and counted.
#[test]
fn the_temporary_of_a_dead_writer_is_swept() {
    let scratch = Scratch::new();
    fs::write(scratch.path(&stray(1)), "half a").unwrap();
    fs::write(scratch.path(&stray(2)), "").unwrap();
    let store = Process::new().open(&scratch.state());
    assert_eq!(scratch.names().len(), 2, "JF-8: not by opening");
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"]);
    assert_eq!(metric(&store, "sweptTemporaries"), 2);
}

/// JF-6: a temporary whose writer lives is locked, and nobody unlinks what he could not lock.
#[test]
fn the_temporary_of_a_live_writer_is_never_swept() {
    let scratch = Scratch::new();
    let alive = File::create(scratch.path(&stray(1))).unwrap();
    alive.lock().unwrap();
    fs::write(scratch.path(&stray(2)), "").unwrap();
    assert_eq!(left_after_a_put(&scratch), [stray(1)]);
    alive.unlock().unwrap();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(2)).unwrap();
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"], "once it is dead");
}

/// Whatever only resembles our temporaries is somebody's file.
#[test]
fn other_peoples_files_are_not_swept() {
    let scratch = Scratch::new();
    let hex = "0123456789abcdef".repeat(2);
    let names = [
        format!(".tidemark-{hex}"),
        format!(".tidemark-{hex}0.tmp"),
        format!(".tidemark-{}.tmp", &hex[1..]),
        format!(".tidemark-{}g.tmp", &hex[1..]),
        format!("tidemark-{hex}.tmp"),
        format!(".tidemark-{hex}.tmp2"),
        ".tidemark-.tmp".to_owned(),
        "state.json.tmp".to_owned(),
        "state.json.corrupt-1".to_owned(),
        ".atomicwrite".to_owned(),
        ".atomicwriteABCDEFG".to_owned(),
    ];
    for name in &names {
        fs::write(scratch.path(name), "mine").unwrap();
    }
    let mut expected = names.to_vec();
    expected.sort();
    assert_eq!(left_after_a_put(&scratch), expected);
}

/// What is no regular file is left alone, and nothing hangs on it.
#[test]
fn a_temporarys_name_on_something_else_is_left_alone() {
    let scratch = Scratch::new();
    scratch.fifo(&stray(1));
    fs::create_dir(scratch.path(&stray(2))).unwrap();
    fs::write(scratch.path("mine"), "mine").unwrap();
    symlink("mine", scratch.path(&stray(3))).unwrap();
    assert_eq!(left_after_a_put(&scratch), [stray(1), stray(2), stray(3), "mine".to_owned()]);
}

/// One sweep is bounded; the next goes on.
#[test]
fn one_write_sweeps_a_bounded_number_of_strays() {
    let scratch = Scratch::new();
    for number in 0..100 {
        fs::write(scratch.path(&stray(number)), "").unwrap();
    }
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(metric(&store, "sweptTemporaries"), 64);
    store.put(&key(1), at(2)).unwrap();
    assert_eq!(metric(&store, "sweptTemporaries"), 100);
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"]);
}

/// The original locks nothing, so that only age tells that its writer is gone.
#[test]
fn the_originals_temporaries_are_swept_when_they_are_old() {
    let scratch = Scratch::new();
    original_stray(&scratch, ".atomicwriteAb3dE6");
    original_stray(&scratch, ".atomicwriteyoung1");
    fs::create_dir(scratch.path(".atomicwriteEmpty1")).unwrap();
    make_old(&scratch.path(".atomicwriteAb3dE6"));
    make_old(&scratch.path(".atomicwriteEmpty1"));
    assert_eq!(left_after_a_put(&scratch), [".atomicwriteyoung1"]);
    assert!(scratch.path(".atomicwriteyoung1/tmpfile.tmp").exists());
}

/// An old directory that holds anything else is somebody's, and so is a file of that
/// name.
#[test]
fn an_old_directory_with_other_content_is_left_alone() {
    let scratch = Scratch::new();
    original_stray(&scratch, ".atomicwriteOther1");
    fs::write(scratch.path(".atomicwriteOther1/mine"), "mine").unwrap();
    fs::write(scratch.path(".atomicwriteFile12"), "mine").unwrap();
    fs::create_dir(scratch.path(".atomicwrite-short")).unwrap();
    fs::create_dir(scratch.path("target")).unwrap();
    fs::write(scratch.path("target/tmpfile.tmp"), "mine").unwrap();
    symlink("target", scratch.path(".atomicwriteLink12")).unwrap();
    let names = [".atomicwriteOther1", ".atomicwriteFile12", ".atomicwrite-short", "target"];
    for name in names {
        make_old(&scratch.path(name));
    }
    let left = left_after_a_put(&scratch);
    assert_eq!(left.len(), 5, "{left:?}");
    assert_eq!(fs::read(scratch.path(".atomicwriteOther1/mine")).unwrap(), b"mine");
    assert_eq!(fs::read(scratch.path("target/tmpfile.tmp")).unwrap(), b"mine");
}
