//! `allocate` on this machine: what the shared contract (`crates/sim/tests/contract`) cannot see.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use tidemark_storage::{Open, OsError, RealStorage, Storage};

use super::support::{HERE, Scratch, fifo, open};

const MIB: u64 = 1 << 20;

/// "Blocks that exist and are written": `filefrag` shows no extent that is unwritten.
#[test]
fn allocated_blocks_exist_and_are_written() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"head");
    file.allocate(HERE, 0, 3 * MIB + 100).unwrap();
    file.sync_all(HERE).unwrap();
    let stat = fs::metadata(scratch.path("file")).unwrap();
    assert_eq!(stat.size(), 3 * MIB + 100);
    assert!(stat.blocks() * 512 >= 3 * MIB, "{} blocks", stat.blocks());
    let before = extents(&scratch.path("file"));
    // A control: without zeros the same file system says that it is unwritten.
    let other = fs::File::create(scratch.path("other")).unwrap();
    let reserved = rustix::fs::fallocate(&other, rustix::fs::FallocateFlags::empty(), 0, MIB);
    other.sync_all().unwrap();
    match (before, extents(&scratch.path("other")), reserved) {
        (Some(ours), Some(control), Ok(())) if control.contains("unwritten") => {
            assert!(!ours.contains("unwritten"), "{ours}");
            file.write_all(HERE, &[1; 8192], MIB).unwrap();
            file.sync_data(HERE).unwrap();
            assert_eq!(extents(&scratch.path("file")).unwrap(), ours, "written in place");
        }
        (_, control, _) => println!("not shown: filefrag answers {control:?} for a reserved file"),
    }
}

/// The extents of a file, where the system can tell.
fn extents(path: &Path) -> Option<String> {
    let output = Command::new("filefrag").arg("-v").arg(path).output().ok()?;
    output.status.success().then(|| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().skip(3).collect::<Vec<_>>().join("\n")
    })
}

/// A full file system: the errno is its own, and the room is given back.
#[test]
fn a_full_disk_refuses_and_leaves_the_file_as_it_was() {
    let scratch = Scratch::new();
    let place = scratch.path("small");
    fs::create_dir(&place).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "none"])
        .arg(&place)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        println!("not shown: a small file system can only be mounted by root");
        return;
    }
    let room = |path: &Path| {
        let stat = rustix::fs::statvfs(path).unwrap();
        stat.f_bavail * stat.f_bsize
    };
    let before = room(&place);
    let answers = {
        let file = open(&place.join("file"), Open::new_file(0o600)).unwrap();
        file.write_all(HERE, b"head", 0).unwrap();
        let refused = file.allocate(HERE, 0, 6 * MIB);
        let size = file.stat(HERE).unwrap().size_bytes;
        let left = room(&place);
        (refused, size, left, file.allocate(HERE, 0, 3 * MIB))
    };
    let unmounted = Command::new("umount").arg(&place).status().unwrap();
    assert!(unmounted.success());
    let (refused, size, left, then) = answers;
    assert_eq!(refused.unwrap_err().errno, OsError::ENOSPC);
    assert_eq!(size, 4, "as long as it was");
    assert_eq!(left, before - 4096, "the room is there again");
    then.expect("what fits is had");
}

/// Devices and FIFOs have no blocks.
#[test]
fn what_is_no_regular_file_is_not_allocated() {
    let scratch = Scratch::new();
    fifo(&scratch.path("fifo"));
    let pipe = open(&scratch.path("fifo"), Open::READ_WRITE).unwrap();
    assert_eq!(pipe.allocate(HERE, 0, 1).unwrap_err().errno, libc::ESPIPE);
    let directory = RealStorage.open_dir(HERE, scratch.root()).unwrap();
    assert_eq!(directory.allocate(HERE, 0, 1).unwrap_err().errno, libc::EBADF);
}
