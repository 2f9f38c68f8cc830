//! The real implementation of the storage traits, against Windows: rules S2, S3, S5 and S6, and
//! what is different from Unix. `real/` asks the other one.
#![cfg(windows)]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test says what it did not show")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{env, fs, thread};

use tempfile::TempDir;
use tidemark_storage::{
    Access, File, FileKind, FileSystemClass, Interrupt, LockMode, Open, OsError, Pages,
    RealStorage, Result, Site, Storage, is_plain,
};

const HERE: Site = Site::Test;
const HANG: Duration = Duration::from_secs(60);
/// Somebody has a file open and does not share it.
const SHARING_VIOLATION: i32 = 32;
const PAGE: usize = 4096;

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> Box<dyn File> {
        let file = self.open(name, Open::new_file(0o600)).unwrap();
        file.write_all(HERE, content, 0).unwrap();
        file
    }

    fn open(&self, name: &str, how: Open) -> Result<Box<dyn File>> {
        RealStorage.open(HERE, &self.path(name), how)
    }
}

/// Wine has no POSIX way to rename and to remove, and no links: what needs them is shown on Windows
/// alone.
fn is_wine() -> bool {
    let is_wine = fs::exists(r"C:\windows\system32\winecfg.exe").unwrap();
    if is_wine {
        println!("not all is shown: Wine differs here");
    }
    is_wine
}

fn errno<T>(answer: Result<T>) -> i32 {
    answer.err().map_or(0, |error| error.errno)
}

fn tries(file: &dyn File, site: Site, mode: LockMode) -> bool {
    file.try_lock(site, mode).unwrap()
}

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
    RealStorage.sync_dir(HERE, scratch.0.path()).unwrap();
    let directory = RealStorage.open_dir(HERE, scratch.0.path()).unwrap();
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

/// S5, and what `flock` does: one lock for each open file, of either kind, one after the other.
#[test]
fn a_lock_excludes_every_other_open_file_and_ends_with_it() {
    for site in [Site::LockAcquire, Site::SegmentLock] {
        let scratch = Scratch::new();
        let one = scratch.file("lock", b"");
        let other = scratch.open("lock", Open::READ).unwrap();
        assert!(tries(one.as_ref(), site, LockMode::Exclusive));
        assert!(tries(one.as_ref(), site, LockMode::Exclusive), "its own lock is no obstacle");
        assert!(!tries(other.as_ref(), site, LockMode::Shared));
        assert!(tries(one.as_ref(), site, LockMode::Shared), "one kind instead of the other");
        assert!(tries(other.as_ref(), site, LockMode::Shared));
        assert!(!tries(one.as_ref(), site, LockMode::Exclusive));
        other.unlock(HERE).unwrap();
        other.unlock(HERE).unwrap();
        assert!(tries(one.as_ref(), site, LockMode::Exclusive));
        drop(one);
        assert!(tries(other.as_ref(), site, LockMode::Exclusive));
    }
}

/// Locks are mandatory: whoever reads a segment, or the state page, must not meet one.
#[test]
fn the_data_of_a_locked_file_is_read_and_written_by_others() {
    let scratch = Scratch::new();
    let data = vec![7; 3 * PAGE];
    for mode in [LockMode::Shared, LockMode::Exclusive] {
        let file = scratch.file("file", &data);
        for site in [Site::SegmentLock, Site::StateLock, Site::TempLock] {
            assert!(tries(file.as_ref(), site, mode));
            assert_eq!(fs::read(scratch.path("file")).unwrap(), data);
            let other = scratch.open("file", Open::READ_WRITE).unwrap();
            other.write_all(HERE, &data, 0).unwrap();
            assert!(!tries(other.as_ref(), Site::SweepLock, LockMode::Exclusive));
            // Also where locks bind only those who ask for them, as in Wine: the data is free.
            assert!(tries(other.as_ref(), Site::LockAcquire, LockMode::Exclusive));
        }
        drop(file);
        RealStorage.remove(HERE, &scratch.path("file")).unwrap();
    }
}

