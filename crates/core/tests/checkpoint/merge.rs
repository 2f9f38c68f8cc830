//! What the original's own tests of merging ask for (in quotes), in the form that JF-4 gives it:
//! the disk is judged on, memory is a cache. And M-1 to M-3.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tidemark_core::checkpoint::merge::{Overlay, judge};
use tidemark_core::checkpoint::{
    Checkpoint, Condition, DeleteOutcome, Op, Outcome, PutOutcome, ResumeKey,
};
use tidemark_storage::Site;

use super::support::{applied, at, bare, key, real, superseded};

type Base = BTreeMap<ResumeKey, Checkpoint>;

fn base<const N: usize>(entries: [(u64, Checkpoint); N]) -> Base {
    entries.into_iter().map(|(number, checkpoint)| (key(number), checkpoint)).collect()
}

/// Judges one operation, and says what it came to and which entries change.
fn judged(base: &Base, op: &Op) -> (Outcome, Overlay) {
    let mut overlay = Overlay::new();
    let outcome = judge(op, |key| base.get(key), &mut overlay);
    (outcome, overlay)
}

fn put(base: &Base, number: u64, checkpoint: Checkpoint) -> (PutOutcome, Overlay) {
    match judged(base, &Op::Put(vec![(key(number), checkpoint)])) {
        (Outcome::Put(outcomes), overlay) => (outcomes[0].clone(), overlay),
        other => panic!("a put came to {other:?}"),
    }
}

fn delete(base: &Base, number: u64, when: Condition) -> (DeleteOutcome, Overlay) {
    match judged(base, &Op::Delete(vec![(key(number), when)])) {
        (Outcome::Delete(outcomes), overlay) => (outcomes[0], overlay),
        other => panic!("a delete came to {other:?}"),
    }
}

fn change<const N: usize>(changes: [(u64, Option<Checkpoint>); N]) -> Overlay {
    changes.into_iter().map(|(number, change)| (key(number), change)).collect()
}

/// Absent, so it applies. "Empty disk keeps candidate".
#[test]
fn a_put_of_an_absent_key_applies() {
    let expected = (applied(at(0)), change([(1, Some(at(0)))]));
    assert_eq!(put(&base([]), 1, at(0)), expected);
}

/// "Candidate wins when greater" (15 vs 10).
#[test]
fn a_put_of_a_larger_sequence_applies() {
    let expected = (applied(at(15)), change([(1, Some(at(15)))]));
    assert_eq!(put(&base([(1, at(10))]), 1, at(15)), expected);
}

/// "Disk wins on equal" (5 vs 5), with its event id.
#[test]
fn a_put_of_an_equal_sequence_does_not_apply() {
    for (disk, candidate) in [
        (at(5), at(5)),
        (at(5), bare(5)),
        (bare(5), at(5)),
        (Checkpoint::new(5, Some("x")), Checkpoint::new(5, Some("y"))),
    ] {
        let expected = (superseded(disk.clone()), Overlay::new());
        assert_eq!(put(&base([(1, disk)]), 1, candidate), expected);
    }
}

/// "Disk wins when greater" (0 vs 9).
#[test]
fn a_put_of_a_lower_sequence_does_not_apply() {
    let expected = (superseded(at(9)), Overlay::new());
    assert_eq!(put(&base([(1, at(9))]), 1, at(0)), expected);
    let expected = (superseded(at(u64::MAX)), Overlay::new());
    assert_eq!(put(&base([(1, at(u64::MAX))]), 1, at(u64::MAX)), expected);
}

/// Here the original differs: a delete acts on what the disk holds, seen before or not.
#[test]
fn a_delete_deletes_what_is_there() {
    let expected = (DeleteOutcome::Deleted, change([(1, None)]));
    assert_eq!(delete(&base([(1, at(9))]), 1, Condition::Always), expected);
}

/// Absent is absent. "Delete honoured when disk lacks key".
#[test]
fn a_delete_of_an_absent_key_changes_nothing() {
    for when in [Condition::Always, Condition::UpTo(9), Condition::Unchanged(at(9))] {
        let expected = (DeleteOutcome::Absent, Overlay::new());
        assert_eq!(delete(&base([(2, at(9))]), 1, when), expected);
    }
}

