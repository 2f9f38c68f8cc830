//! What `allocate` and `map` promise, asked of the machine itself and of the simulated disk: one
//! list, so that what was tested on one holds on the other.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidemark_sim::{Disk, World};
use tidemark_storage::{
    File, LockMode, Map, Open, OsError, Pages, RealStorage, Result, Site, Storage,
};

const HERE: Site = Site::Test;
/// A multiple of every kernel's pages (4, 16 or 64 KiB), and what none is smaller than.
const PAGE: usize = 64 << 10;
const PAGE_MIN: usize = 4096;
const ENODEV: i32 = 19;
const EBADF: i32 = 9;

/// A machine and a directory on it.
struct Place {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn open(&self, name: &str, how: Open) -> Box<dyn File> {
        self.storage.open(HERE, &self.path(name), how).unwrap()
    }

    fn file(&self, content: &[u8]) -> Box<dyn File> {
        let file = self.open("file", Open::new_file(0o600));
        file.write_all(HERE, content, 0).unwrap();
        file
    }
}

fn on_this_machine(contract: fn(&Place)) {
    let directory = tempfile::tempdir().unwrap();
    contract(&Place { storage: Arc::new(RealStorage), directory: directory.path().to_owned() });
}

fn on_the_simulated_disk(contract: fn(&Place)) {
    let world = World::new(Disk::new(), 1);
    contract(&Place { storage: world.process().storage(), directory: "/data".into() });
}

