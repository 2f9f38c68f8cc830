//! Runs: interleaving, stops, deadlocks, panics, exploration.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemark_sim::{
    Actor, Disk, Explore, Fault, Plan, Process, Report, Schedule, Stop, World,
    power_cuts_everywhere,
};
use tidemark_storage::{LockMode, Open, OsError, Site};

const SITE: Site = Site::Test;

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn with_files(names: &[&str]) -> Disk {
    let mut disk = Disk::new();
    for name in names {
        disk.write_durable(name, [0; 8], 0o600);
    }
    disk
}

/// Reads and writes back a counter so often.
fn count_up(process: &Process, name: &str, times: u64, locked: bool) -> Actor {
    let process = process.clone();
    Actor::new(&process.clone(), name, move || add_up(&process, times, locked))
}

fn add_up(process: &Process, times: u64, locked: bool) {
    let storage = process.storage();
    for _ in 0..times {
        let file = storage.open(SITE, path("/data/count"), Open::READ_WRITE).unwrap();
        if locked {
            file.lock(Site::LockAcquire, LockMode::Exclusive).unwrap();
        }
        let mut word = [0; 8];
        file.read_full(SITE, &mut word, 0).unwrap();
        let word = u64::from_le_bytes(word) + 1;
        file.write_all(Site::TempWrite, &word.to_le_bytes(), 0).unwrap();
    }
}

fn counted(disk: &Disk) -> u64 {
    u64::from_le_bytes(disk.read("/data/count").unwrap().try_into().unwrap())
}

fn two_counters(seed: u64, plan: &Plan, locked: bool) -> (World, Report) {
    let world = World::new(with_files(&["/data/count"]), seed);
    let (a, b) = (world.process(), world.process());
    let actors = vec![count_up(&a, "a", 5, locked), count_up(&b, "b", 5, locked)];
    let report = world.run(actors, plan);
    (world, report)
}

#[test]
fn two_actors_interleave_at_every_call_and_the_same_seed_repeats_the_trace() {
    let run = |seed| two_counters(seed, &Plan::default(), false);
    let (world, report) = run(3);
    let (again, repeated) = run(3);
    assert_eq!(report, repeated);
    assert_eq!(counted(&world.disk()), counted(&again.disk()));
    assert_ne!(report.trace, run(4).1.trace);
    assert_eq!(report.calls, 30);

    let turns = Plan { schedule: Schedule::RoundRobin, ..Plan::default() };
    let (world, report) = two_counters(3, &turns, false);
    let actors: Vec<&str> = report.trace.iter().map(|call| call.actor.as_str()).collect();
    assert!(actors.windows(2).all(|pair| pair[0] != pair[1]), "{actors:?}");
    assert_eq!(counted(&world.disk()), 5, "every update of one is lost to the other");
}

#[test]
fn a_lock_keeps_actors_apart_whatever_the_interleaving() {
    for seed in 0..50 {
        let (world, report) = two_counters(seed, &Plan::default(), true);
        assert_eq!(report.deadlock, None);
        assert_eq!(counted(&world.disk()), 10, "SEED={seed}");
    }
}

#[test]
fn a_switch_puts_the_others_between_two_calls_of_the_first() {
    let names = |at| {
        let plan = Plan { schedule: Schedule::SwitchAt(at), ..Plan::default() };
        let report = two_counters(1, &plan, false).1;
        report.trace.into_iter().map(|call| call.actor).collect::<String>()
    };
    assert_eq!(names(4), format!("aaaa{}{}", "b".repeat(15), "a".repeat(11)));
    assert_eq!(names(0), format!("{}{}", "b".repeat(15), "a".repeat(15)));
    let plan = Plan { schedule: Schedule::Run(1), ..Plan::default() };
    let report = two_counters(1, &plan, false).1;
    assert!(report.trace[..15].iter().all(|call| call.actor == "b"));
}

#[test]
fn a_stop_at_call_n_executes_exactly_n_calls() {
    let whole = two_counters(9, &Plan::default(), false).1;
    for n in 0..=whole.calls {
        let plan = Plan { stop: Some(Stop::PowerCut { at_call: n }), ..Plan::default() };
        let (_, report) = two_counters(9, &plan, false);
        assert_eq!(report.calls, n);
        assert_eq!(report.stopped, n < whole.calls);
        assert_eq!(report.trace[..], whole.trace[..usize::try_from(n).unwrap()]);
    }
}

