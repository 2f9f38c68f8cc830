//! GC-1 and GC-7 when the engine has a bug.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::toy::{
    Gated, HANG, Heard, Mailbox, OP_BYTES, Rig, Step, Toy, Verdict, eventually, failures, successes,
};
use crate::error::ErrorKind;

/// GC-1: what had succeeded, what was in the commit, what was queued: each told once. GC-7: the
/// store is poisoned.
#[test]
fn a_panic_settles_everything_exactly_once_and_poisons() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([1, 2, 3], &mailbox);
    rig.verdict.send(Verdict::Settle).unwrap();
    rig.step_until(&Step::Commit(vec![1, 2, 3]));
    rig.send(4, &mailbox);
    rig.verdict.send(Verdict::PanicAfter(1)).unwrap();
    rig.step_until(&Step::Dropped);
    let (tell, ended) = channel();
    rig.commit.detach(move || tell.send(()).unwrap());
    ended.recv_timeout(HANG).expect("closing does not wait for a thread that is gone");
    assert_eq!(rig.commit.depth(), (0, 0));
    assert!(rig.poison.is_set());
    drop(rig);
    let mut results = Vec::new();
    for heard in mailbox.into_rest() {
        let Heard::Results(some) = heard else { panic!("no credit was due") };
        results.extend(some);
    }
    results.sort_by_key(|(ticket, _)| *ticket);
    let expected = [
        (0, Ok(0)),
        (1, Ok(1)),
        (2, Err(ErrorKind::Internal)),
        (3, Err(ErrorKind::Internal)),
        (4, Err(ErrorKind::Poisoned)),
    ];
    assert_eq!(results, expected);
}

/// GC-7: whatever comes after a panic is refused; nobody starts the thread again.
#[test]
fn after_a_panic_operations_are_refused_as_poisoned() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([0; 0], &mailbox);
    rig.verdict.send(Verdict::PanicAfter(0)).unwrap();
    assert_eq!(mailbox.next(), failures([0], ErrorKind::Internal));
    rig.step_until(&Step::Dropped);
    // The engine is dropped before the poison is set: what still gets in is rejected.
    match rig.try_send(1, None, &mailbox) {
        Ok(_) => assert_eq!(mailbox.next(), failures([1], ErrorKind::Poisoned)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Poisoned),
    }
    assert!(rig.commit.drain(HANG));
    assert_eq!(rig.try_send(2, None, &mailbox).unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(rig.commit.attach().is_none());
}

/// Who drains is woken by a panic that leaves nothing to settle.
#[test]
fn a_panic_wakes_who_drains() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([0; 0], &mailbox);
    let drained = thread::scope(|scope| {
        let drain = scope.spawn(|| rig.commit.drain(HANG * 1000));
        rig.verdict.send(Verdict::PanicAfter(0)).unwrap();
        drain.join().unwrap()
    });
    assert!(drained);
}

/// GC-1: an engine that drops a receipt unsettled is a bug that its caller hears of.
#[test]
fn a_receipt_that_is_dropped_settles_as_a_bug() {
    let (rig, mailbox) = (Rig::new(Gated::Commit), Mailbox::new());
    rig.queue_behind_a_commit([1], &mailbox);
    rig.verdict.send(Verdict::Forget).unwrap();
    assert_eq!(mailbox.next(), failures([0], ErrorKind::Internal));
    rig.verdict.send(Verdict::Settle).unwrap();
    assert_eq!(mailbox.next(), successes([1]), "the thread goes on");
}

/// GC-8: who closes after a panic, on whichever thread, is told when the engine has let go of all
/// that it had open, and not while it still has it.
#[test]
fn closing_after_a_panic_is_told_when_the_engine_is_gone() {
    for is_direct in [false, true] {
        let rig = if is_direct {
            Rig::direct(Gated::CommitAndDrop, Duration::ZERO)
        } else {
            Rig::new(Gated::CommitAndDrop)
        };
        rig.verdict.send(Verdict::PanicAfter(0)).unwrap();
        let error = rig.commit.call(&Toy::from(1), OP_BYTES, None).unwrap_err();
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Internal, true));
        // The result may be there before the thread has told of its panic.
        eventually(|| rig.poison.is_set() && rig.commit.depth() == (0, 0));
        assert_eq!(rig.commit.attach(), None);
        let (tell, ended) = channel();
        rig.commit.detach(move || tell.send(()).unwrap());
        assert!(ended.try_recv().is_err(), "the engine is still there, direct: {is_direct}");
        rig.let_go.send(()).unwrap();
        ended.recv_timeout(HANG).expect("it is told at the end");
        let steps = rig.steps_to_the_end();
        assert!(!steps.contains(&Step::Finish), "nothing more is done with it: {steps:?}");
    }
}

/// GC-1: what was queued behind a direct commit that panics is told, though nobody wakes the commit
/// thread, which ends: whoever closes later has nothing to wait for.
#[test]
fn a_panic_in_a_direct_commit_settles_what_was_queued_and_ends_the_commit_thread() {
    let (rig, mailbox) = (Rig::direct(Gated::Commit, Duration::ZERO), Mailbox::new());
    thread::scope(|scope| {
        let calling = scope.spawn(|| rig.commit.call(&Toy::from(1), OP_BYTES, None));
        rig.step_until(&Step::Commit(vec![1]));
        rig.send_quietly(2, &mailbox);
        rig.send_quietly(3, &mailbox);
        rig.verdict.send(Verdict::PanicAfter(0)).unwrap();
        assert_eq!(calling.join().unwrap().unwrap_err().kind(), ErrorKind::Internal);
    });
    assert_eq!(mailbox.next(), failures([2, 3], ErrorKind::Poisoned));
    rig.step_until(&Step::Dropped);
    assert!(rig.commit.drain(HANG), "nothing is left");
    assert_eq!(rig.commit.depth(), (0, 0));
    assert_eq!(rig.commit.metrics().operations.get(), 3, "each was counted once");
}

/// GC-1: an engine that panicked on a caller's thread does nothing more, though the commit thread
/// is on its way to it; what it had kept is told, and nobody waits for it.
#[test]
fn after_a_panic_in_a_direct_commit_the_engine_does_nothing_more() {
    let late = Toy { late: true, ..Toy::from(1) };
    // Started over if the machine was so slow that the late result was due before the call.
    let (rig, mailbox) = loop {
        let rig = Rig::direct(Gated::Commit, Duration::from_millis(300));
        let mailbox = Mailbox::new();
        rig.send(late, &mailbox);
        rig.verdict.send(Verdict::Settle).unwrap();
        rig.step_until(&Step::Release);
        eventually(|| rig.commit.shared.is_idle());
        let commit = std::sync::Arc::clone(&rig.commit);
        let calling = thread::spawn(move || commit.call(&Toy::from(2), OP_BYTES, None));
        let mut steps = vec![rig.step()];
        while steps.last() != Some(&Step::Commit(vec![2])) {
            steps.push(rig.step());
        }
        // It is due, and waits for the engine.
        eventually(|| !rig.commit.shared.is_idle());
        rig.verdict.send(Verdict::PanicAfter(0)).unwrap();
        assert_eq!(calling.join().unwrap().unwrap_err().kind(), ErrorKind::Internal);
        if !steps.contains(&Step::Due) {
            break (rig, mailbox);
        }
    };
    assert_eq!(rig.steps_to_the_end(), [Step::Dropped]);
    assert_eq!(mailbox.next(), failures([1], ErrorKind::Internal));
    assert!(rig.commit.drain(HANG), "nothing is left");
    assert_eq!(rig.commit.depth(), (0, 0));
}
