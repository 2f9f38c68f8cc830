use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use tidemark_sim::{Disk, World};

use super::*;
use crate::group_commit::commit_inline;
use crate::wal::{WalOp, WalOptions, WalParts, WalTrail};

/// A log with one entry, and a reader of it that nobody moves on.
fn trail() -> (WalParts, WalTrail) {
    let (world, path) = (World::new(Disk::new(), 1), Path::new("/data/log"));
    let writes = WalOptions::default();
    let mut parts = WalParts::open_inline(&world.process().storage(), path, writes).unwrap();
    commit_inline(&mut parts.engine, vec![WalOp::append("entry")], |_, _| ()).unwrap();
    let reads = WalOptions { read_only: true, ..writes };
    let trail = WalTrail::open_inline(&world.process().storage(), path, reads).unwrap();
    (parts, trail)
}

/// The two halves of a call that waits: it has looked at its handle, and looks for entries when the
/// test lets it.
fn half_way(follower: &Arc<Follower>) -> impl FnOnce() -> Receiver<Result<Option<Entries>>> {
    follower.request.lock().unwrap().is_wanted = true;
    let look = follower.look(1).unwrap();
    let own = Arc::clone(follower);
    move || {
        let (tell, answer) = channel();
        own.give_or_wait(&look, move |given| tell.send(given).unwrap());
        answer
    }
}

/// F-4: a call that has seen its handle open and waits after the close, which woke nobody.
#[test]
fn a_call_that_comes_to_wait_just_after_a_close_hears_of_it() {
    let (_writer, trail) = trail();
    let follower = trail.handle.follow(2, Visibility::Durable).unwrap();
    let go_on = half_way(&follower);
    trail.handle.close(|| ());
    let answer = go_on();
    let told = answer.try_recv().expect("it is told, and not left waiting").unwrap_err();
    assert_eq!(told.kind(), crate::ErrorKind::Closed);
    assert_eq!(Arc::strong_count(&follower), 1, "nobody waits any more");
}

/// A call that was taken back is told nothing, and nobody waits for it, also beside a close.
#[test]
fn a_call_that_was_taken_back_is_told_nothing_of_a_close() {
    let (_writer, trail) = trail();
    let follower = trail.handle.follow(2, Visibility::Durable).unwrap();
    let go_on = half_way(&follower);
    follower.withdraw();
    trail.handle.close(|| ());
    let answer = go_on();
    assert!(answer.recv().is_err(), "its sender is dropped, hence the waiter too");
}

/// A call that is woken before it has noted under which name it waits, waits again under another
/// one: that is the one to forget when it is taken back.
#[test]
fn a_call_that_waits_again_is_taken_back_under_its_last_name() {
    let (_writer, trail) = trail();
    let follower = trail.handle.follow(2, Visibility::Durable).unwrap();
    follower.request.lock().unwrap().is_wanted = true;
    let look = follower.look(1).unwrap();
    let held = Arc::new(());
    let wait = || {
        let own = Arc::clone(&held);
        let wake = move || drop(own);
        follower.reader.view().look_or_wait(&look, wake).unwrap().1.unwrap()
    };
    let nobody = Mutex::new(Some(|_: Result<Option<Entries>>| ()));
    let first = wait();
    follower.reader.view().wake_all();
    follower.waits_as(wait(), &nobody);
    follower.waits_as(first, &nobody);
    follower.withdraw();
    assert_eq!(Arc::strong_count(&held), 1, "nobody waits any more");
}
