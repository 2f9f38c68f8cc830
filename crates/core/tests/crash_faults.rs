//! Calls that fail, each in turn, and the power that goes after that.
//!
//! JF-7: a failure before the rename is definite: file and memory are as before. A failed sync of
//! the directory after it is not, nor is a rename that failed and may have been done: the store is
//! poisoned until it is opened again. S4: a failed
//! sync is final; the simulated disk forgets what it should have brought to the medium.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crash_support::{
    Client, Entries, LOCK, Observer, STATE, Scenario, checkpoint, disk_with, entries, key, put,
};
use tidemark_core::checkpoint::{JsonFileOptions, JsonFileRegistry, JsonFileStore, Recover, Store};
use tidemark_core::file_lock::FileLock;
use tidemark_core::{Error, ErrorKind, LockMode, Storage};
use tidemark_sim::{Choice, Disk, Fault, FaultKind, World};
use tidemark_storage::{FileSystem, FileSystemClass, Open, OsError, Site};

/// What happens on the machine after the store was opened, and before the put that a call fails.
type Before = fn(&World, &Observer);

/// A store that is about to put a higher sequence of key 1.
struct Rig {
    world: World,
    observer: Observer,
    storage: Arc<dyn Storage>,
    registry: JsonFileRegistry,
    store: Store,
    scenario: Scenario,
}

impl Rig {
    fn new(initial: &Entries, before: Before) -> Self {
        let scenario = Scenario::new(initial, Vec::new());
        let world = World::new(scenario.start.clone(), 1);
        let observer = Observer::new(initial);
        let storage = world.process().storage();
        let registry = JsonFileRegistry::default();
        let store = open(&registry, &storage);
        before(&world, &observer);
        Self { world, observer, storage, registry, store, scenario }
    }

    /// Puts, and tells the observer what came of it.
    fn put(&self, of: u8, sequence: u64) -> Result<(), Error> {
        let op = put(&[(of, sequence)], "writer");
        let id = self.observer.asks(1, &op);
        match self.store.call(&op) {
            Ok(outcome) => {
                self.observer.hears(id, &outcome);
                Ok(())
            }
            Err(error) => {
                if !error.is_indeterminate() {
                    self.observer.is_refused(id);
                }
                Err(error)
            }
        }
    }

    fn view(&self) -> Entries {
        self.store.entries().unwrap().into_iter().collect()
    }

    /// The power goes, and what was promised is there, whatever it leaves.
    fn survives_a_power_cut(&self, what: &dyn std::fmt::Debug) {
        for (choice, disk) in self.world.disk().crashes(64, 1) {
            if let Err(violation) = self.scenario.recovers(&disk, &self.observer, 1) {
                panic!("{what:?}, {choice}: {violation}");
            }
        }
    }
}

fn open(registry: &JsonFileRegistry, storage: &Arc<dyn Storage>) -> Store {
    let options = JsonFileOptions::default();
    JsonFileStore::open(registry, storage, Path::new(STATE), options).unwrap()
}

fn nothing(_world: &World, _observer: &Observer) {}

/// Another process wrote the file, synced nothing of it, and left a temporary behind.
fn another_process_wrote(world: &World, observer: &Observer) {
    let process = world.process();
    observer.asks(process.pid(), &put(&[(4, 1)], "foreign"));
    let mut held = entries(&[(1, 10), (2, 20)]);
    held.insert(key(4), checkpoint(1, "foreign"));
    let bytes = disk_with(&held).read(STATE).unwrap();
    let (storage, temporary) = (process.storage(), Path::new("/data/foreign"));
    let file = storage.open(Site::Test, temporary, Open::new_file(0o600)).unwrap();
    file.write_all(Site::Test, &bytes, 0).unwrap();
    file.sync_all(Site::Test).unwrap();
    storage.rename(Site::Test, temporary, Path::new(STATE)).unwrap();
    let stray = Path::new("/data/.tidemark-0123456789abcdef0123456789abcdef.tmp");
    drop(storage.open(Site::Test, stray, Open::new_file(0o600)).unwrap());
}

/// Fails each call that a put makes, in this way. Returns the sites that were reached.
fn fail_each_call(
    initial: &Entries,
    before: Before,
    errno: i32,
    what: FaultKind,
) -> BTreeSet<Site> {
    let counts =
        |world: &World| -> Vec<u64> { Site::ALL.iter().map(|site| world.count(*site)).collect() };
    let dry = Rig::new(initial, before);
    let opened = counts(&dry.world);
    dry.put(1, 11).unwrap();
    let mut reached = BTreeSet::new();
    for ((site, opened), all) in Site::ALL.iter().zip(opened).zip(counts(&dry.world)) {
        for nth in 0..all - opened {
            reached.insert(*site);
            fail(initial, before, Fault::fail(*site, nth, errno).with(what));
        }
    }
    reached
}

