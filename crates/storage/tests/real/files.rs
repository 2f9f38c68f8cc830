//! Open files: S2, positional I/O, modes.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tidemark_storage::{FileKind, Open, OsError, RealStorage, Storage};

use super::support::{HERE, Scratch, fifo, open};

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

/// "It gets exactly this mode, whatever the umask": in a process that the umask binds, which root's
/// does not.
#[test]
fn a_new_file_has_exactly_its_mode_whatever_the_umask() {
    const MARK: &str = "TIDEMARK_TEST_UMASK";
    const MODES: [u32; 6] = [0o600, 0o644, 0o666, 0o400, 0o000, 0o777];
    if std::env::var_os(MARK).is_some() {
        let scratch = Scratch::new();
        fs::set_permissions(scratch.root(), fs::Permissions::from_mode(0o700)).unwrap();
        for mode in MODES {
            let path = scratch.path(&format!("{mode:o}"));
            let file = open(&path, Open::new_file(mode)).unwrap();
            assert_eq!(file.stat(HERE).unwrap().mode, mode);
            file.write_all(HERE, b"x", 0).expect("also where nobody else could write it");
            let directory = scratch.path(&format!("d{mode:o}"));
            RealStorage.make_dir(HERE, &directory, mode).unwrap();
            assert_eq!(RealStorage.stat(HERE, &directory).unwrap().mode, mode);
        }
        println!("{}", rustix::process::geteuid().as_raw());
        return;
    }
    let name = "files::a_new_file_has_exactly_its_mode_whatever_the_umask";
    // Another user may not reach the build directory.
    let place = Scratch::new();
    fs::set_permissions(place.root(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = place.path("test");
    // Copied by another process: what somebody has open to write cannot be started.
    let own = std::env::current_exe().unwrap();
    assert!(Command::new("cp").arg(own).arg(&program).status().unwrap().success());
    for umask in ["0", "027", "0277", "0377", "0777"] {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(&program);
        command.args(["--exact", name, "--nocapture"]);
        command.env(MARK, umask).env("TMPDIR", place.root()).current_dir(place.root());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{umask}\n{text}\n{errors}");
        assert!(!text.lines().any(|line| line == "0"), "{umask}: root is not bound by it");
    }
}

/// A name that became a link to somebody's directory between the two steps is not followed; here
/// it is one from the beginning.
#[test]
fn a_directory_is_not_made_through_a_link() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("other")).unwrap();
    let before = fs::metadata(scratch.path("other")).unwrap().permissions().mode();
    for (target, link) in [("other", "link"), ("nowhere", "dangling")] {
        symlink(target, scratch.path(link)).unwrap();
        let error = RealStorage.make_dir(HERE, &scratch.path(link), 0o751).unwrap_err();
        assert_eq!(error, OsError::new(OsError::EEXIST, "mkdir"));
    }
    assert_eq!(fs::metadata(scratch.path("other")).unwrap().permissions().mode(), before);
    assert!(!scratch.path("nowhere").exists());
}

/// `O_EXCL`: what exists is not opened, a link counts as existing.
#[test]
fn a_new_file_must_not_exist() {
    let scratch = Scratch::new();
    scratch.file("file", b"old");
    symlink("nowhere", scratch.path("dangling")).unwrap();
    for name in ["file", "dangling"] {
        let error = open(&scratch.path(name), Open::new_file(0o600)).unwrap_err();
        assert_eq!(error, OsError::new(OsError::EEXIST, "open"));
    }
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"old");
    assert!(!scratch.path("nowhere").exists());
    let error = open(&scratch.path("missing"), Open::READ_WRITE).unwrap_err();
    assert!(error.is_not_found());
}

/// S2: a symbolic link at the last component is not followed, whatever it leads to.
#[test]
fn a_symbolic_link_is_not_opened() {
    let scratch = Scratch::new();
    scratch.file("file", b"x");
    symlink("file", scratch.path("link")).unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    for name in ["link", "dangling"] {
        for how in [Open::READ, Open::READ_WRITE] {
            let error = open(&scratch.path(name), how).unwrap_err();
            assert_eq!(error.errno, OsError::ELOOP, "{name}");
        }
    }
}

/// S2: a link in the middle of a path is followed.
#[test]
fn a_symbolic_link_on_the_way_is_followed() {
    let scratch = Scratch::new();
    RealStorage.make_dir(HERE, &scratch.path("real"), 0o700).unwrap();
    scratch.file("real/file", b"x");
    symlink("real", scratch.path("way")).unwrap();
    assert!(open(&scratch.path("way/file"), Open::READ).is_ok());
}

/// S2: a FIFO that nobody writes to or reads from does not block.
#[test]
fn a_fifo_does_not_block() {
    let scratch = Scratch::new();
    fifo(&scratch.path("fifo"));
    for how in [Open::READ, Open::READ_WRITE] {
        let file = open(&scratch.path("fifo"), how).unwrap();
        assert_eq!(file.stat(HERE).unwrap().kind, FileKind::Special);
    }
}

