//! Maps whose file is cut: every call answers `EIO`, no signal comes through (defect D26; G2, G3).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tidemark_storage::{File, Map, Open, OsError, RealStorage, Storage};

use super::support::{HERE, PAGE, Scratch, open};

const LONG: Duration = Duration::from_secs(600);
const LOST: i32 = OsError::EIO;

/// A call on a map, by its name. Each touches `offset`.
type Touch = fn(&dyn Map, usize) -> tidemark_storage::Result<()>;

const TOUCHES: &[(&str, Touch)] = &[
    ("load", |map, offset| map.load(HERE, offset).map(drop)),
    ("store", |map, offset| map.store(HERE, offset, 1)),
    ("read", |map, offset| map.read(HERE, offset, &mut [0; 64])),
    ("write", |map, offset| map.write(HERE, offset, &[1; 64])),
    // A wait whose word has another value ends at once.
    ("wait", |map, offset| map.wait(HERE, offset, u64::MAX, LONG)),
    ("wake", |map, offset| map.wake(HERE, offset)),
];

fn zeros(scratch: &Scratch, name: &str, size: usize) -> Box<dyn File> {
    scratch.file(name, &vec![0; size])
}

/// The very call that meets the lost page answers `EIO`, and so does every later one, whatever it
/// is, on every page, also after the file has grown again.
#[test]
fn every_call_on_a_cut_map_answers_eio() {
    for (first, touch) in TOUCHES {
        let scratch = Scratch::new();
        let file = zeros(&scratch, "file", 4 * PAGE);
        let map = file.map(HERE, 4 * PAGE).unwrap();
        touch(map.as_ref(), 2 * PAGE).unwrap_or_else(|error| panic!("{first}: {error}"));
        file.set_len(HERE, PAGE as u64).unwrap();
        let error = touch(map.as_ref(), 2 * PAGE).expect_err(first);
        assert_eq!(error.errno, LOST, "{first}");
        file.set_len(HERE, 4 * PAGE as u64).unwrap();
        for (then, touch) in TOUCHES {
            for offset in [0, 2 * PAGE] {
                let error = touch(map.as_ref(), offset).expect_err(then);
                assert_eq!(error.errno, LOST, "{first}, then {then} at {offset}");
            }
        }
        assert_eq!(map.sync(HERE), Err(OsError::new(LOST, "msync")), "{first}");
        assert_eq!(map.len(), 4 * PAGE);
    }
}

/// A map that may only be read is guarded as well.
#[test]
fn a_cut_map_to_read_answers_eio() {
    for (name, touch) in TOUCHES.iter().filter(|(name, _)| !["store", "write"].contains(name)) {
        let scratch = Scratch::new();
        let writer = zeros(&scratch, "file", 2 * PAGE);
        let reader = open(&scratch.path("file"), Open::READ).unwrap();
        let map = reader.map(HERE, 2 * PAGE).unwrap();
        writer.set_len(HERE, 0).unwrap();
        assert_eq!(touch(map.as_ref(), PAGE).expect_err(name).errno, LOST, "{name}");
        let store = map.store(HERE, 0, 1).unwrap_err();
        assert_eq!(store.errno, LOST, "what is lost is said before what is forbidden");
    }
}

/// G2: a map of another file, or another map of the file's first page, is as it was.
#[test]
fn a_neighbour_of_a_cut_map_is_unharmed() {
    let scratch = Scratch::new();
    let size = 3 * PAGE;
    let files: Vec<_> = (0..9).map(|n| zeros(&scratch, &n.to_string(), size)).collect();
    let maps: Vec<_> = files.iter().map(|file| file.map(HERE, size).unwrap()).collect();
    let kept = files[4].map(HERE, PAGE).unwrap();
    for (number, map) in (0..).zip(&maps) {
        (0..size).step_by(8).for_each(|offset| map.store(HERE, offset, number).unwrap());
    }
    files[4].set_len(HERE, PAGE as u64).unwrap();
    assert_eq!(maps[4].load(HERE, size - 8).unwrap_err().errno, LOST);
    for (number, (map, file)) in (0..).zip(maps.iter().zip(&files)).filter(|(n, _)| *n != 4) {
        for offset in (0..size).step_by(8) {
            assert_eq!(map.load(HERE, offset).unwrap(), number);
        }
        map.store(HERE, 8, 1234).unwrap();
        let mut word = [0; 8];
        file.read_full(HERE, &mut word, 8).unwrap();
        assert_eq!(u64::from_le_bytes(word), 1234, "it is still the file");
    }
    assert_eq!(kept.load(HERE, 8).unwrap(), 4);
    kept.store(HERE, 8, 5).unwrap();
    let mut word = [0; 8];
    files[4].read_full(HERE, &mut word, 8).unwrap();
    assert_eq!(u64::from_le_bytes(word), 5);
}