/// Makes of each contract two tests.
macro_rules! contracts {
    ($($name:ident),* $(,)?) => {
        mod this_machine {
            $(#[test] fn $name() { super::on_this_machine(super::$name); })*
        }
        mod simulated_disk {
            $(#[test] fn $name() { super::on_the_simulated_disk(super::$name); })*
        }
    };
}

contracts! {
    allocation_fills_from_the_end_of_the_file_with_zeros,
    allocation_leaves_what_is_there,
    allocation_that_fails_leaves_the_file_as_it_was,
    allocation_needs_a_file_to_write,
    a_map_is_neither_empty_nor_longer_than_the_file,
    a_map_answers_only_for_what_is_mapped,
    a_map_shows_what_others_write_and_they_what_it_stores,
    a_map_of_a_file_to_read_refuses_stores,
    a_map_of_a_cut_file_is_lost_for_good,
    a_map_loses_whole_pages_only,
    a_map_outlives_its_file_and_keeps_the_lock,
    a_wait_returns_at_once_for_another_value_and_in_time_for_the_same,
}

fn errno<T>(answer: Result<T>) -> i32 {
    answer.err().map_or(0, |error| error.errno)
}

fn content(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0xEE; usize::try_from(file.stat(HERE).unwrap().size_bytes).unwrap()];
    assert_eq!(file.read_full(HERE, &mut bytes, 0).unwrap(), bytes.len());
    bytes
}

/// A way to have blocks: they differ in what they cost, and in nothing else.
type Way = fn(&dyn File, u64, u64) -> tidemark_storage::Result<()>;

/// Both of them.
const WAYS: [Way; 2] = [
    |file, offset, size| file.allocate(HERE, offset, size, Pages::Together),
    |file, offset, size| file.reserve(HERE, offset, size),
];

fn allocation_fills_from_the_end_of_the_file_with_zeros(place: &Place) {
    for allocate in WAYS {
        let file = place.file(b"head");
        allocate(file.as_ref(), 4, 6000).unwrap();
        assert_eq!(content(file.as_ref()), [b"head".as_slice(), &[0; 6000]].concat());
        allocate(file.as_ref(), 9000, 1000).unwrap();
        assert_eq!(content(file.as_ref()), [b"head".as_slice(), &[0; 9996]].concat());
        allocate(file.as_ref(), 0, 3 << 20).unwrap();
        assert_eq!(content(file.as_ref()), [b"head".as_slice(), &vec![0; (3 << 20) - 4]].concat());
        place.storage.remove(HERE, &place.path("file")).unwrap();
    }
}

fn allocation_leaves_what_is_there(place: &Place) {
    let file = place.file(&[7; 5000]);
    file.set_len(HERE, 9000).unwrap();
    file.write_all(HERE, b"tail", 8996).unwrap();
    let before = content(file.as_ref());
    for (offset, size) in [(0, 0), (0, 10), (0, 9000), (4000, 3000), (8999, 1), (9000, 0)] {
        for allocate in WAYS {
            allocate(file.as_ref(), offset, size).unwrap();
            assert_eq!(content(file.as_ref()), before, "{size} at {offset}");
        }
    }
}

fn allocation_that_fails_leaves_the_file_as_it_was(place: &Place) {
    const LARGEST: u64 = i64::MAX.unsigned_abs();
    let file = place.file(b"head");
    for (offset, size) in [(u64::MAX, 1), (u64::MAX, u64::MAX), (1, LARGEST), (LARGEST + 1, 0)] {
        for allocate in WAYS {
            let error = allocate(file.as_ref(), offset, size).unwrap_err();
            assert_eq!(error, OsError::new(OsError::EINVAL, "fallocate"), "{size} at {offset}");
        }
    }
    for allocate in WAYS {
        let error = allocate(file.as_ref(), 0, 1 << 60).unwrap_err();
        assert!(error.is_no_space() || error.errno == OsError::EFBIG, "{error}");
        assert_eq!(content(file.as_ref()), b"head");
    }
}

fn allocation_needs_a_file_to_write(place: &Place) {
    drop(place.file(b"head"));
    let file = place.open("file", Open::READ);
    for size in [1, 100] {
        for allocate in WAYS {
            let refused = errno(allocate(file.as_ref(), 0, size));
            assert_eq!(refused, EBADF, "also if there is nothing to do");
        }
    }
    assert_eq!(content(file.as_ref()), b"head");
}

fn a_map_is_neither_empty_nor_longer_than_the_file(place: &Place) {
    let file = place.file(&[0; 100]);
    for size in [0, 101, PAGE, usize::MAX] {
        assert_eq!(file.map(HERE, size).unwrap_err(), OsError::new(OsError::EINVAL, "mmap"));
    }
    for size in [1, 99, 100] {
        let map = file.map(HERE, size).unwrap();
        assert_eq!((map.len(), map.is_empty()), (size, false));
    }
    let directory = place.storage.open_dir(HERE, &place.directory).unwrap();
    assert_eq!(errno(directory.map(HERE, 1)), ENODEV);
}

fn a_map_answers_only_for_what_is_mapped(place: &Place) {
    let file = place.file(&vec![0; 2 * PAGE]);
    let map = file.map(HERE, 100).unwrap();
    let timeout = Duration::ZERO;
    for offset in [1, 4, 7, 9, 96, 100, 104, PAGE, usize::MAX - 7, usize::MAX] {
        let answers = [
            errno(map.load(HERE, offset)),
            errno(map.store(HERE, offset, 1)),
            errno(map.wait(HERE, offset, 0, timeout)),
            errno(map.wake(HERE, offset)),
        ];
        assert_eq!(answers, [OsError::EINVAL; 4], "{offset}");
    }
    for (offset, len) in [(0, 101), (100, 1), (101, 0), (50, 51), (usize::MAX, 2), (PAGE, 1)] {
        let mut bytes = vec![0; len];
        let answers =
            [errno(map.read(HERE, offset, &mut bytes)), errno(map.write(HERE, offset, &bytes))];
        assert_eq!(answers, [OsError::EINVAL; 2], "{len} at {offset}");
    }
    for (offset, len) in [(0, 0), (100, 0), (0, 100), (99, 1), (3, 9)] {
        let mut bytes = vec![1; len];
        map.write(HERE, offset, &bytes).unwrap();
        map.read(HERE, offset, &mut bytes).unwrap();
        assert_eq!(bytes, vec![1; len]);
    }
    assert!(content(file.as_ref())[100..].iter().all(|byte| *byte == 0), "nothing behind it");
    assert_eq!(map.load(HERE, 88).unwrap(), u64::from_le_bytes([1; 8]), "the last whole word");
}

fn a_map_shows_what_others_write_and_they_what_it_stores(place: &Place) {
    let file = place.file(&[0; 100]);
    let (map, other) = (file.map(HERE, 100).unwrap(), file.map(HERE, 64).unwrap());
    map.store(HERE, 8, 0x0807_0605_0403_0201).unwrap();
    map.write(HERE, 17, b"bytes").unwrap();
    assert_eq!(other.load(HERE, 8).unwrap(), 0x0807_0605_0403_0201);
    assert_eq!(content(file.as_ref())[8..22], *b"\x01\x02\x03\x04\x05\x06\x07\x08\0bytes");
    file.write_all(HERE, b"other", 17).unwrap();
    let mut bytes = [0; 5];
    other.read(HERE, 17, &mut bytes).unwrap();
    assert_eq!(bytes, *b"other");
    map.sync(HERE).unwrap();
    file.set_len(HERE, 200).unwrap();
    assert_eq!(errno(map.read(HERE, 99, &mut bytes)), OsError::EINVAL, "a map does not grow");
}

fn a_map_of_a_file_to_read_refuses_stores(place: &Place) {
    let writer = place.file(&[3; 64]);
    let map = place.open("file", Open::READ).map(HERE, 64).unwrap();
    let refusals = [errno(map.store(HERE, 0, 1)), errno(map.write(HERE, 0, b"x"))];
    assert_eq!(refusals, [OsError::EACCES; 2]);
    let invalid = [errno(map.store(HERE, 64, 1)), errno(map.write(HERE, 64, b"x"))];
    assert_eq!(invalid, [OsError::EINVAL; 2], "what makes no sense is said first");
    assert_eq!(map.load(HERE, 0).unwrap(), u64::from_le_bytes([3; 8]));
    map.wait(HERE, 0, u64::from_le_bytes([3; 8]), Duration::from_millis(1)).unwrap();
    map.wake(HERE, 0).unwrap();
    map.sync(HERE).unwrap();
    assert_eq!(content(writer.as_ref()), [3; 64]);
}

/// S6: from the first call that meets the lost page, for every call.
fn a_map_of_a_cut_file_is_lost_for_good(place: &Place) {
    let file = place.file(&vec![1; 3 * PAGE]);
    let reader = place.open("file", Open::READ);
    let (map, other) = (file.map(HERE, 3 * PAGE).unwrap(), file.map(HERE, 3 * PAGE).unwrap());
    let to_read = reader.map(HERE, 3 * PAGE).unwrap();
    file.set_len(HERE, PAGE as u64).unwrap();
    // What is still there can be read until then, and an empty range touches nothing.
    map.load(HERE, PAGE - 8).unwrap();
    map.read(HERE, 3 * PAGE, &mut []).unwrap();
    assert_eq!(errno(to_read.store(HERE, PAGE, 1)), OsError::EACCES, "nor here");
    let touched = map.read(HERE, PAGE - 1, &mut [0; 2]).unwrap_err();
    assert_eq!(touched, OsError::new(OsError::EIO, "mmap"));
    file.set_len(HERE, 3 * PAGE as u64).unwrap();
    let timeout = Duration::from_secs(600);
    let later = |map: &dyn Map| {
        [
            errno(map.load(HERE, 0)),
            errno(map.store(HERE, 0, 1)),
            errno(map.read(HERE, 0, &mut [0])),
            errno(map.write(HERE, 0, &[1])),
            errno(map.wait(HERE, 0, u64::from_le_bytes([1; 8]), timeout)),
            errno(map.wake(HERE, 0)),
            errno(map.sync(HERE)),
        ]
    };
    assert_eq!(later(map.as_ref()), [OsError::EIO; 7]);
    assert_eq!(errno(map.load(HERE, 1)), OsError::EINVAL);
    assert_eq!(other.load(HERE, PAGE).unwrap(), 0, "this one has never met it");
    file.set_len(HERE, 0).unwrap();
    assert_eq!(errno(to_read.wake(HERE, 0)), OsError::EIO);
    assert_eq!(later(to_read.as_ref()), [OsError::EIO; 7]);
    file.set_len(HERE, PAGE as u64).unwrap();
    assert_eq!(content(file.as_ref()), vec![0; PAGE], "nothing was stored");
}

fn a_map_loses_whole_pages_only(place: &Place) {
    let file = place.file(&vec![1; 2 * PAGE]);
    let map = file.map(HERE, 2 * PAGE).unwrap();
    file.set_len(HERE, 10).unwrap();
    let mut bytes = [9; 20];
    map.read(HERE, 0, &mut bytes).unwrap();
    assert_eq!(bytes, [[1; 10], [0; 10]].concat()[..]);
    assert_eq!(map.load(HERE, PAGE_MIN - 8).unwrap(), 0);
    // It goes nowhere, and does no harm.
    map.store(HERE, PAGE_MIN - 8, 5).unwrap();
    map.write(HERE, 8, &[2; 4]).unwrap();
    assert_eq!(content(file.as_ref()), [1, 1, 1, 1, 1, 1, 1, 1, 2, 2]);
    assert_eq!(errno(map.load(HERE, PAGE)), OsError::EIO);
}

fn a_map_outlives_its_file_and_keeps_the_lock(place: &Place) {
    let file = place.file(&[1; 64]);
    let other = place.open("file", Open::READ_WRITE);
    file.lock(HERE, LockMode::Exclusive).unwrap();
    let map = file.map(HERE, 64).unwrap();
    drop(file);
    assert!(!other.try_lock(HERE, LockMode::Shared).unwrap());
    place.storage.remove(HERE, &place.path("file")).unwrap();
    map.store(HERE, 0, 2).unwrap();
    assert_eq!(other.map(HERE, 8).unwrap().load(HERE, 0).unwrap(), 2);
    other.set_len(HERE, 0).unwrap();
    assert_eq!(errno(map.load(HERE, 0)), OsError::EIO);
    assert!(!other.try_lock(HERE, LockMode::Shared).unwrap(), "also if it is lost");
    drop(map);
    assert!(other.try_lock(HERE, LockMode::Shared).unwrap());
}

fn a_wait_returns_at_once_for_another_value_and_in_time_for_the_same(place: &Place) {
    let file = place.file(&[0; 64]);
    let map = file.map(HERE, 64).unwrap();
    for other in [1, 1 << 32, u64::MAX] {
        // A wait that lasts would be one for ever.
        map.wait(HERE, 8, other, Duration::from_secs(1 << 40)).unwrap();
    }
    map.wait(HERE, 8, 0, Duration::from_millis(1)).unwrap();
    map.wait(HERE, 8, 0, Duration::ZERO).unwrap();
}

#[test]
fn the_directory_of_a_contract_is_empty_at_first() {
    let empty = |place: &Place| {
        assert!(place.storage.read_dir(HERE, Path::new(&place.directory)).unwrap().is_empty());
    };
    on_this_machine(empty);
    on_the_simulated_disk(empty);
}