/// "Delete suppressed when disk advanced" (10 vs 5), here only for who asks for it.
#[test]
fn a_delete_up_to_a_sequence_is_superseded_by_a_later_one() {
    let expected = (DeleteOutcome::Superseded, Overlay::new());
    assert_eq!(delete(&base([(1, at(10))]), 1, Condition::UpTo(5)), expected);
    assert_eq!(delete(&base([(1, at(10))]), 1, Condition::UpTo(9)), expected);
}

/// "Delete honoured when disk == seen", and when it is older.
#[test]
fn a_delete_up_to_a_sequence_deletes_that_and_what_is_older() {
    for seen in [10, 11, u64::MAX] {
        let expected = (DeleteOutcome::Deleted, change([(1, None)]));
        assert_eq!(delete(&base([(1, at(10))]), 1, Condition::UpTo(seen)), expected);
    }
}

/// For `prune`: only if nobody has touched it, the event id included.
#[test]
fn a_delete_of_what_was_seen_deletes_that_alone() {
    let unchanged = |seen| delete(&base([(1, at(10))]), 1, Condition::Unchanged(seen)).0;
    assert_eq!(unchanged(at(10)), DeleteOutcome::Deleted);
    for other in [at(9), at(11), bare(10), Checkpoint::new(10, Some("x"))] {
        assert_eq!(unchanged(other), DeleteOutcome::Superseded);
    }
}

/// "Preserves disk keys unknown to candidate". Here the original differs: what only memory knows
/// is not judged on, so that it cannot come back.
#[test]
fn nothing_but_the_keys_of_the_operation_changes() {
    let disk = base([(1, at(1)), (2, at(2)), (3, at(3))]);
    assert_eq!(put(&disk, 2, at(5)).1, change([(2, Some(at(5)))]));
    assert_eq!(delete(&disk, 3, Condition::Always).1, change([(3, None)]));
}

/// The list's last row: "mixed: seen K=2,L=3, put L=20 + delete K, disk K=10,L=5 -> K=10,L=20".
#[test]
fn a_mixed_group_is_judged_operation_by_operation() {
    let disk = base([(1, at(10)), (2, at(5))]);
    let mut overlay = Overlay::new();
    let base = |key: &ResumeKey| disk.get(key);
    let outcome = judge(&Op::Put(vec![(key(2), at(20))]), base, &mut overlay);
    assert_eq!(outcome, Outcome::Put(vec![applied(at(20))]));
    let outcome = judge(&Op::Delete(vec![(key(1), Condition::UpTo(2))]), base, &mut overlay);
    assert_eq!(outcome, Outcome::Delete(vec![DeleteOutcome::Superseded]));
    assert_eq!(overlay, change([(2, Some(at(20)))]));
}

/// M-2: after a delete any sequence may be put, within one group as well. M-3: each outcome tells
/// what is there after it.
#[test]
fn operations_of_a_group_see_those_before_them() {
    let disk = base([(1, at(50))]);
    let mut overlay = Overlay::new();
    let mut one = |op: Op| judge(&op, |key| disk.get(key), &mut overlay);
    let put = |sequence| Op::Put(vec![(key(1), at(sequence))]);
    let delete = |when| Op::Delete(vec![(key(1), when)]);
    assert_eq!(one(put(1)), Outcome::Put(vec![superseded(at(50))]));
    assert_eq!(one(delete(Condition::Always)), Outcome::Delete(vec![DeleteOutcome::Deleted]));
    assert_eq!(one(delete(Condition::Always)), Outcome::Delete(vec![DeleteOutcome::Absent]));
    assert_eq!(one(put(1)), Outcome::Put(vec![applied(at(1))]));
    assert_eq!(one(put(1)), Outcome::Put(vec![superseded(at(1))]));
    assert_eq!(one(put(2)), Outcome::Put(vec![applied(at(2))]));
    assert_eq!(one(delete(Condition::UpTo(1))), Outcome::Delete(vec![DeleteOutcome::Superseded]));
    assert_eq!(overlay, change([(1, Some(at(2)))]));
}

/// "Empty/empty -> empty": an operation of nothing comes to nothing.
#[test]
fn an_empty_operation_changes_nothing() {
    let nothing = base([]);
    assert_eq!(judged(&nothing, &Op::Put(vec![])), (Outcome::Put(vec![]), Overlay::new()));
    assert_eq!(judged(&nothing, &Op::Delete(vec![])), (Outcome::Delete(vec![]), Overlay::new()));
}

