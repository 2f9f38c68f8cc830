//! The JSON store: each operation, stopped at every call, by a power cut that leaves whatever it
//! may leave or by a kill; alone, beside other processes and threads, and twice in a row.
//!
//! Each test proves, for its operation, promise 2 of the README from the outside (the observer's
//! documentation lists what that means), and with it these of `docs/format/state-file.md`: JF-1
//! (the file is only ever replaced, by what was synced), JF-3 (what is reported or shown is
//! durable), JF-4 (a sequence moves up within one life of a key), JF-6 (strays are swept, nobody
//! else's temporary is), and GC-5 (nothing is settled before it is true on the medium).
//!
//! `SEED=n` repeats the random interleaving n alone, `TORTURE=n` tries n times as many.
mod crash_support;

use std::cell::Cell;
use std::path::Path;

use crash_support::{
    Company, Entries, Jury, Kind, Observer, STATE, Scenario, checkpoint, delete, disk_with,
    entries, key, put, seeds, survives, writer_in,
};
use tidemark_core::checkpoint::{JsonFileOptions, Op, Recover};
use tidemark_sim::{Choice, Disk, Explore, Plan, Stop, World};
use tidemark_storage::{Open, Site};

const STRAY: &str = "/data/.tidemark-0123456789abcdef0123456789abcdef.tmp";
const DAMAGE: &[u8] = b"{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {\"46fe";

fn two_keys() -> Entries {
    entries(&[(1, 10), (2, 20)])
}

#[test]
fn a_put_of_a_new_key_is_never_lost_once_acknowledged() {
    survives(&Scenario::new(&two_keys(), vec![put(&[(3, 1)], "writer")]));
}

#[test]
fn a_put_of_a_higher_sequence_never_goes_back_once_acknowledged_or_seen() {
    survives(&Scenario::new(&two_keys(), vec![put(&[(1, 11)], "writer")]));
}

#[test]
fn a_superseded_put_reports_only_what_is_durable() {
    survives(&Scenario::new(&two_keys(), vec![put(&[(1, 10)], "writer")]));
}

#[test]
fn a_put_of_many_is_there_as_a_whole_or_not_at_all() {
    let many = put(&[(1, 5), (2, 21), (3, 1), (4, 1)], "writer");
    survives(&Scenario::new(&two_keys(), vec![many]));
}

#[test]
fn a_file_of_many_sectors_is_never_torn() {
    let initial: Entries = (10..40)
        .map(|of| (of, u64::from(of)))
        .fold(two_keys(), |all, of| all.into_iter().chain(entries(&[of])).collect());
    let mut scenario = Scenario::new(&initial, vec![put(&[(3, 1)], "writer")]);
    scenario.kept = &["start@39"];
    let alone = Jury::default();
    scenario.alone(1, &alone);
    assert!(alone.judged_count() > 500, "{} states only", alone.judged_count());
}

#[test]
fn a_delete_sticks_once_acknowledged() {
    survives(&Scenario::new(&two_keys(), vec![delete(1)]));
}

#[test]
fn a_delete_of_what_another_process_deletes_sticks() {
    survives(&Scenario::new(&two_keys(), vec![delete(2), put(&[(2, 1)], "writer")]));
}

#[test]
fn a_delete_of_an_absent_key_reports_only_what_is_durable() {
    survives(&Scenario::new(&two_keys(), vec![delete(7)]));
}

#[test]
fn a_key_that_was_deleted_begins_a_new_life() {
    let mut scenario = Scenario::new(&two_keys(), vec![put(&[(1, 50)], "writer")]);
    scenario.groups.extend([vec![delete(1)], vec![put(&[(1, 3)], "writer")]]);
    let jury = Jury::default();
    scenario.alone(1, &jury);
    for seed in seeds(3) {
        scenario.crowded(seed, &jury);
    }
    assert!(jury.judged_count() > 500 || std::env::var("SEED").is_ok());
}

#[test]
fn the_first_write_makes_lock_file_and_state_file_so_that_both_hold() {
    survives(&Scenario::new(&Entries::new(), vec![put(&[(1, 10)], "writer")]));
}