/// S2: descriptors are not inherited by a program that is started.
#[test]
fn descriptors_are_closed_on_exec() {
    let scratch = Scratch::new();
    let _file = scratch.file("a name that nobody else has", b"x");
    let listed = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success() && text.contains("->"), "{text}");
    assert!(!text.contains("a name that nobody else has"), "{text}");
}

/// Reads say how much there was: less at the end of the file, nothing beyond it.
#[test]
fn reads_are_short_at_the_end() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"0123456789");
    let read = |count: usize, offset: u64| {
        let mut bytes = vec![b'_'; count];
        let count = file.read_at(HERE, &mut bytes, offset).unwrap();
        let whole = file.read_full(HERE, &mut vec![0; bytes.len()], offset).unwrap();
        assert_eq!(count, whole);
        bytes.truncate(count);
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(read(4, 2), "2345");
    assert_eq!(read(4, 8), "89");
    assert_eq!(read(4, 10), "");
    assert_eq!(read(4, 1 << 40), "");
    assert_eq!(read(0, 0), "");
}

/// Writes are positional, grow the file, and leave a hole of zeros where nobody wrote.
#[test]
fn writes_are_positional() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"0123456789");
    file.write_all(HERE, b"ab", 3).unwrap();
    assert_eq!(file.write_at(HERE, b"z", 12).unwrap(), 1);
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"012ab56789\0\0z");
    file.set_len(HERE, 4).unwrap();
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"012a");
    file.set_len(HERE, 6).unwrap();
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"012a\0\0");
    file.sync_data(HERE).unwrap();
    file.sync_all(HERE).unwrap();
}

/// A large write is done piece by piece, each on its way to the medium while the next is copied:
/// together they are the whole, whatever lies around it.
#[test]
fn a_large_write_is_done_by_pieces_that_make_the_whole() {
    const MIB: usize = 1 << 20;
    let scratch = Scratch::new();
    let file = scratch.file("file", b"before");
    let bytes: Vec<u8> = (0..=250).flat_map(|byte| [byte; 12_533]).take(3 * MIB + 5).collect();
    assert_eq!(bytes.len(), 3 * MIB + 5);
    assert_eq!(file.write_at(HERE, &bytes, 3).unwrap(), MIB);
    assert_eq!(file.write_at(HERE, &bytes[..MIB], 3).unwrap(), MIB);
    assert_eq!(file.write_at(HERE, &bytes[..MIB - 1], 3).unwrap(), MIB - 1);
    file.write_all(HERE, &bytes, 3).unwrap();
    file.sync_data(HERE).unwrap();
    let held = fs::read(scratch.path("file")).unwrap();
    assert!(held == [b"bef".as_slice(), &bytes].concat(), "{} bytes", held.len());
    assert_eq!(file.write_at(HERE, &bytes, u64::MAX).unwrap_err().errno, libc::EINVAL);
}

/// A file opened to read is not written to.
#[test]
fn a_file_opened_to_read_refuses_writes() {
    let scratch = Scratch::new();
    scratch.file("file", b"x");
    let file = open(&scratch.path("file"), Open::READ).unwrap();
    assert_eq!(file.write_at(HERE, b"y", 0).unwrap_err().syscall, "pwrite");
    assert!(file.set_len(HERE, 0).is_err());
    assert_eq!(fs::read(scratch.path("file")).unwrap(), b"x");
}

/// An open file is described wherever its name points by now.
#[test]
fn an_open_file_is_described_wherever_its_name_went() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"12345");
    let before = file.stat(HERE).unwrap();
    assert_eq!((before.kind, before.link_count), (FileKind::Regular, 1));
    assert_eq!((before.size_bytes, before.mode), (5, 0o600));
    fs::hard_link(scratch.path("file"), scratch.path("other")).unwrap();
    assert_eq!(file.stat(HERE).unwrap().link_count, 2);
    RealStorage.remove(HERE, &scratch.path("file")).unwrap();
    RealStorage.remove(HERE, &scratch.path("other")).unwrap();
    scratch.file("file", b"another");
    let after = file.stat(HERE).unwrap();
    assert_eq!((after.id, after.link_count, after.size_bytes), (before.id, 0, 5));
    assert!(after.changed >= before.changed);
    assert_ne!(RealStorage.stat(HERE, &scratch.path("file")).unwrap().id, before.id);
}

#[test]
fn a_mode_is_set_exactly() {
    let scratch = Scratch::new();
    let file = scratch.file("file", b"");
    for mode in [0o640, 0o777, 0o400] {
        file.set_mode(HERE, mode).unwrap();
        assert_eq!(file.stat(HERE).unwrap().mode, mode);
    }
    let own = file.stat(HERE).unwrap();
    file.set_owner(HERE, own.user_id, own.group_id).expect("what it is already");
}
