//! `allocate` on this machine: what the shared contract (`crates/sim/tests/contract`) cannot see.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use tidemark_storage::{Map, Open, OsError, Pages, RealStorage, Storage};

use super::support::{HERE, Scratch, fifo, open};

const MIB: u64 = 1 << 20;

/// "Blocks that exist and are written": `filefrag` shows no extent that is unwritten.
#[test]
fn allocated_blocks_exist_and_are_written() {
    [Pages::Together, Pages::Single].into_iter().for_each(blocks_exist_and_are_written);
}

fn blocks_exist_and_are_written(pages: Pages) {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"head");
    file.allocate(HERE, 0, 3 * MIB + 100, pages).unwrap();
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

/// Does something on a file system of 4 MiB; nothing where none can be mounted.
fn on_a_small_disk<T>(scratch: &Scratch, work: impl FnOnce(&Path) -> T) -> Option<T> {
    let place = scratch.path("small");
    fs::create_dir(&place).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "none"])
        .arg(&place)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        println!("not shown: a small file system can only be mounted by root");
        return None;
    }
    // It must be unmounted before anything is asserted. A child that another test has just forked
    // may have its maps for a moment yet: it is taken out of the tree, and ends with them.
    let answer = work(&place);
    assert!(Command::new("umount").arg("--lazy").arg(&place).status().unwrap().success());
    Some(answer)
}

/// A full file system: the errno is its own, and the room is given back.
#[test]
fn a_full_disk_refuses_and_leaves_the_file_as_it_was() {
    let scratch = Scratch::new();
    let room = |path: &Path| {
        let stat = rustix::fs::statvfs(path).unwrap();
        stat.f_bavail * stat.f_bsize
    };
    let answers = on_a_small_disk(&scratch, |place| {
        let before = room(place);
        let file = open(&place.join("file"), Open::new_file(0o600)).unwrap();
        file.write_all(HERE, b"head", 0).unwrap();
        let refused = file.allocate(HERE, 0, 6 * MIB, Pages::Together);
        let size = file.stat(HERE).unwrap().size_bytes;
        (refused, size, before - room(place), file.allocate(HERE, 0, 3 * MIB, Pages::Together))
    });
    let Some((refused, size, taken, then)) = answers else { return };
    assert_eq!(refused.unwrap_err().errno, OsError::ENOSPC);
    assert_eq!((size, taken), (4, 4096), "as long as it was, and the room is there again");
    then.expect("what fits is had");
}

/// Defect D26: a hole that cannot be filled because the disk is full is an error of the store, and
/// no signal that kills; where the blocks were allocated it cannot happen.
#[test]
fn a_hole_that_cannot_be_filled_is_an_error_and_allocated_blocks_are_there() {
    let scratch = Scratch::new();
    let answers = on_a_small_disk(&scratch, |place| {
        let file = open(&place.join("allocated"), Open::new_file(0o600)).unwrap();
        file.allocate(HERE, 0, MIB, Pages::Together).unwrap();
        let dense = file.map(HERE, 1 << 20).unwrap();
        let hole = open(&place.join("sparse"), Open::new_file(0o600)).unwrap();
        hole.set_len(HERE, 8 * MIB).unwrap();
        let sparse = hole.map(HERE, 8 << 20).unwrap();
        let touch_all = |map: &dyn Map| {
            (0..map.len()).step_by(4096).try_for_each(|offset| map.store(HERE, offset, 1))
        };
        (touch_all(sparse.as_ref()), touch_all(dense.as_ref()))
    });
    let Some((sparse, dense)) = answers else { return };
    assert_eq!(sparse, Err(OsError::new(OsError::EIO, "mmap")));
    dense.expect("every page of it has its block");
}

/// Devices and FIFOs have no blocks.
#[test]
fn what_is_no_regular_file_is_not_allocated() {
    let scratch = Scratch::new();
    fifo(&scratch.path("fifo"));
    let pipe = open(&scratch.path("fifo"), Open::READ_WRITE).unwrap();
    assert_eq!(pipe.allocate(HERE, 0, 1, Pages::Together).unwrap_err().errno, libc::ESPIPE);
    let directory = RealStorage.open_dir(HERE, scratch.root()).unwrap();
    assert_eq!(directory.allocate(HERE, 0, 1, Pages::Together).unwrap_err().errno, libc::EBADF);
}
