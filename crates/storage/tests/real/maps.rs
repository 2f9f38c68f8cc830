//! Maps of this machine: what the shared contract (`crates/sim/tests/contract`) cannot see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use std::{fs, thread};

use tidemark_storage::{File, Interrupt, Map, Open, OsError, RealStorage, Result, Storage};

use super::support::{HERE, PAGE, Scratch, fifo, open};

const LONG: Duration = Duration::from_secs(600);
const HANG: Duration = Duration::from_secs(60);

fn mapped(scratch: &Scratch, name: &str, size: usize) -> (Box<dyn File>, Box<dyn Map>) {
    let file = scratch.file(name, &vec![7; size]);
    let map = file.map(HERE, size).unwrap();
    (file, map)
}

fn errno<T>(answer: Result<T>) -> i32 {
    answer.err().map_or(0, |error| error.errno)
}

/// A thread of this process that sleeps in the kernel, by the call that its wait is made of.
fn until_asleep(thread_id: u32) {
    let began = RealStorage.monotonic();
    let path = format!("/proc/self/task/{thread_id}/syscall");
    loop {
        #[expect(clippy::disallowed_methods, reason = "the kernel's own table")]
        let call = fs::read_to_string(&path).unwrap_or_default();
        let number = call.split(' ').next().and_then(|number| number.parse().ok());
        if number.is_some_and(|n: i64| [libc::SYS_futex_waitv, libc::SYS_futex].contains(&n)) {
            return;
        }
        assert!(RealStorage.monotonic() < began + HANG, "nobody waits: {call}");
        thread::yield_now();
    }
}

fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// What is stored is in the file, little-endian, for everybody who reads it by other means.
#[test]
fn a_word_is_little_endian_in_the_file() {
    let scratch = Scratch::new();
    let (file, map) = mapped(&scratch, "file", PAGE);
    map.store(HERE, 8, 0x0102_0304_0506_0708).unwrap();
    let mut bytes = [0; 10];
    file.read_full(HERE, &mut bytes, 7).unwrap();
    assert_eq!(bytes, [7, 8, 7, 6, 5, 4, 3, 2, 1, 7]);
    file.write_all(HERE, &[1, 0, 0, 0, 0, 0, 0, 2], 16).unwrap();
    assert_eq!(map.load(HERE, 16).unwrap(), 1 | 2 << 56);
}

/// "A change of the high half alone" wakes too: a word of segment and offset changes like that.
#[test]
fn a_change_of_either_half_ends_a_wait() {
    for change in [1, 1 << 32, 1 << 63, u64::MAX] {
        let scratch = Scratch::new();
        let (_file, map) = mapped(&scratch, "file", PAGE);
        let seen = 5 | 5 << 32;
        map.store(HERE, 64, seen).unwrap();
        thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let map = map.as_ref();
            let waiter = scope.spawn(move || {
                tell.send(thread_id()).unwrap();
                while map.load(HERE, 64).unwrap() == seen {
                    map.wait(HERE, 64, seen, LONG).unwrap();
                }
            });
            until_asleep(told.recv().unwrap());
            map.store(HERE, 64, seen ^ change).unwrap();
            map.wake(HERE, 64).unwrap();
            waiter.join().unwrap();
        });
    }
}

/// No wake is lost between the comparison and the sleep, whichever half changes.
#[test]
fn a_wake_is_never_lost() {
    const ROUND_COUNT: u64 = 20_000;
    let scratch = Scratch::new();
    let (_file, map) = mapped(&scratch, "file", PAGE);
    for step in [1_u64, 1 << 32] {
        map.store(HERE, 0, 0).unwrap();
        map.store(HERE, 8, 0).unwrap();
        // Each side moves its own word and waits for the other's: one lost wake stops both.
        let side = |own: usize, other: usize, leads: bool| {
            for round in 1..=ROUND_COUNT {
                let wanted = if leads { round - 1 } else { round } * step;
                loop {
                    let seen = map.load(HERE, other).unwrap();
                    if seen == wanted {
                        break;
                    }
                    map.wait(HERE, other, seen, LONG).unwrap();
                }
                map.store(HERE, own, round * step).unwrap();
                map.wake(HERE, own).unwrap();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| side(0, 8, true));
            scope.spawn(|| side(8, 0, false));
        });
        assert_eq!(map.load(HERE, 8).unwrap(), ROUND_COUNT * step);
    }
}

