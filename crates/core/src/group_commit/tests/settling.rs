//! GC-1, GC-3, GC-5, GC-7 and GC-9: who is told what, when, and how often.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::super::{
    Enqueued, GroupCommit, Limits, Outbox, Receipt, Request, Settled, Sink, Ticket,
};
use super::toy::{
    Gated, HANG, Heard, Mailbox, OP_BYTES, Rig, Step, Toy, Verdict, failures, successes,
};
use crate::error::ErrorKind;

/// GC-1: eight callers, groups as they come, each ticket settled exactly once.
#[test]
fn every_accepted_operation_settles_exactly_once() {
    let rig = Rig::new(Gated::Nothing);
    let mailboxes: Vec<Mailbox> = thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mailbox = Mailbox::new();
                    (0..200).for_each(|number| rig.send(number, &mailbox));
                    mailbox
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    rig.commit.detach(|| ());
    drop(rig);
    for mailbox in mailboxes {
        let mut settled = BTreeMap::new();
        for heard in mailbox.into_rest() {
            let Heard::Results(results) = heard else { panic!("no credit was due: {heard:?}") };
            for (ticket, result) in results {
                assert_eq!(result.map(u64::from), Ok(ticket));
                *settled.entry(ticket).or_insert(0) += 1;
            }
        }
        assert_eq!(settled, (0..200).map(|ticket| (ticket, 1)).collect());
    }
}

/// Looks, when it hears of a result, at how many were counted.
struct Counted(Mutex<Sender<u64>>, Weak<GroupCommit<Toy, u32>>);

impl Sink<u32> for Counted {
    fn deliver(&self, _settled: Vec<Settled<u32>>) {
        let counted = self.1.upgrade().map(|commit| commit.metrics().operations.get());
        self.0.lock().unwrap().send(counted.unwrap_or_default()).unwrap();
    }
}

/// GC-9: nobody who has a result and looks at the figures finds less than he knows.
#[test]
fn who_gets_a_result_finds_it_counted() {
    let rig = Rig::new(Gated::Nothing);
    let (tell, counted) = channel();
    let sink: Arc<dyn Sink<u32>> = Arc::new(Counted(Mutex::new(tell), Arc::downgrade(&rig.commit)));
    for number in 1..=2 {
        let (op, ticket) = (Toy::from(number), Ticket::from(number));
        let (size_bytes, sink) = (OP_BYTES, &sink);
        let request = Request { op, size_bytes, deadline: None, ticket, sink, wake: true };
        assert_eq!(rig.commit.enqueue(request).unwrap(), Enqueued::Accepted);
        assert_eq!(counted.recv_timeout(HANG), Ok(u64::from(number)));
    }
}

/// GC-1: a withdrawn operation is never settled and was never applied.
#[test]
fn a_withdrawn_operation_is_neither_settled_nor_applied() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([1, 2, 3], &mailbox);
    assert!(rig.commit.withdraw(2, &mailbox.sink));
    assert!(!rig.commit.withdraw(2, &mailbox.sink), "it can be taken back once");
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.step_until(&Step::Commit(vec![1, 3]));
    rig.commit.detach(|| ());
    assert_eq!(rig.commit.metrics().withdrawn.get(), 1);
    drop(rig);
    assert_eq!(mailbox.into_rest(), [successes([0]), successes([1, 3])]);
}

/// GC-3: tickets are the caller's own; another sink's ticket of that number is not taken back.
#[test]
fn a_ticket_is_withdrawn_only_by_the_sink_that_enqueued_it() {
    let (rig, one, other) = (Rig::new(Gated::Commit), Mailbox::new(), Mailbox::new());
    rig.queue_behind_a_commit([7], &one);
    assert!(!rig.commit.withdraw(7, &other.sink));
    assert!(rig.commit.withdraw(7, &one.sink));
    rig.verdict.send(Verdict::Settle).unwrap();
}

/// GC-3: what is in a commit cannot be taken back and settles with what became of it.
#[test]
fn what_is_in_a_commit_cannot_be_withdrawn() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([0; 0], &mailbox);
    assert!(!rig.commit.withdraw(0, &mailbox.sink));
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([0]));
    assert!(!rig.commit.withdraw(0, &mailbox.sink), "it is settled already");
}

/// GC-3: a deadline bounds the wait for a lock, not a commit, and not the wait for one.
#[test]
fn a_deadline_that_passes_during_a_commit_changes_nothing() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.try_send(0, Some(Duration::ZERO), &mailbox).unwrap();
    rig.step_until(&Step::Commit(vec![0]));
    rig.try_send(1, Some(Duration::ZERO), &mailbox).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([0]));
    assert_eq!(mailbox.next(), successes([1]));
}

/// GC-5: nothing is settled while the engine has not said so.
#[test]
fn nothing_is_settled_before_the_engine_says_so() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([1], &mailbox);
    assert!(mailbox.is_silent());
    assert_eq!(rig.commit.depth().0, 2);
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([0]));
    rig.step_until(&Step::Commit(vec![1]));
    assert!(mailbox.is_silent());
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([1]));
}