#[test]
fn a_reader_is_shown_only_what_is_durable() {
    let mut scenario = Scenario::new(&two_keys(), Vec::new());
    scenario.groups = vec![Vec::new(), Vec::new()];
    survives(&scenario);
}

#[test]
fn a_missing_file_is_filled_again_with_all_that_is_known() {
    let mut scenario = Scenario::new(&two_keys(), vec![put(&[(3, 1)], "writer")]);
    scenario.accident = Some(|disk: &mut Disk| disk.remove(STATE));
    survives(&scenario);
}

#[test]
fn a_superseded_put_fills_a_missing_file_as_well() {
    let mut scenario = Scenario::new(&two_keys(), vec![put(&[(1, 5)], "writer")]);
    scenario.accident = Some(|disk: &mut Disk| disk.remove(STATE));
    survives(&scenario);
}

/// JF-10: bytes that cannot be decoded stay, or move to quarantine.
#[test]
fn a_damaged_file_moves_to_quarantine_and_its_bytes_never_get_lost() {
    let mut scenario = Scenario::new(&Entries::new(), vec![put(&[(3, 1)], "writer")]);
    scenario.start.write_durable(STATE, DAMAGE, 0o600);
    scenario.options.recover = Recover::Quarantine;
    scenario.damage = Some(DAMAGE);
    survives(&scenario);
}

/// JF-10: what this process knows is written in the place of what cannot be decoded.
#[test]
fn a_file_that_is_damaged_while_it_is_open_is_written_again() {
    let mut scenario = Scenario::new(&two_keys(), vec![put(&[(3, 1)], "writer")]);
    scenario.accident = Some(|disk: &mut Disk| disk.write_durable(STATE, DAMAGE, 0o600));
    scenario.options.recover = Recover::Quarantine;
    scenario.damage = Some(DAMAGE);
    survives(&scenario);
}

/// T-3, JF-6: a temporary whose writer is gone is swept by the next write.
#[test]
fn a_write_sweeps_what_a_dead_writer_left() {
    let mut scenario = Scenario::new(&two_keys(), vec![put(&[(3, 1)], "writer")]);
    scenario.start.write_durable(STRAY, "half of a", 0o600);
    survives(&scenario);
}

/// JF-5: members that this version does not know survive a rewrite. The file keeps its mode.
#[test]
fn a_file_of_another_program_keeps_its_members_and_its_mode() {
    const FOREIGN: &str = "{\"version\":1,\"key_format_version\":1,\"x_note\":{\"by\" : [1.50]},\
        \"checkpoints\":{\"KEY\":{\"last_committed_sequence\":10,\"last_event_id\":\"start@10\",\
        \"x_lag\":  1e3}}}";
    let mut scenario = Scenario::new(&entries(&[(1, 10)]), vec![put(&[(1, 11)], "writer")]);
    scenario.start = Disk::new();
    scenario.start.write_durable(STATE, FOREIGN.replace("KEY", &key(1).hex()), 0o640);
    scenario.kept = &["{\"by\" : [1.50]}", "\"x_lag\": 1e3"];
    scenario.mode = 0o640;
    survives(&scenario);
}

/// JF-3: who reports a file that somebody else wrote syncs it and its directory first. The other
/// writer was killed between its rename and its sync.
fn beside_what_a_killed_writer_left(group: Vec<Op>) -> Scenario {
    let mut scenario = Scenario::new(&two_keys(), group);
    scenario.before = Some(|world, observer| {
        let process = world.process();
        let groups = vec![vec![put(&[(1, 15), (4, 1)], "killed"), delete(2)]];
        let options = JsonFileOptions::default();
        let actor = writer_in(&process, "killed", observer, options, groups, |engine| engine);
        let stop = Stop::KillInSite { process: process.pid(), site: Site::JsonSyncDir, nth: 0 };
        assert!(world.run(vec![actor], &Plan { stop: Some(stop), ..Plan::default() }).stopped);
        observer.gone(Some(process.pid()));
    });
    scenario
}

