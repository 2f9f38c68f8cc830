//! What becomes of the files themselves: modes, owners, links, kinds and sizes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tidemark_core::ErrorKind;
use tidemark_core::checkpoint::JsonFileOptions;
use tidemark_storage::OsError;

use super::support::{
    Process, Scratch, again_in_a_process_of_its_own, applied, at, disk, expected, inode, key,
    write_as_another_program,
};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// New files are 0600 whatever the umask, or have the store's mode; an existing state file
/// keeps its own. The original gives 0666 & ~umask and loses the old mode.
#[test]
fn new_files_have_the_stores_mode_and_an_existing_one_keeps_its_own() {
    let umask = "files::new_files_have_the_stores_mode_and_an_existing_one_keeps_its_own";
    for (prelude, unprivileged) in [("umask 0277", true), ("umask 0", true)] {
        if again_in_a_process_of_its_own(umask, prelude, unprivileged) {
            modes();
            return;
        }
    }
}

fn modes() {
    let scratch = Scratch::new();
    // The umask has bitten here as well.
    fs::set_permissions(scratch.root(), Permissions::from_mode(0o700)).unwrap();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(mode(&scratch.state()), 0o600);
    assert_eq!(mode(&scratch.lock()), 0o600);
    let mut sequence = 1;
    for kept in [0o640, 0o440, 0o600, 0o666] {
        fs::set_permissions(scratch.state(), Permissions::from_mode(kept)).unwrap();
        sequence += 1;
        store.put(&key(1), at(sequence)).unwrap();
        assert_eq!(mode(&scratch.state()), kept);
    }
    for made in [0o600, 0o644, 0o660] {
        let path = scratch.path(&format!("{made:o}.json"));
        let options = JsonFileOptions { mode: made, ..JsonFileOptions::default() };
        Process::new().try_open(&path, options).unwrap().put(&key(1), at(1)).unwrap();
        assert_eq!(mode(&path), made);
        assert_eq!(mode(&path.with_extension("json.lock")), made);
    }
}

/// The owner is kept where that is permitted.
#[test]
fn root_that_writes_a_users_file_leaves_it_to_the_user() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    if std::os::unix::fs::chown(scratch.state(), Some(1234), Some(4321)).is_err() {
        return; // Only root may give files away, and only then this can be seen.
    }
    fs::set_permissions(scratch.state(), Permissions::from_mode(0o640)).unwrap();
    let before = inode(&scratch.state());
    store.put(&key(1), at(2)).unwrap();
    let stat = fs::metadata(scratch.state()).unwrap();
    assert_ne!(stat.ino(), before, "it was replaced");
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), (1234, 4321, 0o640));
}

/// The original replaces a link by a file and gives each alias a lock of its own; here
/// the link is resolved once, and the lock lies beside the real file.
#[test]
fn a_symbolic_link_is_followed_to_the_real_file() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("real")).unwrap();
    let real = scratch.path("real/data.json");
    write_as_another_program(&real, [(key(1), at(1))]);
    symlink("real/data.json", scratch.path("one")).unwrap();
    symlink(scratch.path("one"), scratch.path("two")).unwrap();
    let store = Process::new().open(&scratch.path("two"));
    assert_eq!(store.put(&key(1), at(2)).unwrap(), applied(at(2)));
    assert_eq!(disk(&real), expected([(key(1), at(2))]));
    assert_eq!(scratch.names(), ["one", "real", "two"], "nothing beside the links");
    assert!(scratch.path("real/data.json.lock").exists());
    assert!(fs::symlink_metadata(scratch.path("two")).unwrap().is_symlink());
    // "Once": a link that leads elsewhere later does not move the open store.
    fs::remove_file(scratch.path("two")).unwrap();
    symlink("elsewhere", scratch.path("two")).unwrap();
    assert_eq!(store.put(&key(1), at(3)).unwrap(), applied(at(3)));
    assert_eq!(disk(&real), expected([(key(1), at(3))]));
}

