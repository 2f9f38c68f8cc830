use tidemark_sim::{Disk, World};

use super::*;
use crate::wal::{WalParts, WalTrail};

/// F-4, V-3: when the thread that follows has ended, nothing more comes, and who waits is told.
#[test]
fn a_view_ends_with_the_thread_that_follows() {
    let (world, path) = (World::new(Disk::new(), 1), Path::new("/data/log"));
    let writes = WalOptions::default();
    let _writer = WalParts::open_inline(&world.process().storage(), path, writes).unwrap();
    let reads = WalOptions { read_only: true, ..writes };
    let trail = WalTrail::open_inline(&world.process().storage(), path, reads).unwrap();
    let (ended, instance) = (Arc::new(Latch::default()), &trail.handle.instance);
    let told = Arc::clone(&ended);
    // Stopped before it starts: it has nothing to wait for.
    trail.handle.close(move || told.set());
    instance.start_trailing(Arc::new(())).unwrap();
    ended.wait();
    let visibility = Visibility::Durable;
    let look = Look { from: 1, to: u64::MAX, bytes_max: 1, visibility, epoch: None };
    let error = instance.reader.view().look_or_wait(&look, || ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}
