//! Files, locks and limits of one machine, without a run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_sim::{Disk, Fault, FaultKind, World};
use tidemark_storage::{
    FileKind, FileSystem, FileSystemClass, LockMode, Open, OsError, Pages, Result, Site,
};

const SITE: Site = Site::Test;

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn errno<T>(result: Result<T>) -> i32 {
    result.err().map_or(0, |error| error.errno)
}

#[test]
fn freed_inode_numbers_come_back_at_once() {
    let world = World::new(Disk::new(), 1);
    let storage = world.process().storage();
    let inode = |name| storage.stat(SITE, path(name)).unwrap().id.inode;
    let first = storage.open(SITE, path("/data/a"), Open::new_file(0o600)).unwrap();
    let number = inode("/data/a");
    storage.remove(SITE, path("/data/a")).unwrap();

    storage.open(SITE, path("/data/b"), Open::new_file(0o600)).unwrap();
    assert_ne!(inode("/data/b"), number, "still open");
    drop(first);
    storage.open(SITE, path("/data/c"), Open::new_file(0o600)).unwrap();
    assert_eq!(inode("/data/c"), number);
}

#[test]
fn an_unlinked_file_lives_on_while_it_is_open() {
    let world = World::new(Disk::new(), 1);
    let storage = world.process().storage();
    let file = storage.open(SITE, path("/data/a"), Open::new_file(0o600)).unwrap();
    file.write_all(SITE, b"alive", 0).unwrap();
    storage.remove(SITE, path("/data/a")).unwrap();
    let mut bytes = [0; 8];
    assert_eq!(file.read_full(SITE, &mut bytes, 0).unwrap(), 5);
    assert_eq!(file.stat(SITE).unwrap().link_count, 0);
    file.sync_all(SITE).unwrap();
}

#[test]
fn a_killed_process_frees_its_locks_and_keeps_the_cache() {
    let world = World::new(Disk::new(), 1);
    let (victim, other) = (world.process(), world.process());
    let held = victim.storage().open(SITE, path("/data/a"), Open::new_file(0o600)).unwrap();
    held.write_all(SITE, b"written", 0).unwrap();
    held.lock(SITE, LockMode::Exclusive).unwrap();

    let file = other.storage().open(SITE, path("/data/a"), Open::READ_WRITE).unwrap();
    assert!(!file.try_lock(SITE, LockMode::Exclusive).unwrap());
    assert_eq!(file.lock_holder(SITE), Some(victim.pid()));
    victim.kill();
    assert!(file.try_lock(SITE, LockMode::Exclusive).unwrap());
    assert_eq!(world.disk().read("/data/a").unwrap(), b"written");
    assert_eq!(errno(held.write_at(SITE, b"x", 0)), OsError::EIO, "it executes nothing more");
    drop(held);
    assert_eq!(file.lock_holder(SITE), Some(other.pid()));
}

#[test]
fn locks_are_shared_exclusive_and_converted_as_flock_does() {
    let mut disk = Disk::new();
    disk.write_durable("/data/lock", b"", 0o600);
    let world = World::new(disk, 1);
    let storage = world.process().storage();
    let open = || storage.open(SITE, path("/data/lock"), Open::READ).unwrap();
    let (first, second) = (open(), open());
    assert!(first.try_lock(SITE, LockMode::Shared).unwrap());
    assert!(second.try_lock(SITE, LockMode::Shared).unwrap());
    assert!(!first.try_lock(SITE, LockMode::Exclusive).unwrap());
    assert!(second.try_lock(SITE, LockMode::Exclusive).unwrap(), "the refused one lost its own");
    second.unlock(SITE).unwrap();
    assert!(first.try_lock(SITE, LockMode::Exclusive).unwrap());
    drop(first);
    assert_eq!(second.lock_holder(SITE), None, "closing frees it");
}

#[test]
#[should_panic(expected = "would deadlock")]
fn a_lock_that_nobody_will_free_panics_outside_of_a_run() {
    let mut disk = Disk::new();
    disk.write_durable("/data/lock", b"", 0o600);
    let world = World::new(disk, 1);
    let storage = world.process().storage();
    let open = || storage.open(SITE, path("/data/lock"), Open::READ).unwrap();
    let (first, second) = (open(), open());
    first.lock(SITE, LockMode::Exclusive).unwrap();
    second.lock(SITE, LockMode::Shared).unwrap();
}

