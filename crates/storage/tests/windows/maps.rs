//! S5 and S6: maps of small pages, and waiting for what is in them.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::time::Duration;
use std::{fs, thread};

use tidemark_storage::{Interrupt, LockMode, Open, OsError, RealStorage, Site, Storage};

use crate::support::{HERE, PAGE, Scratch, errno, tries};

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
