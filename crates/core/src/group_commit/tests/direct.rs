//! GC-11: blocking calls that commit on their own threads.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::super::{Enqueued, Request, Settled, Sink};
use super::toy::{Gated, HANG, Mailbox, OP_BYTES, Rig, Step, Toy, Verdict, eventually, successes};
use crate::error::ErrorKind;

fn call(rig: &Rig, number: u32) -> crate::error::Result<u32> {
    rig.commit.call(&Toy::from(number), OP_BYTES, None)
}

/// The commit thread waits for work all the while: the caller does it all.
#[test]
fn a_call_that_finds_nothing_queued_commits_on_its_own_thread() {
    let rig = Rig::direct(Gated::Commit, Duration::ZERO);
    let verdict = rig.verdict.clone();
    verdict.send(Verdict::Settle).unwrap();
    assert_eq!(call(&rig, 7).unwrap(), 7);
    assert_eq!(rig.step(), Step::Commit(vec![7]));
    assert_eq!(rig.commit.depth(), (0, 0));
    assert_eq!(rig.commit.metrics().operations.get(), 1);
    assert_eq!(rig.commit.metrics().groups.get(), 1);
}

/// GC-2: what was accepted before comes first, woken or not.
#[test]
fn a_call_queues_up_behind_what_was_accepted_before() {
    let (rig, mailbox) = (Rig::direct(Gated::Nothing, Duration::ZERO), Mailbox::new());
    rig.send_quietly(1, &mailbox);
    assert_eq!(call(&rig, 2).unwrap(), 2);
    assert_eq!(mailbox.next(), successes([1]));
    rig.step_until(&Step::Commit(vec![1, 2]));
}

/// GC-2: whoever comes while a call commits waits for it, in the queue.
#[test]
fn what_comes_while_a_call_commits_is_the_next_group() {
    let (rig, mailbox) = (Rig::direct(Gated::Commit, Duration::ZERO), Mailbox::new());
    thread::scope(|scope| {
        let calling = scope.spawn(|| call(&rig, 1));
        rig.step_until(&Step::Commit(vec![1]));
        rig.send(2, &mailbox);
        let second = scope.spawn(|| call(&rig, 3));
        eventually(|| rig.commit.depth().0 == 3);
        rig.verdict.send(Verdict::Settle).unwrap();
        rig.step_until(&Step::Commit(vec![2, 3]));
        rig.verdict.send(Verdict::Settle).unwrap();
        assert_eq!(calling.join().unwrap().unwrap(), 1);
        assert_eq!(second.join().unwrap().unwrap(), 3);
        assert_eq!(mailbox.next(), successes([2]));
    });
}

/// Tells of a delivery, and keeps the commit thread in it.
struct Detained {
    came: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl Sink<u32> for Detained {
    fn deliver(&self, _settled: Vec<Settled<u32>>) {
        self.came.lock().unwrap().send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
    }
}

/// GC-11: a commit is over when its results are on their way. Otherwise whoever gets one and calls
/// again would queue up, and so would each of its calls after that.
#[test]
fn who_has_a_result_of_the_commit_thread_finds_the_engine_free() {
    let rig = Rig::direct(Gated::Nothing, Duration::ZERO);
    let ((came, delivery), (go_on, detained)) = (channel(), channel());
    let sink: Arc<dyn Sink<u32>> =
        Arc::new(Detained { came: Mutex::new(came), go_on: Mutex::new(detained) });
    let request = Request {
        op: Toy::from(1),
        size_bytes: OP_BYTES,
        deadline: None,
        ticket: 1,
        sink: &sink,
        wake: true,
    };
    assert_eq!(rig.commit.enqueue(request).unwrap(), Enqueued::Accepted);
    delivery.recv_timeout(HANG).expect("the first is delivered");
    thread::scope(|scope| {
        let (rig, (tell, told)) = (&rig, channel());
        let calling = scope.spawn(move || {
            let result = call(rig, 2);
            // The test may have given up by then.
            let _nobody_listens = tell.send(());
            result
        });
        let while_detained = told.recv_timeout(HANG);
        go_on.send(()).unwrap();
        assert_eq!(calling.join().unwrap().unwrap(), 2);
        while_detained.expect("the call did not wait for the commit thread");
    });
}

/// GC-4: bytes of a group whose results are on their way still count, and a call that finds no room
/// beside them queues up.
#[test]
fn a_call_that_finds_no_room_does_not_commit_on_its_own_thread() {
    let rig = Rig::direct_with_room(OP_BYTES + OP_BYTES / 2);
    let ((came, delivery), (go_on, detained)) = (channel(), channel());
    let sink: Arc<dyn Sink<u32>> =
        Arc::new(Detained { came: Mutex::new(came), go_on: Mutex::new(detained) });
    let (op, size_bytes, sink) = (Toy::from(1), OP_BYTES, &sink);
    let request = Request { op, size_bytes, deadline: None, ticket: 1, sink, wake: true };
    assert_eq!(rig.commit.enqueue(request).unwrap(), Enqueued::Accepted);
    delivery.recv_timeout(HANG).expect("the first is delivered");
    rig.step_until(&Step::Release);
    assert!(!rig.commit.shared.begin_direct(OP_BYTES), "the first still counts");
    go_on.send(()).unwrap();
    assert_eq!(call(&rig, 2).unwrap(), 2);
    rig.step_until(&Step::Commit(vec![2]));
}

/// What a direct commit leaves for later is done by the commit thread, which was asleep.
#[test]
fn the_commit_thread_hears_of_what_is_due_after_a_direct_commit() {
    let rig = Rig::direct(Gated::Nothing, Duration::from_millis(5));
    let late = Toy { late: true, ..Toy::from(4) };
    assert_eq!(rig.commit.call(&late, OP_BYTES, None).unwrap(), 4);
    rig.step_until(&Step::Due);
}

/// GC-1 and GC-7, on the caller's thread.
#[test]
fn a_panic_in_a_direct_commit_is_an_error_and_poisons() {
    let rig = Rig::direct(Gated::Commit, Duration::ZERO);
    rig.verdict.send(Verdict::PanicAfter(0)).unwrap();
    let error = call(&rig, 1).unwrap_err();
    assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Internal, true));
    assert_eq!(call(&rig, 2).unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(rig.commit.drain(HANG), "nobody waits for what was lost");
    let (tell, ended) = channel();
    rig.commit.detach(move || tell.send(()).unwrap());
    ended.recv_timeout(HANG).expect("closing works after a panic");
    rig.step_until(&Step::Dropped);
}

#[test]
fn a_call_after_close_is_refused() {
    let rig = Rig::direct(Gated::Nothing, Duration::ZERO);
    let (tell, ended) = channel();
    rig.commit.detach(move || tell.send(()).unwrap());
    ended.recv_timeout(HANG).expect("the thread ends");
    assert_eq!(call(&rig, 1).unwrap_err().kind(), ErrorKind::Closed);
}
