//! GC-6: one thread waits for the lock, tickets time out on time, a late grant does nothing.

use std::time::Duration;

use super::super::Enqueued;
use super::toy::{Gated, HANG, Mailbox, Rig, Step, eventually, failures, successes};
use crate::error::ErrorKind;

const SOON: Option<Duration> = Some(Duration::from_millis(20));

/// GC-6: the ticket is rejected while the thread still waits; the late grant commits nothing.
#[test]
fn a_ticket_times_out_while_its_thread_waits_and_the_late_grant_is_released_at_once() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    assert_eq!(rig.try_send(1, SOON, &mailbox).unwrap(), Enqueued::Accepted);
    assert_eq!(rig.step(), Step::Acquire('a'));
    assert_eq!(mailbox.next(), failures([1], ErrorKind::LockTimeout));
    assert!(rig.commit.drain(HANG), "nothing is left, though the thread waits");
    eventually(|| rig.commit.metrics().lock_timeouts.get() == 1);
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(rig.step(), Step::Release, "no commit in between");
    rig.send(2, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(mailbox.next(), successes([2]));
}

/// GC-6: only those whose time has come; the others are committed with the grant.
#[test]
fn a_ticket_with_a_later_deadline_goes_on_waiting() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.try_send(2, Some(HANG), &mailbox).unwrap();
    rig.try_send(3, SOON, &mailbox).unwrap();
    assert_eq!(mailbox.next(), failures([3], ErrorKind::LockTimeout));
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(mailbox.next(), successes([1, 2]));
}

/// The watchdog is woken by a deadline that is earlier than the one it sleeps for.
#[test]
fn a_ticket_that_comes_later_with_an_earlier_deadline_times_out_first() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.try_send(1, Some(HANG), &mailbox).unwrap();
    assert_eq!(rig.step(), Step::Acquire('a'));
    for number in 2..5 {
        rig.try_send(number, SOON, &mailbox).unwrap();
        assert_eq!(mailbox.next(), failures([number], ErrorKind::LockTimeout));
    }
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(mailbox.next(), successes([1]));
}

/// The watchdog that was started by the first wait serves the second.
#[test]
fn tickets_time_out_in_every_wait_not_only_in_the_first() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    for number in 1..4 {
        rig.try_send(number, SOON, &mailbox).unwrap();
        assert_eq!(rig.step(), Step::Acquire('a'));
        assert_eq!(mailbox.next(), failures([number], ErrorKind::LockTimeout));
        rig.acquire.send(Ok(())).unwrap();
        assert_eq!(rig.step(), Step::Release);
    }
    assert_eq!(rig.commit.metrics().lock_wait_us.summary().count, 3);
}

/// GC-1, GC-6: what was withdrawn during the wait is not committed with the grant.
#[test]
fn a_ticket_withdrawn_during_the_wait_is_not_committed() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.send(2, &mailbox);
    assert!(rig.commit.withdraw(1, &mailbox.sink));
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(rig.step(), Step::Commit(vec![2]));
    assert_eq!(mailbox.next(), successes([2]));
}
