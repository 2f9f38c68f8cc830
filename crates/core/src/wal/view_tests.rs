use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidemark_sim::{Disk, World};

use super::*;
use crate::group_commit::commit_inline;
use crate::wal::{SyncLevel, WalOp, WalOptions, WalParts};

/// V-3: what is only written wakes nobody who waits for what is durable, nor who waits for more.
#[test]
fn only_who_may_see_something_is_woken() {
    let hour = NonZeroU64::new(3_600_000).unwrap();
    let options = WalOptions { sync: SyncLevel::Interval(hour), ..WalOptions::default() };
    let storage = World::new(Disk::new(), 1).process().storage();
    let mut parts = WalParts::open_inline(&storage, Path::new("/data/log"), options).unwrap();
    let view = Arc::clone(&parts.engine.view);
    let wait = |from: u64, visibility: Visibility| {
        let woken = Arc::<AtomicUsize>::default();
        let told = Arc::clone(&woken);
        let look = Look { from, to: u64::MAX, bytes_max: 1, visibility, epoch: None };
        let wake = move || {
            told.fetch_add(1, Ordering::SeqCst);
        };
        assert!(view.look_or_wait(&look, wake).unwrap().1.is_some(), "nothing is there");
        woken
    };
    let [written, later] = [1, 3].map(|from| wait(from, Visibility::Written));
    let [durable, much_later] = [1, 3].map(|from| wait(from, Visibility::Durable));
    let woken =
        || [&written, &durable, &later, &much_later].map(|count| count.load(Ordering::SeqCst));
    for _ in 0..2 {
        commit_inline(&mut parts.engine, vec![WalOp::append("entry")], |_, _| ()).unwrap();
        assert_eq!(woken(), [1, 0, 0, 0], "written");
    }
    commit_inline(&mut parts.engine, vec![WalOp::Sync], |_, _| ()).unwrap();
    assert_eq!(woken(), [1, 1, 0, 0], "synced");
    view.wake_all();
    assert_eq!(woken(), [1, 1, 1, 1], "each once");
}