#[test]
fn a_put_that_a_killed_writer_superseded_reports_only_what_is_durable() {
    let mut scenario = beside_what_a_killed_writer_left(vec![put(&[(1, 12)], "writer")]);
    scenario.reads_first = false;
    survives(&scenario);
}

#[test]
fn a_delete_of_what_a_killed_writer_deleted_reports_only_what_is_durable() {
    let mut scenario = beside_what_a_killed_writer_left(vec![delete(2)]);
    scenario.reads_first = false;
    survives(&scenario);
}

#[test]
fn a_put_beside_what_a_killed_writer_left_keeps_it() {
    survives(&beside_what_a_killed_writer_left(vec![put(&[(3, 1)], "writer")]));
}

#[test]
fn a_reader_of_what_a_killed_writer_left_is_shown_only_what_is_durable() {
    let mut scenario = beside_what_a_killed_writer_left(Vec::new());
    scenario.groups = vec![Vec::new(), Vec::new()];
    scenario.reads_first = false;
    survives(&scenario);
}

/// JF-3, for what is not there: another program took the file away, and did not sync that.
#[test]
fn a_delete_of_an_absent_key_in_a_missing_file_reports_only_what_is_durable() {
    let mut scenario = Scenario::new(&two_keys(), vec![delete(1)]);
    scenario.before = Some(|world, observer| {
        let process = world.process();
        observer.asks(process.pid(), &delete(1));
        observer.asks(process.pid(), &delete(2));
        process.storage().remove(Site::Test, Path::new(STATE)).unwrap();
    });
    scenario.reads_first = false;
    let jury = Jury::default();
    scenario.kills_alone(&jury);
    assert!(jury.judged_count() > 20, "{} states only", jury.judged_count());
}

/// JF-3, where the other writer is a program that syncs nothing at all.
#[test]
fn what_another_program_wrote_and_did_not_sync_is_synced_before_it_is_reported() {
    let mut scenario = Scenario::new(&two_keys(), vec![put(&[(1, 12)], "writer")]);
    scenario.before = Some(|world, observer| {
        let process = world.process();
        observer.asks(process.pid(), &put(&[(1, 15)], "foreign"));
        let mut held = two_keys();
        held.insert(key(1), checkpoint(15, "foreign"));
        let bytes = disk_with(&held).read(STATE).unwrap();
        let (storage, temporary) = (process.storage(), Path::new("/data/foreign"));
        let file = storage.open(Site::Test, temporary, Open::new_file(0o600)).unwrap();
        file.write_all(Site::Test, &bytes, 0).unwrap();
        storage.rename(Site::Test, temporary, Path::new(STATE)).unwrap();
    });
    scenario.reads_first = false;
    let reported_count = Cell::new(0);
    let explore = Explore::new(&scenario.start, 64, 1);
    explore.power_cuts(
        |world| scenario.body(world, Company::Nobody),
        |state, observer| {
            // Until anything is reported, the other program's file may be whatever it left.
            if observer.has_reported() {
                observer.gone(None);
                scenario.recovers(&state.disk, observer, 1).unwrap();
                reported_count.set(reported_count.get() + 1);
            }
        },
    );
    assert!(reported_count.get() > 1, "{} states only", reported_count.get());
}

/// The observer itself: it must not be content with a disk that lost something.
#[test]
fn the_checker_sees_a_disk_that_went_back() {
    let scenario = Scenario::new(&two_keys(), vec![put(&[(1, 11)], "writer")]);
    let before = disk_with(&two_keys());
    let world = World::new(before.clone(), 1);
    let observer = Observer::new(&two_keys());
    let (process, groups) = (world.process(), scenario.groups.clone());
    let actor = writer_in(&process, "writer", &observer, scenario.options, groups, |it| it);
    assert_eq!(world.run(vec![actor], &Plan::default()).deadlock, None);
    let after = world.disk().after_power_cut(&Choice::Nothing);
    scenario.recovers(&after, &observer, 1).unwrap();
    let violation = scenario.recovers(&before, &observer, 1).unwrap_err();
    assert_eq!(violation.kind, Kind::Lost, "{violation}");
}