#[test]
fn a_killed_process_stops_alone_and_the_other_gets_its_lock() {
    let world = World::new(with_files(&["/data/count"]), 5);
    let (a, b) = (world.process(), world.process());
    let actors = vec![count_up(&a, "a", 5, true), count_up(&b, "b", 5, true)];
    let stop = Stop::KillInSite { process: a.pid(), site: Site::TempWrite, nth: 2 };
    let report = world.run(actors, &Plan { stop: Some(stop), ..Plan::default() });
    assert!(report.stopped);
    assert_eq!(report.deadlock, None);
    assert_eq!(counted(&world.disk()), 7, "two of the one, five of the other");

    let world = World::new(with_files(&["/data/count"]), 5);
    let (a, b) = (world.process(), world.process());
    let actors = vec![count_up(&a, "a", 5, true), count_up(&b, "b", 5, true)];
    let stop = Stop::KillAfterSite { process: a.pid(), site: Site::TempWrite, nth: 2 };
    let report = world.run(actors, &Plan { stop: Some(stop), ..Plan::default() });
    assert!(report.stopped);
    assert_eq!(counted(&world.disk()), 8);
}

/// A kill, then the power.
#[test]
fn a_second_stop_ends_what_the_first_one_left_running() {
    for seed in 1..20 {
        let world = World::new(with_files(&["/data/count"]), seed);
        let (a, b) = (world.process(), world.process());
        let actors = vec![count_up(&a, "a", 5, true), count_up(&b, "b", 5, true)];
        let stop = Some(Stop::Kill { process: a.pid(), at_call: 7 });
        let then = Some(Stop::PowerCut { at_call: 12 });
        let report = world.run(actors, &Plan { stop, then, ..Plan::default() });
        assert_eq!((report.stopped, report.calls), (true, 12), "SEED={seed}");
        let mut after = report.trace.iter().skip(7);
        assert!(after.all(|call| call.pid == b.pid()), "SEED={seed}");
    }
}

#[test]
fn every_actor_of_a_killed_process_stops() {
    let world = World::new(with_files(&["/data/count"]), 5);
    let process = world.process();
    let actors = vec![count_up(&process, "a", 5, true), count_up(&process, "b", 5, true)];
    let stop = Stop::Kill { process: process.pid(), at_call: 7 };
    let report = world.run(actors, &Plan { stop: Some(stop), ..Plan::default() });
    assert_eq!((report.calls, report.stopped), (7, true));
}

#[test]
fn a_deadlock_is_reported_not_hung() {
    let world = World::new(with_files(&["/data/x", "/data/y"]), 1);
    let embrace = |name: &str, first: &'static str, second: &'static str| {
        let process = world.process();
        let storage = process.storage();
        Actor::new(&process, name, move || {
            let first = storage.open(SITE, path(first), Open::READ).unwrap();
            let second = storage.open(SITE, path(second), Open::READ).unwrap();
            first.lock(Site::LockAcquire, LockMode::Exclusive).unwrap();
            second.lock(Site::LockAcquire, LockMode::Exclusive).unwrap();
            unreachable!("nobody gets both");
        })
    };
    let actors = vec![embrace("a", "/data/x", "/data/y"), embrace("b", "/data/y", "/data/x")];
    let report = world.run(actors, &Plan { schedule: Schedule::RoundRobin, ..Plan::default() });
    let deadlock = report.deadlock.unwrap();
    assert!(deadlock.contains("a (1000) waits for a Exclusive lock on /data/y, held by 1001"));
    assert!(deadlock.contains("b (1001) waits for a Exclusive lock on /data/x, held by 1000"));
}

#[test]
#[should_panic(expected = "the body's own words")]
fn a_panic_of_a_body_is_raised_by_the_run() {
    let world = World::new(with_files(&["/data/count"]), 1);
    let process = world.process();
    let other = count_up(&process, "other", 5, true);
    let storage = process.storage();
    let failing = Actor::new(&process, "failing", move || {
        let file = storage.open(SITE, path("/data/count"), Open::READ).unwrap();
        file.lock(SITE, LockMode::Exclusive).unwrap();
        panic!("the body's own words");
    });
    let _ = world.run(vec![failing, other], &Plan::default());
}

/// Makes calls when it is dropped, as a store that closes does.
struct Closing(Process);

impl Drop for Closing {
    fn drop(&mut self) {
        let storage = self.0.storage();
        let _ = storage.remove(SITE, path("/data/count"));
        if let Ok(file) = storage.open(SITE, path("/data/late"), Open::new_file(0o600)) {
            file.sync_all(SITE).unwrap();
        }
    }
}

#[test]
fn destructors_of_a_stopped_actor_execute_nothing() {
    for stop in [0, 3, 5] {
        for kill in [false, true] {
            let world = World::new(with_files(&["/data/count"]), 1);
            let process = world.process();
            let closing = Closing(process.clone());
            let actor = Actor::new(&process, "closing", move || add_up(&closing.0, 2, true));
            let stop = if kill {
                Stop::Kill { process: process.pid(), at_call: stop }
            } else {
                Stop::PowerCut { at_call: stop }
            };
            let report = world.run(vec![actor], &Plan { stop: Some(stop), ..Plan::default() });
            assert!(report.stopped);
            assert_eq!(world.disk().names("/data"), ["count"]);
        }
    }
}

