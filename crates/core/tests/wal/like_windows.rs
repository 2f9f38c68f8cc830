//! A system that maps only a few pages: a log is there as any other, and `io: 'mmap'` is refused.

use std::path::Path;

use tidemark_core::ErrorKind;
use tidemark_core::wal::{Io, WalOptions};
use tidemark_sim::{Disk, World};

use super::rig::Machine;

/// Refused before anything is touched, to write and to read.
#[test]
fn mapped_segments_are_refused_where_only_pages_are_mapped() {
    let world = World::new(Disk::new(), 1);
    world.with_disk(|disk| disk.set_like_windows(true));
    let machine = Machine::on(world.process().storage());
    for read_only in [false, true] {
        let options = WalOptions { io: Io::Mapped, read_only, ..WalOptions::default() };
        let error = machine.try_open(Path::new("/data/log"), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(world.disk().names("/data").is_empty());
    }
    drop(machine.open(Path::new("/data/log")));
    assert_eq!(world.disk().names("/data"), ["log"]);
}