#[test]
fn links_fifos_and_directories_are_what_they_are() {
    let mut disk = Disk::new();
    disk.write_durable("/data/file", b"content", 0o640);
    disk.symlink("file", "/data/link");
    disk.symlink("/data/loop", "/data/loop");
    disk.symlink("/data", "/short");
    disk.symlink("nowhere", "/data/dangling");
    disk.fifo("/data/fifo", 0o600);
    disk.hard_link("/data/file", "/data/second");
    let world = World::new(disk, 1);
    let storage = world.process().storage();
    let opened = |name, how| errno(storage.open(SITE, path(name), how));

    assert_eq!(opened("/data/link", Open::READ), OsError::ELOOP);
    assert_eq!(opened("/short/file", Open::READ), 0, "only the last link is refused");
    assert_eq!(opened("/data", Open::READ_WRITE), OsError::EISDIR);
    assert_eq!(opened("/data/file/x", Open::READ), OsError::ENOTDIR);
    assert_eq!(opened("/data/dangling", Open::new_file(0o600)), OsError::EEXIST);
    assert_eq!(errno(storage.stat(SITE, path("/data/loop"))), OsError::ELOOP);
    assert_eq!(errno(storage.stat(SITE, path("/data/dangling"))), OsError::ENOENT);

    let fifo = storage.open(SITE, path("/data/fifo"), Open::READ_WRITE).unwrap();
    assert_eq!(fifo.stat(SITE).unwrap().kind, FileKind::Special);
    let directory = storage.open(SITE, path("/data"), Open::READ).unwrap();
    assert_eq!(directory.stat(SITE).unwrap().kind, FileKind::Directory);
    let link = storage.stat_link(SITE, path("/data/link")).unwrap();
    assert_eq!((link.kind, link.size_bytes), (FileKind::Symlink, 4));
    assert_eq!(storage.stat(SITE, path("/data/link")).unwrap().link_count, 2);
    let real = storage.real_path(SITE, path("/short/../data/./link")).unwrap();
    assert_eq!(real, PathBuf::from("/data/file"));
}

#[test]
fn a_full_disk_takes_what_fits_and_works_again_with_room() {
    let world = World::new(Disk::new(), 1);
    let storage = world.process().storage();
    let file = storage.open(SITE, path("/data/a"), Open::new_file(0o600)).unwrap();
    world.with_disk(|disk| disk.set_capacity(disk.used() + 1024));
    assert_eq!(file.write_at(SITE, &[1; 4096], 0).unwrap(), 1024);
    assert_eq!(errno(file.write_at(SITE, &[1; 4096], 1024)), OsError::ENOSPC);
    assert_eq!(errno(file.allocate(SITE, 0, 4096, Pages::Together)), OsError::ENOSPC);
    assert_eq!(file.write_at(SITE, &[2; 512], 0).unwrap(), 512, "no more room is needed for it");
    let full = storage.open(SITE, path("/data/b"), Open::new_file(0o600));
    assert_eq!(errno(full), OsError::ENOSPC);
    assert!(world.disk().read("/data/b").is_none());
    world.with_disk(|disk| disk.set_capacity(None));
    file.write_all(SITE, &[1; 4096], 0).unwrap();
}

#[test]
fn a_read_only_mount_refuses_changes_only() {
    let mut disk = Disk::new();
    disk.write_durable("/data/a", b"x", 0o600);
    disk.set_read_only(true);
    disk.set_file_system(FileSystem {
        name: "nfs".to_owned(),
        class: FileSystemClass::Network,
        reason: "far away".to_owned(),
        read_only: false,
        overwrites_in_place: false,
    });
    let world = World::new(disk, 1);
    let storage = world.process().storage();
    let file = storage.open(SITE, path("/data/a"), Open::READ).unwrap();
    file.lock(SITE, LockMode::Shared).unwrap();
    file.sync_all(SITE).unwrap();
    storage.sync_dir(SITE, path("/data")).unwrap();
    let changes = [
        errno(storage.open(SITE, path("/data/a"), Open::READ_WRITE)),
        errno(storage.open(SITE, path("/data/b"), Open::new_file(0o600))),
        errno(storage.rename(SITE, path("/data/a"), path("/data/b"))),
        errno(storage.remove(SITE, path("/data/a"))),
        errno(storage.make_dir(SITE, path("/data/c"), 0o700)),
        errno(file.set_mode(SITE, 0o600)),
    ];
    assert_eq!(changes, [OsError::EROFS; 6]);
    let mounted = storage.file_system(SITE, path("/data")).unwrap();
    assert_eq!(mounted.class, FileSystemClass::Network);
}