fn fail(initial: &Entries, before: Before, fault: Fault) {
    let rig = Rig::new(initial, before);
    let (file, view) = (rig.world.disk().read(STATE), rig.view());
    rig.world.inject(fault);
    let op = put(&[(1, 11)], "writer");
    let id = rig.observer.asks(1, &op);
    let answer = rig.store.call(&op);
    assert!(is_lock_free(&rig.world), "L-5, {fault:?}: the store keeps the lock");
    match answer {
        Ok(outcome) => rig.observer.hears(id, &outcome),
        Err(error) if error.is_indeterminate() => {
            // A rename that was done, and what comes after it: the sync of its directory, and a
            // look at the file.
            let lie = fault.what == FaultKind::FailAfterEffect && fault.site == Site::JsonRename;
            let after = matches!(fault.site, Site::JsonSyncDir | Site::JsonStat);
            assert!(lie || after, "{fault:?}: {error}");
            assert_eq!(rig.view(), view, "{fault:?}: nothing is shown");
            let later = rig.put(3, 1).unwrap_err();
            assert_eq!(later.kind(), ErrorKind::Poisoned, "{fault:?}");
        }
        Err(error) => {
            assert_eq!(rig.view(), view, "{fault:?}: memory is as before");
            assert_eq!(rig.world.disk().read(STATE), file, "{fault:?}: the file is as before");
            rig.observer.is_refused(id);
            let kind = rig.put(3, 1).err().map(|error| error.kind());
            let trust = matches!(fault.site, Site::JsonTrust | Site::JsonTrustDir);
            let expected = trust.then_some(ErrorKind::Poisoned);
            assert_eq!(kind, expected, "{fault:?}: {error}");
        }
    }
    rig.survives_a_power_cut(&fault);
    // Opening again heals everything; the lock is free (L-5).
    let other = open(&JsonFileRegistry::default(), &rig.world.process().storage());
    other.put(&key(5), checkpoint(1, "other")).unwrap();
    other.close_blocking();
    rig.store.close_blocking();
    let again = open(&rig.registry, &rig.storage);
    again.put(&key(6), checkpoint(1, "again")).unwrap();
    assert_eq!(again.get(&key(5)).unwrap(), Some(checkpoint(1, "other")), "{fault:?}");
}

fn is_lock_free(world: &World) -> bool {
    let (other, lock) = (world.process().storage(), Path::new(LOCK));
    FileLock::try_acquire(&other, lock, LockMode::Exclusive, false).unwrap().is_some()
}

fn two_keys() -> Entries {
    entries(&[(1, 10), (2, 20)])
}

#[test]
fn each_call_of_a_put_may_fail_and_the_power_go_after_that() {
    for errno in [OsError::EIO, OsError::ENOSPC, OsError::EACCES] {
        let reached = fail_each_call(&two_keys(), nothing, errno, FaultKind::Fail);
        for site in [Site::LockAcquire, Site::TempWrite, Site::JsonSync, Site::JsonSyncDir] {
            assert!(reached.contains(&site), "{site:?} was not reached: {reached:?}");
        }
    }
}

#[test]
fn each_call_of_the_first_put_may_fail_and_the_power_go_after_that() {
    let reached = fail_each_call(&Entries::new(), nothing, OsError::EIO, FaultKind::Fail);
    assert!(reached.contains(&Site::LockCreate), "{reached:?}");
}

#[test]
fn each_call_of_a_put_on_a_file_of_another_process_may_fail_and_the_power_go_after_that() {
    let reached = fail_each_call(&two_keys(), another_process_wrote, OsError::EIO, FaultKind::Fail);
    for site in [Site::JsonRead, Site::SweepLock, Site::SweepRemove] {
        assert!(reached.contains(&site), "{site:?} was not reached: {reached:?}");
    }
}

/// An error that lies: the call had its effect. A put that was done is not reported as refused,
/// and a lock that was granted is not kept.
#[test]
fn each_call_of_a_put_may_fail_after_it_had_its_effect() {
    for before in [nothing, another_process_wrote] {
        fail_each_call(&two_keys(), before, OsError::EIO, FaultKind::FailAfterEffect);
    }
    fail_each_call(&Entries::new(), nothing, OsError::EIO, FaultKind::FailAfterEffect);
}

