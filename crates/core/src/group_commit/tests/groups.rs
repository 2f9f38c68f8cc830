//! GC-2, and what makes a group: order, claims, limits.

use std::time::Duration;

use super::super::Limits;
use super::toy::{Gated, HANG, Mailbox, OP_BYTES, Rig, Step, Toy, Verdict, failures, successes};
use crate::error::{Error, ErrorKind};

/// Lets everything commit and returns the groups in their order.
fn groups(rig: &Rig) -> Vec<Vec<u32>> {
    // One verdict per group that may come; what is left over is dropped with the rig.
    for _ in 0..200 {
        rig.verdict.send(Verdict::Settle).unwrap();
    }
    rig.commit.detach(|| ());
    let groups = rig.steps_to_the_end().into_iter().filter_map(|step| match step {
        Step::Commit(group) => Some(group),
        _ => None,
    });
    groups.collect()
}

/// "While one commit is in flight the next group collects": no timer, no limit on operations.
#[test]
fn what_queues_up_during_a_commit_is_one_group() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit(1..=100, &mailbox);
    assert_eq!(groups(&rig), [(1..=100).collect::<Vec<_>>()]);
    assert_eq!(rig.commit.metrics().groups.get(), 2);
    assert_eq!(rig.commit.metrics().operations.get(), 101);
}

/// "The lock is taken first, the group is taken from the queue after".
#[test]
fn what_queues_up_during_the_wait_for_a_lock_is_one_group() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    (2..=5).for_each(|number| rig.send(number, &mailbox));
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(rig.step(), Step::Commit(vec![1, 2, 3, 4, 5]));
}

/// ADR 0002: what is handed over in one go and woken once is one group; draining, closing and
/// blocking calls wake by themselves.
#[test]
fn requests_that_did_not_wake_are_one_group_once_somebody_does() {
    let ways: [fn(&Rig, &Mailbox); 5] = [
        |rig, _| rig.commit.wake(),
        |rig, _| assert!(rig.commit.drain(HANG)),
        |rig, _| rig.commit.detach(|| ()),
        |rig, _| assert_eq!(rig.commit.call(&Toy::from(4), OP_BYTES, None).unwrap(), 4),
        |rig, mailbox| rig.send(4, mailbox),
    ];
    for (index, wake) in ways.into_iter().enumerate() {
        let (rig, mailbox) = (Rig::new(Gated::Nothing), Mailbox::new());
        (1..=3).for_each(|number| rig.send_quietly(number, &mailbox));
        wake(&rig, &mailbox);
        let all = if index < 3 { vec![1, 2, 3] } else { vec![1, 2, 3, 4] };
        rig.step_until(&Step::Commit(all));
    }
}

/// ADR 0002: what a caller is still handing over is left alone by a commit thread that happens to
/// be awake; taken in two, it would cost two commits.
#[test]
fn requests_that_did_not_wake_are_left_alone_by_a_commit_that_ends_beside_them() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.send(0, &mailbox);
    rig.step_until(&Step::Commit(vec![0]));
    (1..=3).for_each(|number| rig.send_quietly(number, &mailbox));
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([0]));
    rig.send_quietly(4, &mailbox);
    rig.commit.wake();
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.commit.detach(|| ());
    let steps = rig.steps_to_the_end();
    let commits: Vec<_> =
        steps.into_iter().filter(|step| matches!(step, Step::Commit(_))).collect();
    assert_eq!(commits, [Step::Commit(vec![1, 2, 3, 4])]);
}

/// GC-2: whatever the limits cut, the order stays.
#[test]
fn operations_are_applied_in_the_order_of_acceptance() {
    let limits = Limits { group_ops_max: 7, ..Limits::default() };
    let rig = Rig::with(Gated::Commit, limits, Duration::ZERO);
    let mailbox = Mailbox::new();
    rig.queue_behind_a_commit(1..=100, &mailbox);
    let groups = groups(&rig);
    assert!(groups.iter().all(|group| group.len() <= 7), "{groups:?}");
    assert_eq!(groups.len(), 15, "no group is smaller than it must be");
    assert_eq!(groups.concat(), (1..=100).collect::<Vec<_>>());
}

