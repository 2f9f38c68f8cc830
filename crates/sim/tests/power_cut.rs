//! What a power cut leaves, and what a sync saves.

use std::path::Path;

use tidemark_sim::{Choice, Disk, Fault, Process, World};
use tidemark_storage::{Create, Open, OsError, Site};

const SITE: Site = Site::Test;

fn world_on(disk: &Disk) -> (World, Process) {
    let world = World::new(disk.clone(), 1);
    let process = world.process();
    (world, process)
}

fn path(name: &str) -> &Path {
    Path::new(name)
}

#[test]
fn an_unsynced_write_may_be_lost_torn_or_kept() {
    let mut start = Disk::new();
    start.write_durable("/data/file", [b'a'; 1024], 0o600);
    let (world, process) = world_on(&start);
    let file = process.storage().open(SITE, path("/data/file"), Open::READ_WRITE).unwrap();
    file.write_all(SITE, &[b'b'; 1024], 0).unwrap();

    let left: Vec<Vec<u8>> =
        world.disk().power_cuts(16, 1).map(|disk| disk.read("/data/file").unwrap()).collect();
    let halves = |first: u8, second: u8| [[first; 512], [second; 512]].concat();
    for (first, second) in [(b'a', b'a'), (b'a', b'b'), (b'b', b'a'), (b'b', b'b')] {
        assert!(left.contains(&halves(first, second)), "{}{}", first as char, second as char);
    }
    assert_eq!(left.len(), 4, "two sectors, each of them old or new");
    assert_eq!(world.disk().read("/data/file").unwrap(), [b'b'; 1024], "the cache shows it");
}

#[test]
fn the_size_may_reach_the_medium_without_the_data_and_leaves_zeros() {
    let mut start = Disk::new();
    start.write_durable("/data/file", b"", 0o600);
    let (world, process) = world_on(&start);
    let file = process.storage().open(SITE, path("/data/file"), Open::READ_WRITE).unwrap();
    file.write_all(SITE, b"grown", 0).unwrap();

    let mut left: Vec<Vec<u8>> =
        world.disk().power_cuts(16, 1).map(|disk| disk.read("/data/file").unwrap()).collect();
    left.sort();
    assert_eq!(left, [b"".to_vec(), vec![0; 5], b"grown".to_vec()]);
}

#[test]
fn what_was_synced_survives_whatever_else_is_lost() {
    let mut start = Disk::new();
    start.write_durable("/data/file", b"old", 0o600);
    let (world, process) = world_on(&start);
    let file = process.storage().open(SITE, path("/data/file"), Open::READ_WRITE).unwrap();
    file.write_all(SITE, &[b'n'; 2000], 0).unwrap();
    file.sync_data(SITE).unwrap();
    assert_eq!(world.disk().unsynced(), 0);
    file.write_all(SITE, &[b'l'; 100], 2000).unwrap();
    for disk in world.disk().power_cuts(64, 1) {
        let bytes = disk.read("/data/file").unwrap();
        assert_eq!(bytes[..2000], [b'n'; 2000]);
        assert_eq!(disk.unsynced(), 0);
    }
}

#[test]
fn a_mode_needs_sync_all() {
    let mut start = Disk::new();
    start.write_durable("/data/file", b"x", 0o600);
    let (world, process) = world_on(&start);
    let file = process.storage().open(SITE, path("/data/file"), Open::READ_WRITE).unwrap();
    file.set_mode(SITE, 0o640).unwrap();
    file.sync_data(SITE).unwrap();
    let mode = |disk: &Disk| disk.stat("/data/file").unwrap().mode;
    assert_eq!(mode(&world.disk().after_power_cut(&Choice::Nothing)), 0o600);
    file.sync_all(SITE).unwrap();
    assert_eq!(mode(&world.disk().after_power_cut(&Choice::Nothing)), 0o640);
}

#[test]
fn a_synced_file_without_directory_sync_may_lose_its_name() {
    let (world, process) = world_on(&Disk::new());
    let storage = process.storage();
    let file = storage.open(SITE, path("/data/new"), Open::new_file(0o600)).unwrap();
    file.write_all(SITE, b"here", 0).unwrap();
    file.sync_all(SITE).unwrap();

    let left: Vec<_> = world.disk().power_cuts(16, 1).map(|disk| disk.read("/data/new")).collect();
    assert_eq!(left, [None, Some(b"here".to_vec())]);

    storage.sync_dir(SITE, path("/data")).unwrap();
    let sure = world.disk().after_power_cut(&Choice::Nothing);
    assert_eq!(sure.read("/data/new").unwrap(), b"here");
}

