//! GC-8: closing refuses what comes later, finishes what was accepted, waits for no lock.

use std::sync::mpsc::channel;
use std::time::Duration;

use super::toy::{Gated, HANG, Mailbox, Rig, Step, Verdict, failures, successes};
use crate::error::ErrorKind;

/// GC-8: refused after, finished before; `done` comes when the engine is gone.
#[test]
fn closing_finishes_what_was_accepted_and_refuses_the_rest() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([1, 2], &mailbox);
    let (tell, closed) = channel();
    rig.commit.detach(move || tell.send(()).unwrap());
    assert_eq!(rig.try_send(3, None, &mailbox).unwrap_err().kind(), ErrorKind::Closed);
    assert!(closed.try_recv().is_err(), "the engine still works");
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    closed.recv_timeout(HANG).expect("it is told at the end");
    let steps = rig.steps_to_the_end();
    assert_eq!(steps.last(), Some(&Step::Dropped), "before `done`, and without waiting: {steps:?}");
    drop(rig);
    assert_eq!(mailbox.into_rest(), [successes([0]), successes([1, 2])]);
}

/// One of two users closes: the path stays open for the other.
#[test]
fn the_last_user_closes_the_queue() {
    let (rig, mailbox) = (Rig::new(Gated::Nothing), Mailbox::new());
    assert_eq!(rig.commit.attach(), Some(2));
    let (tell, closed) = channel();
    rig.commit.detach(move || tell.send(()).unwrap());
    closed.recv_timeout(HANG).expect("at once: somebody else uses it");
    rig.send(1, &mailbox);
    assert_eq!(mailbox.next(), successes([1]));
}

/// GC-8: a lock that nobody grants holds up no close; the thread frees the lock and ends.
#[test]
fn closing_does_not_wait_for_a_thread_that_waits_for_a_lock() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    assert!(rig.commit.withdraw(1, &mailbox.sink));
    let (tell, closed) = channel();
    rig.commit.detach(move || tell.send(()).unwrap());
    closed.recv_timeout(HANG).expect("at once");
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(rig.steps_to_the_end(), [Step::Release, Step::Finish, Step::Dropped]);
}

/// GC-8: what was accepted before such a close is finished when the lock comes.
#[test]
fn what_was_accepted_before_a_close_is_committed_with_a_late_grant() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.commit.detach(|| ());
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(mailbox.next(), successes([1]));
    rig.step_until(&Step::Dropped);
}

/// GC-8: a deadline holds after the close as well.
#[test]
fn a_ticket_of_a_closed_store_still_times_out() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.try_send(1, Some(Duration::from_millis(20)), &mailbox).unwrap();
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.commit.detach(|| ());
    assert_eq!(mailbox.next(), failures([1], ErrorKind::LockTimeout));
}

/// GC-8: opened again before the thread got the lock: the same thread serves it.
#[test]
fn a_store_that_is_opened_again_is_served_by_the_thread_that_waits() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.commit.detach(|| ());
    assert_eq!(rig.commit.attach(), Some(1));
    rig.send(2, &mailbox);
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(rig.step(), Step::Commit(vec![1, 2]), "one thread, one group");
    assert_eq!(mailbox.next(), successes([1, 2]));
}

/// A thread that has ended serves nobody: another one must be started.
#[test]
fn nobody_attaches_to_a_thread_that_has_ended() {
    let rig = Rig::new(Gated::Nothing);
    let (tell, closed) = channel();
    rig.commit.detach(move || tell.send(()).unwrap());
    closed.recv_timeout(HANG).expect("it is told at the end");
    assert!(rig.commit.attach().is_none());
}

/// `drain` is for exit handlers: it waits for what was accepted, within a bound.
#[test]
fn draining_waits_for_what_was_accepted_within_a_bound() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    assert!(rig.commit.drain(Duration::ZERO), "nothing is in flight");
    rig.queue_behind_a_commit([1], &mailbox);
    assert!(!rig.commit.drain(Duration::from_millis(10)), "the commit has not ended");
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    assert!(rig.commit.drain(HANG));
    assert_eq!(mailbox.next(), successes([0]), "drained means delivered");
    assert_eq!(mailbox.next(), successes([1]));
}