/// A link that takes the place of the file later is neither followed nor hidden.
#[test]
fn a_link_put_in_the_place_of_the_open_file_is_refused() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    write_as_another_program(&scratch.path("victim"), [(key(1), at(99))]);
    let victim = fs::read(scratch.path("victim")).unwrap();
    fs::remove_file(scratch.state()).unwrap();
    symlink("victim", scratch.state()).unwrap();
    for error in [store.put(&key(1), at(2)).unwrap_err(), store.refresh().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.os_error().unwrap().errno, OsError::ELOOP);
    }
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
    assert_eq!(fs::read(scratch.path("victim")).unwrap(), victim);
}

/// A hard link does not let us write outside: the file is replaced, not written.
#[test]
fn another_hard_link_to_the_file_keeps_the_old_content() {
    let scratch = Scratch::new();
    write_as_another_program(&scratch.state(), [(key(1), at(1))]);
    fs::hard_link(scratch.state(), scratch.path("outside")).unwrap();
    let before = fs::read(scratch.path("outside")).unwrap();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(2)).unwrap();
    assert_eq!(fs::read(scratch.path("outside")).unwrap(), before);
    assert_eq!(disk(&scratch.state()), expected([(key(1), at(2))]));
}

/// JF-1: a reader that has the old file open goes on reading the old content, whole.
#[test]
fn an_open_reader_keeps_the_old_file() {
    let scratch = Scratch::new();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    let text = fs::read_to_string(scratch.state()).unwrap();
    let open = File::open(scratch.state()).unwrap();
    store.put(&key(1), at(2)).unwrap();
    assert_eq!(std::io::read_to_string(open).unwrap(), text);
}

/// A FIFO or a socket in the place of the file is a typed error, at open and later, and
/// nothing hangs.
#[test]
fn a_path_that_is_no_regular_file_is_refused_without_hanging() {
    let scratch = Scratch::new();
    let fifo = scratch.fifo("fifo");
    let socket = scratch.path("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    symlink(&fifo, scratch.path("link")).unwrap();
    for path in [fifo, socket, scratch.path("link"), "/dev/null".into(), "/dev/tty".into()] {
        let opened = Process::new().try_open(&path, JsonFileOptions::default());
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidArgument, "{}", path.display());
    }
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    fs::remove_file(scratch.state()).unwrap();
    scratch.fifo("state.json");
    assert_eq!(store.refresh().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(store.put(&key(1), at(2)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(store.get(&key(1)).unwrap(), Some(at(1)));
    assert_eq!(scratch.names(), ["fifo", "link", "socket", "state.json", "state.json.lock"]);
}

/// JF-9: the size is looked at before anything is allocated for it.
#[test]
fn a_file_of_more_than_a_gibibyte_is_refused_unread() {
    let scratch = Scratch::new();
    let huge = |path| File::create(path).unwrap().set_len((1 << 30) + 1).unwrap();
    huge(scratch.state());
    let opened = Process::new().try_open(&scratch.state(), JsonFileOptions::default());
    let error = opened.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.path(), Some(scratch.state().as_path()));
    fs::remove_file(scratch.state()).unwrap();
    let store = Process::new().open(&scratch.state());
    store.put(&key(1), at(1)).unwrap();
    huge(scratch.state());
    assert_eq!(store.put(&key(1), at(2)).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(fs::metadata(scratch.state()).unwrap().len(), (1 << 30) + 1, "and untouched");
}

/// A relative path stays with the directory that it was opened in.
#[test]
fn a_bare_file_name_means_the_current_directory() {
    let name = "files::a_bare_file_name_means_the_current_directory";
    if !again_in_a_process_of_its_own(name, "", false) {
        return;
    }
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    std::env::set_current_dir(scratch.root()).unwrap();
    let store = Process::new().open("state.json".as_ref());
    std::env::set_current_dir(elsewhere.root()).unwrap();
    store.put(&key(1), at(1)).unwrap();
    assert_eq!(scratch.names(), ["state.json", "state.json.lock"]);
    assert!(elsewhere.names().is_empty());
}