#[test]
fn a_directory_needs_the_sync_of_its_parent() {
    let (world, process) = world_on(&Disk::new());
    let storage = process.storage();
    storage.make_dir(SITE, path("/data/sub"), 0o700).unwrap();
    let _file = storage.open(SITE, path("/data/sub/file"), Open::new_file(0o600)).unwrap();
    storage.sync_dir(SITE, path("/data/sub")).unwrap();
    let lost = world.disk().after_power_cut(&Choice::Nothing);
    assert!(lost.names("/data").is_empty());
    storage.sync_dir(SITE, path("/data")).unwrap();
    let kept = world.disk().after_power_cut(&Choice::Nothing);
    assert_eq!(kept.names("/data/sub"), ["file"]);
}

#[test]
fn a_rename_is_atomic_after_a_power_cut() {
    let mut start = Disk::new();
    start.write_durable("/data/target", b"old", 0o600);
    let (world, process) = world_on(&start);
    let storage = process.storage();
    let file = storage.open(SITE, path("/data/temporary"), Open::new_file(0o600)).unwrap();
    file.write_all(SITE, b"new", 0).unwrap();
    file.sync_data(SITE).unwrap();
    storage.rename(SITE, path("/data/temporary"), path("/data/target")).unwrap();

    let (mut old, mut new) = (0, 0);
    for disk in world.disk().power_cuts(64, 1) {
        match disk.read("/data/target").unwrap().as_slice() {
            b"old" => old += 1,
            b"new" => {
                assert_eq!(disk.names("/data"), ["target"], "the old name went with it");
                new += 1;
            }
            other => panic!("a mixture: {other:?}"),
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn names_may_survive_without_the_data() {
    let mut start = Disk::new();
    start.write_durable("/data/target", b"old", 0o600);
    let (world, process) = world_on(&start);
    let storage = process.storage();
    let file = storage.open(SITE, path("/data/temporary"), Open::new_file(0o600)).unwrap();
    file.write_all(SITE, b"new", 0).unwrap();
    storage.rename(SITE, path("/data/temporary"), path("/data/target")).unwrap();
    let disk = world.disk().after_power_cut(&Choice::Names);
    assert_eq!(disk.read("/data/target").unwrap(), b"", "renamed before it was synced");
}

#[test]
fn a_removed_file_may_come_back() {
    let mut start = Disk::new();
    start.write_durable("/data/file", b"x", 0o600);
    let (world, process) = world_on(&start);
    process.storage().remove(SITE, path("/data/file")).unwrap();
    assert_eq!(world.disk().read("/data/file"), None);
    let back = world.disk().after_power_cut(&Choice::Nothing);
    assert_eq!(back.read("/data/file").unwrap(), b"x");
    let gone = world.disk().after_power_cut(&Choice::Everything);
    assert_eq!(gone.read("/data/file"), None);
}

#[test]
fn a_failed_sync_marks_pages_clean_and_the_next_one_succeeds() {
    let mut start = Disk::new();
    start.write_durable("/data/file", b"old", 0o600);
    let (world, process) = world_on(&start);
    world.inject(Fault::fail(Site::JsonSync, 0, OsError::EIO));
    let file = process.storage().open(SITE, path("/data/file"), Open::READ_WRITE).unwrap();
    file.write_all(SITE, b"newer", 0).unwrap();
    let error = file.sync_data(Site::JsonSync).unwrap_err();
    assert_eq!(error, OsError::new(OsError::EIO, "fdatasync"));
    file.sync_data(Site::JsonSync).unwrap();

    assert_eq!(world.disk().read("/data/file").unwrap(), b"newer", "the cache keeps showing it");
    assert_eq!(world.disk().unsynced(), 0);
    let left = world.disk().after_power_cut(&Choice::Everything);
    assert_eq!(left.read("/data/file").unwrap(), b"old", "the medium never got it");

    file.write_all(SITE, b"newer", 0).unwrap();
    file.sync_data(Site::JsonSync).unwrap();
    let left = world.disk().after_power_cut(&Choice::Nothing);
    assert_eq!(left.read("/data/file").unwrap(), b"newer", "written again, it gets there");
}

#[test]
fn a_failed_directory_sync_loses_the_names_for_good() {
    let (world, process) = world_on(&Disk::new());
    world.inject(Fault::fail(Site::JsonSyncDir, 0, OsError::EIO));
    let storage = process.storage();
    let _file = storage.open(SITE, path("/data/file"), Open::new_file(0o600)).unwrap();
    assert!(storage.sync_dir(Site::JsonSyncDir, path("/data")).is_err());
    storage.sync_dir(Site::JsonSyncDir, path("/data")).unwrap();
    assert_eq!(world.disk().names("/data"), ["file"]);
    let left = world.disk().after_power_cut(&Choice::Everything);
    assert!(left.names("/data").is_empty());

    // A name that is moved is written again, whatever a failed sync forgot before.
    storage.rename(SITE, path("/data/file"), path("/data/moved")).unwrap();
    storage.sync_dir(SITE, path("/data")).unwrap();
    let left = world.disk().after_power_cut(&Choice::Nothing);
    assert_eq!(left.names("/data"), ["moved"]);
}

#[test]
fn a_removal_is_synced_whatever_a_failed_sync_forgot() {
    let mut start = Disk::new();
    start.write_durable("/data/file", b"old", 0o600);
    let (world, process) = world_on(&start);
    world.inject(Fault::fail(Site::JsonSyncDir, 0, OsError::EIO));
    let storage = process.storage();
    storage.remove(SITE, path("/data/file")).unwrap();
    storage.open(SITE, path("/data/file"), Open::new_file(0o600)).unwrap();
    assert!(storage.sync_dir(Site::JsonSyncDir, path("/data")).is_err());
    storage.remove(SITE, path("/data/file")).unwrap();
    storage.sync_dir(SITE, path("/data")).unwrap();
    assert!(world.disk().after_power_cut(&Choice::Nothing).names("/data").is_empty());
}

#[test]
fn what_has_no_name_left_is_not_counted_as_unsynced() {
    let (world, process) = world_on(&Disk::new());
    let storage = process.storage();
    let file = storage.open(SITE, path("/data/file"), Open::new_file(0o600)).unwrap();
    file.write_all(SITE, &[1; 2048], 0).unwrap();
    assert_eq!(world.disk().unsynced(), 6, "a name, a size, four sectors");
    storage.remove(SITE, path("/data/file")).unwrap();
    assert_eq!(world.disk().unsynced(), 7, "the removal may be lost as well");
    storage.sync_dir(SITE, path("/data")).unwrap();
    assert_eq!(world.disk().unsynced(), 0);
}

#[test]
fn a_rename_between_directories_is_synced_with_either_and_all_before_it() {
    let mut start = Disk::new();
    start.mkdir("/data/from", 0o700);
    start.mkdir("/data/to", 0o700);
    for synced in ["/data/from", "/data/to"] {
        let (world, process) = world_on(&start);
        let storage = process.storage();
        let _file = storage.open(SITE, path("/data/from/a"), Open::new_file(0o600)).unwrap();
        storage.rename(SITE, path("/data/from/a"), path("/data/to/b")).unwrap();
        storage.sync_dir(SITE, path(synced)).unwrap();
        let left = world.disk().after_power_cut(&Choice::Nothing);
        assert!(left.names("/data/from").is_empty(), "{synced}");
        assert_eq!(left.names("/data/to"), ["b"], "{synced}");
    }
}

#[test]
fn a_directory_that_is_opened_and_synced_keeps_its_names() {
    let (world, process) = world_on(&Disk::new());
    let storage = process.storage();
    let _file = storage.open(SITE, path("/data/file"), Open::new_file(0o600)).unwrap();
    storage.open(SITE, path("/data"), Open::READ).unwrap().sync_all(SITE).unwrap();
    assert_eq!(world.disk().after_power_cut(&Choice::Nothing).names("/data"), ["file"]);
}

#[test]
fn the_enumeration_is_exhaustive_where_it_fits_and_repeats_from_its_seed() {
    let (world, process) = world_on(&Disk::new());
    let storage = process.storage();
    for name in ["/data/a", "/data/b", "/data/c"] {
        storage
            .open(
                SITE,
                path(name),
                Open { create: Create::New { mode: 0o600 }, ..Open::READ_WRITE },
            )
            .unwrap();
    }
    let disk = world.disk();
    assert_eq!(disk.unsynced(), 3);
    assert_eq!(disk.power_cuts(8, 1).count(), 8);

    let file = storage.open(SITE, path("/data/a"), Open::READ_WRITE).unwrap();
    file.write_all(SITE, &[1; 8192], 0).unwrap();
    let disk = world.disk();
    let choices = |seed| disk.crashes(40, seed).map(|(choice, _)| choice).collect::<Vec<_>>();
    assert_eq!(choices(7), choices(7));
    assert_ne!(choices(7), choices(8));
    assert!(choices(7).len() <= 40);
    let torn = disk
        .power_cuts(40, 7)
        .filter_map(|disk| disk.read("/data/a"))
        .any(|bytes| bytes.contains(&0) && bytes.contains(&1));
    assert!(torn, "a write of 16 sectors tears");
}

#[test]
fn an_inode_number_that_two_files_had_is_given_to_one_of_them() {
    let mut start = Disk::new();
    start.write_durable("/data/old", b"old", 0o600);
    let (world, process) = world_on(&start);
    let storage = process.storage();
    storage.remove(SITE, path("/data/old")).unwrap();
    let _new = storage.open(SITE, path("/data/new"), Open::new_file(0o600)).unwrap();
    // The removal is lost, the new name is not.
    let disk = world.disk().after_power_cut(&Choice::Keep(vec![false, true]));
    assert_eq!(disk.names("/data"), ["new", "old"]);
    assert_ne!(disk.stat("/data/new").unwrap().id, disk.stat("/data/old").unwrap().id);
}