#[test]
fn coarse_times_hide_an_edit_in_place() {
    let mut disk = Disk::new();
    disk.write_durable("/data/a", b"one", 0o600);
    disk.edit_in_place("/data/a", b"two");
    let times = |disk: &Disk| disk.stat("/data/a").map(|stat| (stat.modified, stat.changed));
    let before = times(&disk);
    disk.edit_in_place("/data/a", b"six");
    assert_ne!(times(&disk), before);

    disk.set_timestamp_granularity(Duration::from_millis(4));
    disk.edit_in_place("/data/a", b"ten");
    let (before, inode) = (times(&disk), disk.stat("/data/a").unwrap().id);
    disk.edit_in_place("/data/a", b"odd");
    assert_eq!(times(&disk), before, "within one step of the clock");
    disk.advance(Duration::from_millis(4));
    disk.edit_in_place("/data/a", b"end");
    assert_ne!(times(&disk), before);
    assert_eq!(disk.stat("/data/a").unwrap().id, inode);
    disk.replace_durably("/data/a", b"new");
    assert_ne!(disk.stat("/data/a").unwrap().id, inode);
}

#[test]
fn faults_fail_the_call_that_they_name() {
    let world = World::new(Disk::new(), 1);
    let (first, second) = (world.process(), world.process());
    world.inject(Fault::fail(Site::TempWrite, 1, OsError::EIO).of(second.pid()));
    let lie = Fault::fail(Site::JsonRename, 0, OsError::EIO).with(FaultKind::FailAfterEffect);
    world.inject(lie);
    world.inject(Fault::fail(Site::AtomicSync, 0, OsError::EIO).with(FaultKind::ShortWrite(3)));
    let make = |name| {
        let process = if name == "/data/a" { &first } else { &second };
        process.storage().open(SITE, path(name), Open::new_file(0o600)).unwrap()
    };
    let (a, b) = (make("/data/a"), make("/data/b"));
    for _ in 0..3 {
        a.write_at(Site::TempWrite, b"x", 0).unwrap();
    }
    let answers = [(); 3].map(|()| errno(b.write_at(Site::TempWrite, b"x", 0)));
    assert_eq!(answers, [0, OsError::EIO, 0]);
    assert_eq!(world.count(Site::TempWrite), 6);

    let renamed = first.storage().rename(Site::JsonRename, path("/data/a"), path("/data/c"));
    assert_eq!(errno(renamed), OsError::EIO);
    assert_eq!(world.disk().names("/data"), ["b", "c"], "it took place all the same");
    assert_eq!(a.write_at(Site::AtomicSync, b"12345", 0).unwrap(), 3);
}

#[test]
fn a_map_shows_the_file_and_keeps_its_lock() {
    let mut disk = Disk::new();
    disk.write_durable("/data/shared", [0; 4096], 0o600);
    let world = World::new(disk, 1);
    let (writer, reader) = (world.process(), world.process());
    let open = |of: &tidemark_sim::Process| {
        of.storage().open(SITE, path("/data/shared"), Open::READ_WRITE).unwrap()
    };
    let (file, other) = (open(&writer), open(&reader));
    file.lock(SITE, LockMode::Exclusive).unwrap();
    let map = file.map(SITE, 4096).unwrap();
    drop(file);
    map.store(SITE, 8, 0x1234).unwrap();
    let seen = other.map(SITE, 4096).unwrap();
    assert_eq!(seen.load(SITE, 8).unwrap(), 0x1234);
    assert_eq!(errno(seen.load(SITE, 4)), OsError::EINVAL);
    assert_eq!(errno(seen.load(SITE, 4096)), OsError::EINVAL);
    assert_eq!(errno(other.map(SITE, 4097)), OsError::EINVAL);
    assert!(!other.try_lock(SITE, LockMode::Shared).unwrap());
    map.sync(SITE).unwrap();
    drop(map);
    assert!(other.try_lock(SITE, LockMode::Shared).unwrap());
}

/// S6: a page that the medium does not give, which a fault stands for, takes the map with it; a
/// failed sync does not.
#[test]
fn a_fault_at_a_map_is_a_lost_page() {
    let mut disk = Disk::new();
    disk.write_durable("/data/shared", [1; 4096], 0o600);
    let world = World::new(disk, 1);
    let storage = world.process().storage();
    let file = storage.open(SITE, path("/data/shared"), Open::READ_WRITE).unwrap();
    let (map, other) = (file.map(SITE, 4096).unwrap(), file.map(SITE, 4096).unwrap());
    world.inject(Fault::fail(Site::AtomicSync, 0, OsError::EIO));
    assert_eq!(errno(map.sync(Site::AtomicSync)), OsError::EIO);
    map.load(SITE, 0).unwrap();
    world.inject(Fault::fail(Site::JsonRead, 0, OsError::EIO));
    assert_eq!(errno(map.load(Site::JsonRead, 0)), OsError::EIO);
    assert_eq!(errno(map.store(SITE, 8, 1)), OsError::EIO);
    assert_eq!(errno(map.sync(SITE)), OsError::EIO);
    other.load(SITE, 0).unwrap();
}