/// Only the page behind the end is lost: the rest of the end's own page stays readable.
#[test]
fn a_cut_within_a_page_takes_nothing_from_before_it() {
    let scratch = Scratch::new();
    let file = scratch.file("file", &vec![9; 2 * PAGE]);
    let map = file.map(HERE, 2 * PAGE).unwrap();
    file.set_len(HERE, 100).unwrap();
    let mut bytes = [1; 200];
    map.read(HERE, 0, &mut bytes).unwrap();
    assert!(bytes[..100].iter().all(|byte| *byte == 9) && bytes[100..].iter().all(|b| *b == 0));
    assert_eq!(map.load(HERE, PAGE).unwrap_err().errno, LOST);
}

/// G3: threads that hammer a map while it is cut get values, then `EIO`, and never again a value.
/// A store that was said to be done while the file was whole is in the file.
#[test]
fn threads_that_hammer_a_map_while_it_is_cut_all_get_eio() {
    const PAGE_COUNT: usize = 64;
    for round in 0..30 {
        let scratch = Scratch::new();
        let file = zeros(&scratch, "file", PAGE_COUNT * PAGE);
        let map = file.map(HERE, PAGE_COUNT * PAGE).unwrap();
        let kept = AtomicU64::new(0);
        thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            for (number, (name, touch)) in TOUCHES.iter().enumerate() {
                let (map, tell) = (map.as_ref(), tell.clone());
                scope.spawn(move || {
                    let mut turn = number;
                    loop {
                        turn += 1;
                        // Never the first page, which somebody else counts in.
                        let offset = (1 + turn % (PAGE_COUNT - 1)) * PAGE;
                        if let Err(error) = touch(map, offset) {
                            assert_eq!(error.errno, LOST, "{name}");
                            break;
                        }
                        if turn == number + PAGE_COUNT {
                            tell.send(()).unwrap();
                        }
                    }
                    assert_eq!(touch(map, 0).expect_err(name).errno, LOST, "{name}");
                });
            }
            let (counted, map) = (&kept, map.as_ref());
            scope.spawn(move || {
                // The first page is never cut: what is acknowledged here must be in the file.
                for count in 1.. {
                    match map.store(HERE, 0, count) {
                        Ok(()) => counted.store(count, Ordering::Relaxed),
                        Err(error) => return assert_eq!(error.errno, LOST),
                    }
                }
            });
            for _ in TOUCHES {
                told.recv().unwrap();
            }
            file.set_len(HERE, PAGE as u64).unwrap();
        });
        let mut word = [0; 8];
        file.read_full(HERE, &mut word, 0).unwrap();
        let (stored, kept) = (u64::from_le_bytes(word), kept.load(Ordering::Relaxed));
        assert!(stored >= kept, "round {round}: {kept} was acknowledged, {stored} is in the file");
    }
}

/// Regions come and go while others fault: nobody's fault is taken for somebody else's.
#[test]
fn maps_come_and_go_while_others_are_cut() {
    let scratch = Scratch::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let file = zeros(&scratch, "whole", 2 * PAGE);
            while !done.load(Ordering::Relaxed) {
                let map = file.map(HERE, 2 * PAGE).unwrap();
                map.store(HERE, PAGE, 1).unwrap();
                assert_eq!(map.load(HERE, PAGE).unwrap(), 1);
            }
        });
        for round in 0..500 {
            let file = zeros(&scratch, &format!("cut {round}"), 2 * PAGE);
            let map = file.map(HERE, 2 * PAGE).unwrap();
            file.set_len(HERE, 0).unwrap();
            assert_eq!(map.store(HERE, PAGE, 1).unwrap_err().errno, LOST);
            drop(map);
            RealStorage.remove(HERE, &scratch.path(&format!("cut {round}"))).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Nothing is mapped that is not guarded.
#[test]
fn a_full_table_refuses_the_map() {
    super::support::alone("bus_faults::a_full_table_refuses_the_map", |scratch| {
        let file = zeros(scratch, "file", PAGE);
        let mut maps = Vec::new();
        let refused = loop {
            match file.map(HERE, PAGE) {
                Ok(map) => maps.push(map),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, OsError::new(OsError::ENOMEM, "mmap"));
        assert!(maps.len() >= 1000, "{}", maps.len());
        assert_eq!(maps.iter().filter(|map| map.load(HERE, 0).is_ok()).count(), maps.len());
        drop(maps.pop());
        maps.push(file.map(HERE, PAGE).expect("there is a place again"));
        file.set_len(HERE, 0).unwrap();
        assert!(maps.iter().all(|map| map.load(HERE, 0).is_err_and(|error| error.errno == LOST)));
    });
}