/// The last name given with a key wins, though the name does not count in equality.
#[test]
fn the_last_name_given_with_a_key_wins() {
    let named = key(1);
    let bare_key = ResumeKey::from_hex(&named.hex()).unwrap();
    let mut overlay = Overlay::new();
    let name = |overlay: &Overlay| overlay.first_key_value().unwrap().0.name().map(str::to_owned);
    judge(&Op::Put(vec![(bare_key.clone(), at(1))]), |_| None, &mut overlay);
    assert_eq!(name(&overlay), None);
    judge(&Op::Put(vec![(named.clone(), at(2))]), |_| None, &mut overlay);
    assert_eq!(name(&overlay), named.name().map(str::to_owned));
    judge(&Op::Put(vec![(bare_key, at(3))]), |_| None, &mut overlay);
    assert_eq!(name(&overlay), named.name().map(str::to_owned));
    assert_eq!(overlay.len(), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64, u64),
    Always(u64),
    UpTo(u64, u64),
    Unchanged(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (number, sequence) = (0..4_u64, prop_oneof![0..8_u64, Just(u64::MAX)]);
    prop_oneof![
        3 => (number.clone(), sequence.clone()).prop_map(|(key, to)| Step::Put(key, to)),
        1 => number.clone().prop_map(Step::Always),
        1 => (number.clone(), sequence.clone()).prop_map(|(key, seen)| Step::UpTo(key, seen)),
        1 => (number, sequence).prop_map(|(key, seen)| Step::Unchanged(key, seen)),
    ]
}

/// The model: one map of numbers, changed at once.
fn model(map: &mut BTreeMap<u64, u64>, step: &Step) -> Outcome {
    let (number, holds): (u64, &dyn Fn(u64) -> bool) = match step {
        Step::Put(number, to) => {
            let known = map.get(number).copied().filter(|known| known >= to);
            map.insert(*number, known.unwrap_or(*to));
            return Outcome::Put(vec![known.map_or(applied(at(*to)), |now| superseded(at(now)))]);
        }
        Step::Always(number) => (*number, &|_| true),
        Step::UpTo(number, seen) => (*number, &|known| known <= *seen),
        Step::Unchanged(number, seen) => (*number, &|known| known == *seen),
    };
    let outcome = match map.get(&number) {
        None => DeleteOutcome::Absent,
        Some(known) if holds(*known) => {
            map.remove(&number);
            DeleteOutcome::Deleted
        }
        Some(_) => DeleteOutcome::Superseded,
    };
    Outcome::Delete(vec![outcome])
}

fn op(step: &Step) -> Op {
    match *step {
        Step::Put(number, to) => Op::Put(vec![(key(number), at(to))]),
        Step::Always(number) => Op::Delete(vec![(key(number), Condition::Always)]),
        Step::UpTo(number, seen) => Op::Delete(vec![(key(number), Condition::UpTo(seen))]),
        Step::Unchanged(number, seen) => {
            Op::Delete(vec![(key(number), Condition::Unchanged(at(seen)))])
        }
    }
}

/// A group judged through an overlay comes to the same as operations on a plain map.
#[test]
fn judging_a_group_matches_a_plain_map() {
    let mut random = [0; 8];
    real().random(Site::Test, &mut random).unwrap();
    let seed = std::env::var("SEED")
        .map_or(u64::from_le_bytes(random), |seed| seed.parse().expect("SEED is a number"));
    println!("SEED={seed}");
    let config = Config {
        cases: 512,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    };
    let start = proptest::collection::btree_map(0..4_u64, 0..8_u64, 0..4);
    let steps = proptest::collection::vec(step(), 0..24);
    proptest!(config, |(start in start, steps in steps)| {
        let disk: Base = start.iter().map(|(number, to)| (key(*number), at(*to))).collect();
        let mut map = start;
        let mut overlay = Overlay::new();
        for step in &steps {
            let outcome = judge(&op(step), |key| disk.get(key), &mut overlay);
            prop_assert_eq!(outcome, model(&mut map, step));
        }
        let mut result = disk.clone();
        for (key, change) in overlay {
            match change {
                Some(checkpoint) => drop(result.insert(key, checkpoint)),
                None => drop(result.remove(&key)),
            }
        }
        let expected: Base = map.iter().map(|(number, to)| (key(*number), at(*to))).collect();
        prop_assert_eq!(result, expected);
    });
}