/// Everybody is woken, also who waits through another map, and one that may only be read.
#[test]
fn a_wake_reaches_every_map_of_the_file() {
    let scratch = Scratch::new();
    let (_file, map) = mapped(&scratch, "file", PAGE);
    let reader = open(&scratch.path("file"), Open::READ).unwrap();
    let seen = map.load(HERE, 0).unwrap();
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let mut waiters = Vec::new();
        for _ in 0..3 {
            let (tell, other) = (tell.clone(), reader.map(HERE, PAGE).unwrap());
            waiters.push(scope.spawn(move || {
                tell.send(thread_id()).unwrap();
                while other.load(HERE, 0).unwrap() == seen {
                    other.wait(HERE, 0, seen, LONG).unwrap();
                }
            }));
        }
        for _ in 0..3 {
            until_asleep(told.recv().unwrap());
        }
        map.store(HERE, 0, seen + 1).unwrap();
        map.wake(HERE, 0).unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// A wait ends when its time is over, also for a time that no clock can add.
#[test]
fn a_wait_knows_its_time() {
    let scratch = Scratch::new();
    let (_file, map) = mapped(&scratch, "file", PAGE);
    let seen = map.load(HERE, 0).unwrap();
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(2)] {
        map.wait(HERE, 0, seen, timeout).unwrap();
    }
    map.wait(HERE, 0, seen + 1, Duration::MAX).expect("another value does not wait at all");
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let map = map.as_ref();
        scope.spawn(move || {
            tell.send(thread_id()).unwrap();
            while map.load(HERE, 0).unwrap() == seen {
                map.wait(HERE, 0, seen, Duration::MAX).expect("a long time is no error");
            }
        });
        until_asleep(told.recv().unwrap());
        map.store(HERE, 0, 0).unwrap();
        map.wake(HERE, 0).unwrap();
    });
}

/// An interrupt ends a wait on a map that this process may only read, before it and while it lasts.
#[test]
fn an_interrupt_ends_a_wait() {
    let scratch = Scratch::new();
    drop(mapped(&scratch, "file", PAGE));
    let file = RealStorage.open(HERE, &scratch.path("file"), Open::READ).unwrap();
    let map = file.map(HERE, PAGE).unwrap();
    let seen = map.load(HERE, 0).unwrap();
    let interrupt = Interrupt::default();
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let (map, interrupt) = (map.as_ref(), &interrupt);
        scope.spawn(move || {
            tell.send(thread_id()).unwrap();
            while !interrupt.is_raised() {
                map.wait_or(HERE, 0, seen, LONG, Some(interrupt)).unwrap();
            }
        });
        until_asleep(told.recv().unwrap());
        interrupt.raise();
    });
    map.wait_or(HERE, 0, seen, Duration::MAX, Some(&interrupt)).expect("it was raised before");
}

/// What was written before a store is seen after the load that reads it, through two maps.
#[test]
fn bytes_are_published_by_a_word() {
    const ROUND_COUNT: u64 = 3000;
    let scratch = Scratch::new();
    let (file, map) = mapped(&scratch, "file", 2 * PAGE);
    map.store(HERE, 0, 0).unwrap();
    map.store(HERE, 8, 0).unwrap();
    let other = file.map(HERE, 2 * PAGE).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut bytes = vec![0; 1001];
            for round in 1..=ROUND_COUNT {
                while other.load(HERE, 0).unwrap() != round {
                    std::hint::spin_loop();
                }
                other.read(HERE, PAGE - 500, &mut bytes).unwrap();
                let expected = u8::try_from(round % 251).unwrap();
                assert!(bytes.iter().all(|byte| *byte == expected), "round {round}");
                other.store(HERE, 8, round).unwrap();
            }
        });
        for round in 1..=ROUND_COUNT {
            map.write(HERE, PAGE - 500, &[u8::try_from(round % 251).unwrap(); 1001]).unwrap();
            map.store(HERE, 0, round).unwrap();
            while map.load(HERE, 8).unwrap() != round {
                std::hint::spin_loop();
            }
        }
    });
}

/// Only regular files are mapped: a device or a FIFO has no end that could be checked.
#[test]
fn what_is_no_regular_file_is_not_mapped() {
    let scratch = Scratch::new();
    fifo(&scratch.path("fifo"));
    let pipe = open(&scratch.path("fifo"), Open::READ_WRITE).unwrap();
    let directory = RealStorage.open_dir(HERE, scratch.root()).unwrap();
    let zero = open("/dev/zero".as_ref(), Open::READ_WRITE).unwrap();
    for file in [pipe, directory, zero] {
        assert_eq!(errno(file.map(HERE, PAGE)), libc::ENODEV);
    }
    let file = scratch.file("file", b"12345678");
    for size in [0, 9, PAGE, usize::MAX] {
        assert_eq!(file.map(HERE, size).unwrap_err(), OsError::new(OsError::EINVAL, "mmap"));
    }
}

/// Two threads that write the same bytes, and one that reads them: every word is one of the two.
#[test]
fn a_word_is_never_read_half() {
    let scratch = Scratch::new();
    let (_file, map) = mapped(&scratch, "file", PAGE);
    let (done, begin) = (AtomicBool::new(false), Arc::new(Barrier::new(3)));
    thread::scope(|scope| {
        let writers = [[7; 64], [0xAA; 64]].map(|bytes| {
            let (map, begin) = (map.as_ref(), Arc::clone(&begin));
            scope.spawn(move || {
                begin.wait();
                for _ in 0..20_000 {
                    map.write(HERE, 0, &bytes).unwrap();
                }
            })
        });
        scope.spawn(|| {
            begin.wait();
            let mut bytes = [0; 64];
            while !done.load(Ordering::Relaxed) {
                map.read(HERE, 0, &mut bytes).unwrap();
                for word in bytes.chunks(8) {
                    assert!([7, 0xAA].iter().any(|one| word.iter().all(|b| b == one)), "{word:?}");
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}
