//! GC-4: bytes in flight stay within the bound, and who was refused is told.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::{Enqueued, Limits};
use super::toy::{
    Gated, HANG, Heard, Mailbox, OP_BYTES, Rig, Step, Toy, Verdict, failures, successes,
};
use crate::error::{Error, ErrorKind};

/// Room for this many operations of the toy.
fn room_for(ops: usize) -> Limits {
    Limits { in_flight_bytes_max: ops * OP_BYTES, ..Limits::default() }
}

fn full(rig: &Rig, number: u32, mailbox: &Mailbox) -> bool {
    rig.try_send(number, None, mailbox).unwrap() == Enqueued::Full
}

/// GC-4: what is queued counts, and what is in a commit counts as well.
#[test]
fn what_exceeds_the_bound_is_refused_and_told_when_there_is_room() {
    let rig = Rig::with(Gated::Commit, room_for(3), Duration::ZERO);
    let (mailbox, refused) = (Mailbox::new(), Mailbox::new());
    rig.queue_behind_a_commit([1, 2], &mailbox);
    assert_eq!(rig.commit.depth(), (3, 3 * OP_BYTES));
    assert!(full(&rig, 3, &refused));
    assert!(full(&rig, 3, &refused));
    assert!(refused.is_silent());
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(refused.next(), Heard::Credit, "once, however often it was refused");
    rig.step_until(&Step::Commit(vec![1, 2]));
    rig.send(3, &refused);
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(refused.next(), successes([3]), "and nothing was kept of the refused attempts");
    assert_eq!(mailbox.next(), successes([0]));
    assert_eq!(mailbox.next(), successes([1, 2]), "who was not refused gets no credit call");
}

/// GC-4: one operation may exceed the bound only when nothing else is in flight.
#[test]
fn one_operation_may_exceed_the_bound_alone() {
    let limits = Limits { in_flight_bytes_max: OP_BYTES - 1, ..Limits::default() };
    let rig = Rig::with(Gated::Commit, limits, Duration::ZERO);
    let mailbox = Mailbox::new();
    rig.queue_behind_a_commit([0; 0], &mailbox);
    assert!(full(&rig, 1, &mailbox), "something is in flight");
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([0]));
    assert_eq!(mailbox.next(), Heard::Credit);
    rig.send(1, &mailbox);
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([1]));
}

/// GC-4: a withdrawn operation makes room.
#[test]
fn a_withdrawal_makes_room() {
    let rig = Rig::with(Gated::Commit, room_for(2), Duration::ZERO);
    let mailbox = Mailbox::new();
    rig.queue_behind_a_commit([1], &mailbox);
    assert!(full(&rig, 2, &mailbox));
    assert!(rig.commit.withdraw(1, &mailbox.sink));
    assert_eq!(mailbox.next(), Heard::Credit);
    rig.send(2, &mailbox);
    rig.verdict.send(Verdict::Settle).unwrap();
}

/// GC-4: a rejected operation makes room.
#[test]
fn a_rejected_operation_makes_room() {
    let rig = Rig::with(Gated::Acquire, room_for(1), Duration::ZERO);
    let (rejected, mailbox) = (Mailbox::new(), Mailbox::new());
    rig.send(1, &rejected);
    assert_eq!(rig.step(), Step::Acquire('a'));
    assert!(full(&rig, 2, &mailbox));
    rig.acquire.send(Err(Error::new(ErrorKind::Io, "no lock today"))).unwrap();
    assert_eq!(mailbox.next(), Heard::Credit);
    assert_eq!(rejected.next(), failures([1], ErrorKind::Io));
    rig.send(2, &mailbox);
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(mailbox.next(), successes([2]));
}

/// `call` waits for room by itself.
#[test]
fn a_blocking_call_waits_for_room() {
    let rig = Rig::with(Gated::Commit, room_for(1), Duration::ZERO);
    let mailbox = Mailbox::new();
    rig.queue_behind_a_commit([0; 0], &mailbox);
    let commit = Arc::clone(&rig.commit);
    let caller = thread::spawn(move || commit.call(&Toy::from(1), OP_BYTES, None));
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(caller.join().unwrap().unwrap(), 1);
    assert!(rig.commit.drain(HANG));
}

/// GC-4 with GC-7: who waits for room is told when the commit panics, and then refused.
#[test]
fn who_waits_for_room_is_told_when_the_engine_panics() {
    let rig = Rig::with(Gated::Commit, room_for(1), Duration::ZERO);
    let mailbox = Mailbox::new();
    rig.queue_behind_a_commit([0; 0], &mailbox);
    let refused = Mailbox::new();
    assert!(full(&rig, 1, &refused));
    rig.verdict.send(Verdict::PanicAfter(0)).unwrap();
    assert_eq!(refused.next(), Heard::Credit);
    let error = rig.try_send(1, None, &refused).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
}