/// JF-7, T-4: where nobody can tell whether a failed rename was done, the outcome is unknown.
#[test]
fn a_failed_rename_of_unknown_effect_is_indeterminate_and_poisons() {
    for what in [FaultKind::Fail, FaultKind::FailAfterEffect] {
        for look in [None, Some(0), Some(1)] {
            let rig = Rig::new(&two_keys(), nothing);
            rig.world.inject(Fault::fail(Site::JsonRename, 0, OsError::EIO).with(what));
            if let Some(nth) = look {
                rig.world.inject(Fault::fail(Site::TempRenamed, nth, OsError::EIO));
            }
            let error = rig.put(1, 11).unwrap_err();
            let definite = what == FaultKind::Fail && look.is_none();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert_eq!(error.is_indeterminate(), !definite, "{what:?}, {look:?}");
            let later = rig.put(3, 1).err().map(|error| error.kind());
            assert_eq!(later, (!definite).then_some(ErrorKind::Poisoned), "{what:?}, {look:?}");
            rig.survives_a_power_cut(&(what, look));
        }
    }
}

/// A superseded put believes what another process wrote, once it is synced: JF-3.
#[test]
fn what_cannot_be_synced_is_neither_shown_nor_reported_and_poisons() {
    for site in [Site::JsonTrust, Site::JsonTrustDir] {
        let rig = Rig::new(&two_keys(), another_process_wrote);
        let view = rig.view();
        rig.world.inject(Fault::fail(site, 0, OsError::EIO));
        let error = rig.put(4, 1).unwrap_err();
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, false), "{site:?}");
        assert_eq!(rig.view(), view, "{site:?}");
        assert_eq!(rig.put(4, 1).unwrap_err().kind(), ErrorKind::Poisoned, "{site:?}");
        assert_eq!(rig.store.refresh().unwrap_err().kind(), ErrorKind::Poisoned, "{site:?}");
    }
}

/// The limit that `docs/durability.md` states under "What we assume of the medium": the system
/// tells a failed sync to those who had the directory open then. Whoever syncs it later, another
/// process or the same one once it has opened the store again, hears of success, and believes what
/// the medium may not have. The next write brings it there.
#[test]
fn who_comes_after_a_failed_directory_sync_can_be_mistaken_until_the_next_write() {
    let rig = Rig::new(&two_keys(), nothing);
    rig.world.inject(Fault::fail(Site::JsonSyncDir, 0, OsError::EIO));
    assert!(rig.put(1, 11).unwrap_err().is_indeterminate());
    rig.store.close_blocking();
    let survivor = |disk: &Disk| {
        let world = World::new(disk.after_power_cut(&Choice::Nothing), 1);
        let store = open(&JsonFileRegistry::default(), &world.process().storage());
        store.get(&key(1)).unwrap()
    };
    let other = open(&JsonFileRegistry::default(), &rig.world.process().storage());
    assert_eq!(other.get(&key(1)).unwrap(), Some(checkpoint(11, "writer")));
    assert_eq!(survivor(&rig.world.disk()), Some(checkpoint(10, "start")));
    other.put(&key(5), checkpoint(1, "other")).unwrap();
    assert_eq!(survivor(&rig.world.disk()), Some(checkpoint(11, "writer")));
}

#[test]
fn a_short_write_is_continued() {
    for count in [1, 2, 100, 511, 512, 513] {
        let rig = Rig::new(&two_keys(), nothing);
        for nth in [0, 1, 3] {
            let short = FaultKind::ShortWrite(count);
            rig.world.inject(Fault::fail(Site::TempWrite, nth, OsError::EIO).with(short));
        }
        let before = rig.world.count(Site::TempWrite);
        rig.put(1, 11).unwrap();
        assert!(rig.world.count(Site::TempWrite) > before + 1 || count > 100, "{count}");
        rig.survives_a_power_cut(&count);
    }
}

#[test]
fn a_write_that_takes_nothing_fails_instead_of_going_in_circles() {
    let rig = Rig::new(&two_keys(), nothing);
    let short = FaultKind::ShortWrite(0);
    rig.world.inject(Fault::fail(Site::TempWrite, 0, OsError::EIO).with(short));
    assert_eq!(rig.put(1, 11).unwrap_err().kind(), ErrorKind::Io);
    rig.put(1, 12).unwrap();
    rig.survives_a_power_cut(&"after a write of nothing");
}

