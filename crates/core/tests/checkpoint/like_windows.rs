//! The store on a system that does not replace open files: nothing may stay open that the next put,
//! of this process or of another, has to replace. It takes several names for one file's.

use std::path::Path;
use std::time::Duration;

use tidemark_core::ErrorKind;
use tidemark_core::checkpoint::{JsonFileOptions, Recover};
use tidemark_sim::{Disk, World};

use super::support::{Process, applied, at, key};

const PATH: &str = "/data/state.json";

fn world() -> World {
    let world = World::new(Disk::new(), 1);
    world.with_disk(|disk| disk.set_like_windows(true));
    world
}

/// Either has written it, or read what the other wrote, by a refresh or under the lock.
#[test]
fn stores_of_two_processes_replace_what_either_has_read_or_written() {
    let world = world();
    let processes = [(); 2].map(|()| Process::on(world.process().storage()));
    let [one, other] = processes.each_ref().map(|process| process.open(Path::new(PATH)));
    for round in 0..5 {
        for (index, store) in [&one, &other].into_iter().enumerate() {
            let sequence = 10 * round + index as u64;
            assert_eq!(store.put(&key(1), at(sequence)).unwrap(), applied(at(sequence)));
            if round < 2 {
                continue;
            }
            for reader in [&one, &other] {
                reader.refresh().unwrap();
                assert_eq!(reader.get(&key(1)).unwrap(), Some(at(sequence)));
                assert!(!reader.put(&key(1), at(0)).unwrap().applied, "read, and not written");
            }
        }
    }
}

/// A file that is judged and then replaced, or moved aside, is open in between.
#[test]
fn what_is_open_while_it_is_judged_is_replaced_and_moved_aside() {
    let world = world();
    let process = Process::on(world.process().storage());
    let recovering = JsonFileOptions { recover: Recover::Quarantine, ..JsonFileOptions::default() };
    let store = process.try_open(Path::new(PATH), recovering).unwrap();
    store.put(&key(1), at(0)).unwrap();
    for (sequence, content) in [(1, "not JSON"), (2, "{"), (3, "")] {
        world.with_disk(|disk| disk.replace_durably(PATH, content));
        assert_eq!(store.put(&key(1), at(sequence)).unwrap(), applied(at(sequence)));
    }
    let names = world.disk().names("/data");
    assert_eq!(names.iter().filter(|name| name.contains(".corrupt-")).count(), 3, "{names:?}");
}

/// JF-4: numbers of files come back at once and times have coarse steps, as on FAT. A file of the
/// same size is then in nothing different from the one that this process wrote.
#[test]
fn a_checkpoint_of_another_process_is_seen_though_its_file_looks_like_our_own() {
    let world = world();
    world.with_disk(|disk| disk.set_timestamp_granularity(Duration::from_secs(2)));
    let processes = [(); 2].map(|()| Process::on(world.process().storage()));
    let [one, other] = processes.each_ref().map(|process| process.open(Path::new(PATH)));
    assert_eq!(one.put(&key(1), at(10)).unwrap(), applied(at(10)));
    assert_eq!(other.put(&key(1), at(11)).unwrap(), applied(at(11)));
    assert_eq!(other.put(&key(1), at(15)).unwrap(), applied(at(15)));
    assert!(!one.put(&key(1), at(12)).unwrap().applied, "15 is acknowledged");
    assert_eq!(one.get(&key(1)).unwrap(), Some(at(15)));
    assert_eq!(other.put(&key(1), at(16)).unwrap(), applied(at(16)));
    assert_eq!(other.put(&key(1), at(17)).unwrap(), applied(at(17)));
    one.refresh().unwrap();
    assert_eq!(one.get(&key(1)).unwrap(), Some(at(17)));
}

/// JF-2: each name of a file leads to the same instance, and to the same lock.
#[test]
fn names_that_mean_one_file_share_a_store_and_a_short_name_of_nothing_is_refused() {
    let world = world();
    let process = Process::on(world.process().storage());
    let one = process.open(Path::new(PATH));
    let other = process.open(Path::new("/data/State.JSON"));
    assert_eq!(other.put(&key(1), at(7)).unwrap(), applied(at(7)));
    assert_eq!(one.get(&key(1)).unwrap(), Some(at(7)), "one view");
    assert_eq!(world.disk().names("/data"), ["state.json", "state.json.lock"]);
    let short = process.try_open(Path::new("/data/STATE~1.JSO"), JsonFileOptions::default());
    assert_eq!(short.unwrap_err().kind(), ErrorKind::InvalidArgument);
    world.with_disk(|disk| disk.write_durable("/data/ODD~1.JSO", "not JSON", 0o600));
    let odd = process.try_open(Path::new("/data/ODD~1.JSO"), JsonFileOptions::default());
    assert_eq!(odd.unwrap_err().kind(), ErrorKind::Decode, "a file has the name that it has");
}