#[test]
fn faults_of_a_plan_end_with_its_run() {
    let world = World::new(with_files(&["/data/count"]), 1);
    let process = world.process();
    let storage = process.storage();
    let fails = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&fails);
    let actor = Actor::new(&process, "a", move || {
        for _ in 0..3 {
            let stat = storage.stat(Site::JsonStat, path("/data/count"));
            seen.lock().unwrap().push(stat.err().map(|error| error.errno));
        }
    });
    let faults = vec![Fault::fail(Site::JsonStat, 1, OsError::EIO)];
    let report = world.run(vec![actor], &Plan { faults, ..Plan::default() });
    assert_eq!(*fails.lock().unwrap(), [None, Some(OsError::EIO), None]);
    assert_eq!(report.count(Site::JsonStat), 3);
    for _ in 0..3 {
        process.storage().stat(Site::JsonStat, path("/data/count")).unwrap();
    }
    assert_eq!(world.count(Site::JsonStat), 6);
}

#[test]
fn a_wait_ends_when_it_is_woken_or_its_time_is_over() {
    for woken in [false, true] {
        let world = World::new(with_files(&["/data/word"]), 1);
        let (sleeper, waker) = (world.process(), world.process());
        let waited = Arc::new(Mutex::new(Duration::ZERO));
        let (told, storage) = (Arc::clone(&waited), sleeper.storage());
        let wait = Actor::new(&sleeper, "sleeper", move || {
            let file = storage.open(SITE, path("/data/word"), Open::READ).unwrap();
            let (map, before) = (file.map(SITE, 8).unwrap(), storage.monotonic());
            map.wait(SITE, 0, 0, Duration::from_millis(5)).unwrap();
            *told.lock().unwrap() = storage.monotonic().saturating_sub(before);
        });
        let storage = waker.storage();
        let wake = Actor::new(&waker, "waker", move || {
            let file = storage.open(SITE, path("/data/word"), Open::READ_WRITE).unwrap();
            let map = file.map(SITE, 8).unwrap();
            map.store(SITE, 0, 1).unwrap();
            if woken {
                map.wake(SITE, 0).unwrap();
            }
        });
        let plan = Plan { schedule: Schedule::Run(0), ..Plan::default() };
        assert_eq!(world.run(vec![wait, wake], &plan).deadlock, None);
        let waited = *waited.lock().unwrap();
        assert_eq!(waited < Duration::from_millis(5), woken, "{waited:?}");
    }
}

/// Replaces a file, and says so once it is durable; with the mistake, without a directory sync.
fn replacer(world: &World, mistake: bool) -> (Vec<Actor>, Arc<Mutex<bool>>) {
    let process = world.process();
    let storage = process.storage();
    let acknowledged = Arc::new(Mutex::new(false));
    let tell = Arc::clone(&acknowledged);
    let actor = Actor::new(&process, "replacer", move || {
        let file = storage.open(SITE, path("/data/new"), Open::new_file(0o600)).unwrap();
        file.write_all(SITE, &[1; 8], 0).unwrap();
        file.sync_data(SITE).unwrap();
        storage.rename(SITE, path("/data/new"), path("/data/count")).unwrap();
        if !mistake {
            storage.sync_dir(SITE, path("/data")).unwrap();
        }
        *tell.lock().unwrap() = true;
    });
    (vec![actor], acknowledged)
}

#[test]
fn exploring_power_cuts_proves_a_replace_and_finds_a_missing_directory_sync() {
    let start = with_files(&["/data/count"]);
    let explore = |mistake| {
        let lost = Mutex::new(0);
        let checked = power_cuts_everywhere(
            &start,
            32,
            1,
            |world| replacer(world, mistake),
            |state, acknowledged| {
                let bytes = state.disk.read("/data/count").unwrap();
                assert!(bytes == [0; 8] || bytes == [1; 8], "a mixture: {bytes:?}");
                if *acknowledged.lock().unwrap() && bytes != [1; 8] {
                    *lost.lock().unwrap() += 1;
                }
            },
        );
        assert!(checked > 6, "{checked}");
        lost.into_inner().unwrap()
    };
    assert_eq!(explore(false), 0);
    assert!(explore(true) > 0);
}

#[test]
fn exploring_kills_shows_what_is_cached_after_each() {
    let start = with_files(&["/data/count"]);
    let mut explore = Explore::new(&start, 0, 1);
    explore.schedule = Schedule::RoundRobin;
    let checked = explore.kills(
        |world| replacer(world, false),
        |state, _| assert!(state.disk.read("/data/count").is_some()),
    );
    assert_eq!(checked, 6, "five calls, and after the last");
}

#[test]
#[should_panic(expected = "wrong")]
fn a_failed_check_is_raised_with_its_context() {
    let start = with_files(&["/data/count"]);
    power_cuts_everywhere(&start, 8, 1, |world| replacer(world, false), |_, _| panic!("wrong"));
}