/// JF-7: a full disk refuses, keeps nothing of it, and takes the put once there is room.
#[test]
fn a_full_disk_refuses_puts_until_there_is_room() {
    let mut refused_count = 0;
    for sectors in 0.. {
        let rig = Rig::new(&two_keys(), nothing);
        let file = rig.world.disk().read(STATE);
        let limit = |disk: &mut Disk| disk.set_capacity(disk.used() + sectors * 512);
        rig.world.with_disk(limit);
        let Err(error) = rig.put(1, 11) else { break };
        refused_count += 1;
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::NoSpace, false));
        assert_eq!(rig.world.disk().read(STATE), file);
        let names = rig.world.disk().names("/data");
        assert_eq!(names, ["state.json", "state.json.lock"], "the temporary gives its room back");
        rig.world.with_disk(|disk| disk.set_capacity(None));
        rig.survives_a_power_cut(&sectors);
        rig.put(1, 12).unwrap();
        rig.survives_a_power_cut(&sectors);
    }
    assert!(refused_count >= 2, "a name and content must both be refused");
}

/// S4, after "Can Applications Recover from fsync Failures?" (USENIX ATC 2020): what a failed sync
/// lost is not saved by the next one. A put that is tried again is written anew.
#[test]
fn a_put_that_is_tried_again_after_a_failed_sync_does_not_trust_the_old_pages() {
    let rig = Rig::new(&two_keys(), nothing);
    for _ in 0..3 {
        rig.world.inject(Fault::fail(Site::JsonSync, 0, OsError::EIO));
        let error = rig.put(1, 11).unwrap_err();
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, false));
        rig.survives_a_power_cut(&"after the failed sync");
    }
    rig.put(1, 11).unwrap();
    assert_eq!(rig.world.count(Site::TempCreate), 4, "each attempt on a new temporary");
    rig.survives_a_power_cut(&"after the one that succeeded");
}

/// JF-3, JF-8, on a read-only mount: what was made once and is only read after that (a squashfs)
/// has no sync, and holds everything on the medium.
#[test]
fn a_file_system_without_a_sync_is_read_where_nobody_can_write() {
    for (read_only, kind) in [(true, None), (false, Some(ErrorKind::Io))] {
        let mut disk = disk_with(&entries(&[(1, 10)]));
        disk.set_file_system(FileSystem {
            name: "squashfs".to_owned(),
            class: FileSystemClass::Unproven,
            reason: "this kind of file system is not known".to_owned(),
            read_only,
            overwrites_in_place: false,
        });
        let world = World::new(disk, 1);
        for site in [Site::JsonTrust, Site::JsonTrustDir] {
            world.inject(Fault::fail(site, 0, OsError::EINVAL));
        }
        let (storage, options) = (world.process().storage(), JsonFileOptions::default());
        let parts = JsonFileStore::open_parts(&storage, Path::new(STATE), options).unwrap();
        assert_eq!(parts.reader.refresh().err().map(|error| error.kind()), kind);
    }
}

/// JF-7 for the rename into quarantine: while the damaged file has its name, nothing was done.
/// Otherwise the outcome is unknown, and the store is poisoned.
#[test]
fn a_failed_rename_into_quarantine_is_definite_or_says_that_it_is_not() {
    const DAMAGE: &[u8] = b"{";
    /// Of the calls at this site: the directory is listed, the file renamed, the directory synced.
    const RENAME: u64 = 1;
    for what in [FaultKind::Fail, FaultKind::FailAfterEffect] {
        let lies = what == FaultKind::FailAfterEffect;
        let mut disk = disk_with(&entries(&[(1, 10)]));
        disk.write_durable(STATE, DAMAGE, 0o600);
        let world = World::new(disk, 1);
        world.inject(Fault::fail(Site::JsonQuarantine, RENAME, OsError::EIO).with(what));
        let options =
            JsonFileOptions { recover: Recover::Quarantine, ..JsonFileOptions::default() };
        let observer = Observer::new(&Entries::new());
        let mut client = Client::open(&world.process(), &observer, options, |e| e).unwrap();
        let error = client.commit(vec![put(&[(2, 1)], "writer")]).unwrap_err();
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Io, lies), "{error:?}");
        assert_eq!(world.disk().read(STATE).is_none(), lies);
        let next = client.commit(vec![put(&[(2, 1)], "writer")]);
        assert_eq!(next.err().map(|error| error.kind()), lies.then_some(ErrorKind::Poisoned));
    }
}
