//! What holds for every disk, whatever was done to it: random operations, with syncs between.
//!
//! `SEED=` repeats one sequence.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_sim::{Choice, Disk, World};
use tidemark_storage::{File, FileKind, Open, Site, Storage};

const SITE: Site = Site::Test;
const SEQUENCE_COUNT: u64 = 200;
const OPERATION_COUNT: usize = 60;
const DIRECTORIES: &[&str] = &["/data", "/data/d", "/data/e", "/data/d/e"];
const NAMES: &[&str] = &["a", "b", "c", "d", "e"];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }

    fn path(&mut self) -> PathBuf {
        let directory = DIRECTORIES[self.below(DIRECTORIES.len())];
        Path::new(directory).join(NAMES[self.below(NAMES.len())])
    }
}

/// Does something, or fails to.
fn step(storage: &Arc<dyn Storage>, open: &mut [Option<Box<dyn File>>], random: &mut Random) {
    let slot = random.below(open.len());
    let (path, other) = (random.path(), random.path());
    let (offset, size) = (random.below(2000) as u64, random.below(1500));
    let byte = u8::try_from(random.below(255)).unwrap() + 1;
    let file = open[slot].as_ref();
    match random.below(16) {
        0..=2 => open[slot] = storage.open(SITE, &path, Open::new_file(0o600)).ok(),
        3 => open[slot] = storage.open(SITE, &path, Open::READ_WRITE).ok(),
        4..=6 => drop(file.map(|file| file.write_all(SITE, &vec![byte; size], offset))),
        7 => drop(file.map(|file| file.set_len(SITE, offset))),
        8 => drop(file.map(|file| file.set_mode(SITE, 0o600 | u32::from(byte) & 0o77))),
        9 => drop(file.map(|file| file.sync_data(SITE))),
        10 => drop(storage.sync_dir(SITE, path.parent().unwrap())),
        11..=12 => drop(storage.rename(SITE, &path, &other)),
        13 => drop(storage.remove(SITE, &path)),
        14 => drop(storage.remove_dir(SITE, &path)),
        _ => drop(storage.make_dir(SITE, &path, 0o700)),
    }
}

/// Every name with its mode and content.
fn tree(disk: &Disk) -> BTreeMap<String, (u32, Option<Vec<u8>>)> {
    let mut found = BTreeMap::new();
    let mut todo = vec!["/data".to_owned()];
    while let Some(directory) = todo.pop() {
        for name in disk.names(&directory) {
            let path = format!("{directory}/{name}");
            let stat = disk.stat(&path).unwrap();
            if stat.kind == FileKind::Directory {
                todo.push(path.clone());
            } else {
                assert_eq!(stat.link_count, 1, "{path}: a rename is one step");
            }
            assert!(found.insert(path.clone(), (stat.mode, disk.read(&path))).is_none());
        }
    }
    found
}

/// Syncs every file and directory there is.
fn sync_everything(storage: &Arc<dyn Storage>, disk: &Disk) {
    storage.sync_dir(SITE, Path::new("/data")).unwrap();
    for path in tree(disk).into_keys() {
        storage.open(SITE, Path::new(&path), Open::READ).unwrap().sync_all(SITE).unwrap();
    }
}

fn check(seed: u64) {
    let world = World::new(Disk::new(), seed);
    let storage = world.process().storage();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut open: Vec<Option<Box<dyn File>>> = vec![None, None, None];
    for _ in 0..OPERATION_COUNT {
        step(&storage, &mut open, &mut random);
        let disk = world.disk();
        let survived = disk.after_power_cut(&Choice::Everything);
        assert_eq!(tree(&survived), tree(&disk), "SEED={seed}: everything survived");
    }
    for left in world.disk().power_cuts(40, seed) {
        tree(&left);
        assert_eq!(left.unsynced(), 0);
    }
    let disk = world.disk();
    sync_everything(&storage, &disk);
    let survived = world.disk().after_power_cut(&Choice::Nothing);
    assert_eq!(tree(&survived), tree(&disk), "SEED={seed}: everything was synced");
}

#[test]
fn all_that_is_synced_survives_and_all_that_survives_is_what_was_cached() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=SEQUENCE_COUNT).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        check(seed);
    }
}