/// "What an engine may do with time": part of a group settles early, the rest at `on_due`.
#[test]
fn a_group_may_settle_early_in_part_and_the_rest_on_a_timer() {
    let rig = Rig::with(Gated::Nothing, Limits::default(), Duration::from_millis(20));
    let mailbox = Mailbox::new();
    rig.send(Toy { late: true, ..Toy::from(1) }, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    assert_eq!(rig.step(), Step::Commit(vec![1]));
    assert_eq!(rig.step(), Step::Release);
    assert_eq!(rig.step(), Step::Due, "nothing was enqueued, and it was called");
    assert_eq!(mailbox.next(), successes([1]));
    assert!(rig.commit.drain(super::toy::HANG), "the timer's results are accounted for");
    assert_eq!(rig.commit.depth(), (0, 0));
}

/// As above: work that arrives before the timer is committed, and the timer still rings.
#[test]
fn work_is_committed_while_a_timer_runs() {
    let rig = Rig::with(Gated::Nothing, Limits::default(), Duration::from_secs(3600));
    let mailbox = Mailbox::new();
    rig.send(Toy { late: true, ..Toy::from(1) }, &mailbox);
    rig.send(2, &mailbox);
    assert_eq!(mailbox.next(), successes([2]), "early, although 1 was accepted before");
    rig.commit.detach(|| ());
    assert_eq!(mailbox.next(), successes([1]), "close settles what was kept");
    assert_eq!(rig.steps_to_the_end().iter().filter(|step| **step == Step::Finish).count(), 1);
}

/// GC-7: once poisoned, what is queued and what comes later is rejected; nothing is committed.
#[test]
fn after_poison_nothing_is_committed() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([1, 2], &mailbox);
    rig.verdict.send(Verdict::Poison).unwrap();
    assert_eq!(mailbox.next(), failures([0], ErrorKind::Io));
    assert_eq!(mailbox.next(), failures([1, 2], ErrorKind::Poisoned));
    let refused = rig.try_send(3, None, &mailbox).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned);
    let cause = std::error::Error::source(&refused).expect("it names its cause");
    assert_eq!(cause.to_string(), "a sync failed");
    assert!(rig.commit.attach().is_none(), "a poisoned store is opened anew, not shared");
    rig.commit.detach(|| ());
    let steps = rig.steps_to_the_end();
    assert!(!steps.iter().any(|step| matches!(step, Step::Commit(_))), "{steps:?}");
}

/// GC-7: also what waits for its lock when the poison comes (a reader may find it out).
#[test]
fn what_waits_for_a_lock_when_the_store_is_poisoned_is_not_committed() {
    let (rig, mailbox) = (Rig::new(Gated::Acquire), Mailbox::new());
    rig.send(1, &mailbox);
    assert_eq!(rig.step(), Step::Acquire('a'));
    rig.poison.set(&crate::Error::new(ErrorKind::Io, "a reader's sync failed"));
    rig.acquire.send(Ok(())).unwrap();
    assert_eq!(mailbox.next(), failures([1], ErrorKind::Poisoned));
    assert_eq!(rig.step(), Step::Release, "and the lock is not kept");
}

/// GC-9: two sinks, five operations, one group: one delivery each.
#[test]
fn the_results_of_a_group_reach_each_sink_in_one_call() {
    let (rig, one, other) = (Rig::new(Gated::Commit), Mailbox::new(), Mailbox::new());
    rig.queue_behind_a_commit([1], &one);
    rig.send(2, &other);
    rig.send(3, &one);
    rig.send(4, &other);
    rig.send(5, &one);
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(one.next(), successes([0]));
    assert_eq!(one.next(), successes([1, 3, 5]));
    assert_eq!(other.next(), successes([2, 4]));
}

/// What takes time to drop is dropped when nobody waits for it any more.
#[test]
fn what_an_engine_leaves_behind_is_dropped_after_the_delivery() {
    struct Deliveries(Sender<&'static str>);
    impl Sink<()> for Deliveries {
        fn deliver(&self, _settled: Vec<Settled<()>>) {
            self.0.send("delivered").unwrap();
        }
    }
    struct LeftBehind(Sender<&'static str>);
    impl Drop for LeftBehind {
        fn drop(&mut self) {
            self.0.send("dropped").unwrap();
        }
    }
    let (tell, told) = channel();
    let sink: Arc<dyn Sink<()>> = Arc::new(Deliveries(tell.clone()));
    let mut outbox = Outbox::new(|_, _| ());
    outbox.drop_afterwards(LeftBehind(tell));
    outbox.settle(Receipt::new(1, sink), Ok(()));
    assert_eq!(told.try_iter().count(), 0);
    outbox.send();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["delivered", "dropped"]);
}