/// Rule 1.4 of the original's file: it locks the first byte of the lock file, others all of it.
#[test]
fn a_lock_file_excludes_those_who_lock_all_of_it() {
    let scratch = Scratch::new();
    let ours = scratch.file("state.json.lock", b"");
    let mut options = fs::OpenOptions::new();
    let theirs = options.read(true).write(true).open(scratch.path("state.json.lock")).unwrap();
    assert!(tries(ours.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert!(theirs.try_lock().is_err());
    ours.unlock(Site::LockRelease).unwrap();
    theirs.try_lock().unwrap();
    assert!(!tries(ours.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    drop(theirs);
    assert!(tries(ours.as_ref(), Site::LockAcquire, LockMode::Exclusive));
}

/// What frees a lock that nobody took makes no file for it.
#[test]
fn a_directory_that_was_never_locked_is_unlocked_without_a_trace() {
    let scratch = Scratch::new();
    let directory = RealStorage.open_dir(HERE, scratch.0.path()).unwrap();
    directory.unlock(Site::LockRelease).unwrap();
    assert!(RealStorage.read_dir(HERE, scratch.0.path()).unwrap().is_empty());
}

/// C11: a directory is locked by a file in it, which nobody takes away meanwhile.
#[test]
fn a_directory_is_locked_by_a_file_in_it() {
    let scratch = Scratch::new();
    let open = || RealStorage.open_dir(HERE, scratch.0.path()).unwrap();
    let (one, other) = (open(), open());
    assert!(tries(one.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert!(!tries(other.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert!(fs::remove_file(scratch.path("LOCK")).is_err());
    assert!(fs::rename(scratch.path("LOCK"), scratch.path("else")).is_err());
    one.unlock(Site::LockRelease).unwrap();
    open().unlock(Site::LockRelease).unwrap();
    assert!(tries(other.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    drop(other);
    assert!(tries(one.as_ref(), Site::LockAcquire, LockMode::Exclusive));
    assert_eq!(RealStorage.read_dir(HERE, scratch.0.path()).unwrap(), ["LOCK"]);
}

/// S3: a lock is waited for, and granted when its holder is killed.
#[test]
fn a_lock_dies_with_the_process_that_holds_it() {
    const MARK: &str = "TIDEMARK_TEST_HOLDER";
    if let Some(path) = env::var_os(MARK) {
        let file = RealStorage.open(HERE, path.as_ref(), Open::READ_WRITE).unwrap();
        file.lock(HERE, LockMode::Exclusive).unwrap();
        println!("\nlocked");
        std::io::stdout().flush().unwrap();
        thread::park();
    }
    let scratch = Scratch::new();
    let file = scratch.file("file", b"");
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_lock_dies_with_the_process_that_holds_it", "--nocapture"])
        .env(MARK, scratch.path("file"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(printed.map_while(std::io::Result::ok).any(|line| line.trim() == "locked"));
    assert!(!tries(file.as_ref(), HERE, LockMode::Shared));
    thread::scope(|scope| {
        let (tell, told) = channel();
        scope.spawn(move || {
            file.lock(HERE, LockMode::Exclusive).unwrap();
            tell.send(()).unwrap();
        });
        assert!(told.try_recv().is_err(), "nobody is let in before that");
        holder.kill().unwrap();
        told.recv_timeout(HANG).unwrap();
    });
    holder.wait().unwrap();
}

#[test]
fn a_map_shows_what_others_write_and_they_what_it_stores() {
    let scratch = Scratch::new();
    let file = scratch.file("file", &[0; PAGE]);
    let reader = scratch.open("file", Open::READ).unwrap();
    let (map, other) = (file.map(HERE, PAGE).unwrap(), reader.map(HERE, 64).unwrap());
    map.store(HERE, 8, 0x0807_0605_0403_0201).unwrap();
    assert_eq!(other.load(HERE, 8).unwrap(), 0x0807_0605_0403_0201);
    assert_eq!(fs::read(scratch.path("file")).unwrap()[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
    file.write_all(HERE, b"other", 17).unwrap();
    let mut bytes = [0; 5];
    other.read(HERE, 17, &mut bytes).unwrap();
    assert_eq!(&bytes, b"other");
    map.sync(HERE).unwrap();
    assert_eq!(errno(other.store(HERE, 0, 1)), OsError::EACCES);
    assert_eq!(errno(other.load(HERE, 64)), OsError::EINVAL);
    assert_eq!(errno(other.load(HERE, 4)), OsError::EINVAL);
    for size in [0, PAGE + 1, usize::MAX] {
        assert_eq!(errno(file.map(HERE, size)), OsError::EINVAL);
    }
}

/// S6: no page of a map can be lost, because it is kept in memory and nobody can cut the file; so
/// what is large is not mapped.
#[test]
fn a_map_is_small_and_its_file_is_not_cut() {
    let scratch = Scratch::new();
    let file = scratch.file("file", &[1; 3 * PAGE]);
    let map = file.map(HERE, PAGE).unwrap();
    assert!(file.set_len(HERE, 0).is_err());
    assert_eq!(map.load(HERE, 0).unwrap(), u64::from_le_bytes([1; 8]));
    drop(map);
    file.set_len(HERE, 0).unwrap();
    let large = scratch.file("large", &vec![0; 1 << 20]);
    assert_eq!(errno(large.map(HERE, 1 << 20)), OsError::ENOMEM);
    assert!(!RealStorage.maps_large_files());
}

/// More logs may be open than a process may keep pages of in memory at first.
#[test]
fn hundreds_of_pages_are_mapped_at_a_time() {
    let scratch = Scratch::new();
    let file = scratch.file("file", &[1; PAGE]);
    let maps: Vec<_> = (0..500).map(|_| file.map(HERE, PAGE).unwrap()).collect();
    assert!(maps.iter().all(|map| map.load(HERE, 8).unwrap() == u64::from_le_bytes([1; 8])));
}

#[test]
fn a_map_keeps_the_lock_of_its_file() {
    let scratch = Scratch::new();
    let file = scratch.file("file", &[1; 64]);
    let other = scratch.open("file", Open::READ_WRITE).unwrap();
    assert!(tries(file.as_ref(), Site::StateLock, LockMode::Exclusive));
    let map = file.map(HERE, 64).unwrap();
    drop(file);
    assert!(!tries(other.as_ref(), Site::StateProbe, LockMode::Shared));
    drop(map);
    assert!(tries(other.as_ref(), Site::StateProbe, LockMode::Shared));
}

#[test]
fn a_wait_ends_with_a_change_an_interrupt_or_the_time() {
    let scratch = Scratch::new();
    let file = scratch.file("file", &[0; 64]);
    let map = file.map(HERE, 64).unwrap();
    map.wait(HERE, 8, 1, Duration::MAX).unwrap();
    map.wait(HERE, 8, 0, Duration::from_millis(1)).unwrap();
    let interrupt = Interrupt::default();
    thread::scope(|scope| {
        let map = map.as_ref();
        let changed = scope.spawn(move || {
            while map.load(HERE, 8).unwrap() == 0 {
                map.wait(HERE, 8, 0, Duration::MAX).unwrap();
            }
        });
        let raised = scope.spawn(|| map.wait_or(HERE, 16, 0, Duration::MAX, Some(&interrupt)));
        map.store(HERE, 8, 1 << 32).unwrap();
        map.wake(HERE, 8).unwrap();
        changed.join().unwrap();
        interrupt.raise();
        raised.join().unwrap().unwrap();
    });
}

#[test]
fn files_are_told_apart_and_their_changes_are_seen() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.file("one", b"12345"), scratch.file("other", b"1"));
    let before = one.stat(HERE).unwrap();
    assert_eq!((before.kind, before.link_count, before.size_bytes), (FileKind::Regular, 1, 5));
    assert_ne!(before.id, other.stat(HERE).unwrap().id);
    assert_eq!(before.id, RealStorage.stat(HERE, &scratch.path("one")).unwrap().id);
    assert_eq!(RealStorage.stat(HERE, scratch.0.path()).unwrap().kind, FileKind::Directory);
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
    assert_eq!(id(real.as_path()), id(scratch.0.path()));
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

/// "never on Windows": no file system is called proven.
#[test]
fn no_file_system_is_proven() {
    let scratch = Scratch::new();
    let found = RealStorage.file_system(HERE, scratch.0.path()).unwrap();
    assert_ne!(found.class, FileSystemClass::Proven);
    assert!(!found.reason.is_empty() && !found.name.is_empty(), "{found:?}");
}

#[test]
fn randomness_differs() {
    let mut drawn = [[0; 16]; 2];
    for into in &mut drawn {
        RealStorage.random(HERE, into).unwrap();
    }
    assert_ne!(drawn[0], drawn[1]);
    assert_ne!(drawn[0], [0; 16]);
    assert_eq!(Open::READ.access, Access::Read);
}