/// `group_bytes_max` bounds how long a group holds the lock.
#[test]
fn a_group_holds_no_more_bytes_than_its_limit() {
    let limits = Limits { group_bytes_max: 3 * OP_BYTES + 1, ..Limits::default() };
    let rig = Rig::with(Gated::Commit, limits, Duration::ZERO);
    let mailbox = Mailbox::new();
    rig.queue_behind_a_commit(1..=8, &mailbox);
    assert_eq!(groups(&rig), [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]]);
}

/// One operation that exceeds the limit of a group is still committed, alone.
#[test]
fn an_operation_larger_than_a_group_is_a_group_of_its_own() {
    let limits = Limits { group_bytes_max: OP_BYTES - 1, ..Limits::default() };
    let rig = Rig::with(Gated::Commit, limits, Duration::ZERO);
    let mailbox = Mailbox::new();
    rig.queue_behind_a_commit(1..=3, &mailbox);
    assert_eq!(groups(&rig), [[1], [2], [3]]);
}

/// A group holds only equal claims, and a later equal claim does not overtake (GC-2).
#[test]
fn a_group_ends_where_the_claim_changes() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    let claims = "aabba".chars().zip(1..);
    rig.queue_behind_a_commit(
        claims.map(|(claim, number)| Toy { claim, ..Toy::from(number) }),
        &mailbox,
    );
    for _ in 0..4 {
        rig.verdict.send(Verdict::Settle).unwrap();
    }
    rig.commit.detach(|| ());
    let expected = [
        Step::Release,
        Step::Acquire('a'),
        Step::Commit(vec![1, 2]),
        Step::Release,
        Step::Acquire('b'),
        Step::Commit(vec![3, 4]),
        Step::Release,
        Step::Acquire('a'),
        Step::Commit(vec![5]),
        Step::Release,
        Step::Finish,
        Step::Dropped,
    ];
    assert_eq!(rig.steps_to_the_end(), expected);
}

/// GC-10, GC-2, GC-4: what a commit gives back is queued again, before all that came later, and is
/// settled once; no credit is lost.
#[test]
fn what_a_commit_gives_back_is_first_in_the_queue_again() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit(1..=4, &mailbox);
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.step_until(&Step::Commit(vec![1, 2, 3, 4]));
    (5..=6).for_each(|number| rig.send(number, &mailbox));
    rig.verdict.send(Verdict::GiveBackAfter(1)).unwrap();
    rig.step_until(&Step::Commit(vec![2, 3, 4, 5, 6]));
    assert_eq!(rig.commit.depth(), (5, 5 * OP_BYTES), "GC-4: what was given back is in flight");
    rig.verdict.send(Verdict::GiveBackAfter(0)).unwrap();
    rig.step_until(&Step::Commit(vec![2, 3, 4, 5, 6]));
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.commit.detach(|| ());
    rig.steps_to_the_end();
    assert_eq!(rig.commit.depth(), (0, 0), "credits are neither lost nor given twice");
    assert_eq!(rig.commit.metrics().operations.get(), 7);
    let heard = [mailbox.next(), mailbox.next(), mailbox.next()];
    assert_eq!(heard, [successes([0]), successes([1]), successes(2..=6)]);
    assert!(mailbox.is_silent());
}

/// What cannot be acquired is rejected; what needs another claim is not concerned.
#[test]
fn a_failed_acquire_rejects_what_is_queued_with_that_claim() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.send(Toy { claim: 'b', ..Toy::from(2) }, &mailbox);
    rig.send(3, &mailbox);
    rig.acquire.send(Err(Error::new(ErrorKind::Io, "no lock today"))).unwrap();
    assert_eq!(mailbox.next(), failures([1, 3], ErrorKind::Io));
    assert_eq!(rig.step(), Step::Acquire('b'), "nothing was released: nothing was acquired");
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(mailbox.next(), successes([2]));
}
