//! The simulated disk against the machine's own: the same calls, the same answers.
//!
//! A random sequence of operations of one process is done on both. Compared are results, `errno`s,
//! descriptions, and after each sequence all names and contents. `SEED=` repeats one sequence.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_sim::{Disk, World};
use tidemark_storage::{
    File, FileKind, LockMode, Open, Pages, RealStorage, Result, Site, Stat, Storage,
};

const SITE: Site = Site::Test;
const SEQUENCE_COUNT: u64 = 150;
const OPERATION_COUNT: usize = 120;

/// Paths below the directory under test; the symbolic links are there from the beginning.
const PATHS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "e",
    "a",
    "b",
    "d/a",
    "d/b",
    "d/e",
    "d/e/a",
    "e/a",
    "e/d",
    "a/",
    "d/",
    "e/",
    "d/.",
    "d/..",
    "d/../a",
    ".",
    "link",
    "link",
    "to-d",
    "to-d/a",
    "to-d/",
    "dangling",
    "dangling/",
    "cycle",
    "cycle/a",
    "here/a",
    "here/here/b",
    "",
    "missing/a",
    "d/missing/a",
];
const LINKS: &[(&str, &str)] =
    &[("link", "a"), ("to-d", "d/"), ("dangling", "nowhere"), ("cycle", "cycle"), ("here", ".")];

/// An xorshift generator: the test needs no better one.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// One of the two machines, with what is open on it.
struct Machine {
    storage: Arc<dyn Storage>,
    base: PathBuf,
    open: Vec<Option<Box<dyn File>>>,
}

/// What an operation answered, without what may differ: times, numbers, owners, places.
type Answer = std::result::Result<String, i32>;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Open(usize, &'static str, bool),
    Make(usize, &'static str, u32),
    Close(usize),
    Read(usize, u64, usize),
    Write(usize, u64, usize, u8),
    SetLen(usize, u64),
    Allocate(usize, u64, u64),
    SetMode(usize, u32),
    Sync(usize, bool),
    TryLock(usize, LockMode),
    Unlock(usize),
    StatFile(usize),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    MakeDir(&'static str, u32),
    RemoveDir(&'static str),
    List(&'static str),
    SyncDir(&'static str),
    Stat(&'static str),
    StatLink(&'static str),
    RealPath(&'static str),
}

fn random_operation(random: &mut Random) -> Operation {
    let slot = random.below(4);
    let (path, other) = (random.pick(PATHS), random.pick(PATHS));
    let mode = u32::try_from(random.below(0o100)).unwrap() | 0o700;
    let offset = random.pick(&[0, 1, 100, 511, 512, 513, 3000, u64::MAX]);
    let size = random.pick(&[0, 1, 10, 512, 1500]);
    match random.below(30) {
        0..=2 => Operation::Open(slot, path, random.below(2) == 0),
        3..=5 => Operation::Make(slot, path, mode),
        6 => Operation::Close(slot),
        7..=8 => Operation::Read(slot, offset, size),
        9..=11 => {
            Operation::Write(slot, offset, size, b'A' + u8::try_from(random.below(26)).unwrap())
        }
        12 if random.below(2) == 0 => Operation::Allocate(slot, offset, size as u64),
        12 => Operation::SetLen(slot, random.pick(&[0, 5, 512, 2000, u64::MAX])),
        13 => Operation::SetMode(slot, mode),
        14 if random.below(8) == 0 => Operation::Sync(slot, random.below(2) == 0),
        14 if random.below(8) == 0 => Operation::SyncDir(path),
        14..=15 => Operation::TryLock(slot, random.pick(&[LockMode::Shared, LockMode::Exclusive])),
        16 => Operation::Unlock(slot),
        17 => Operation::StatFile(slot),
        18..=20 => Operation::Rename(path, other),
        21..=22 => Operation::Remove(path),
        23..=24 => Operation::MakeDir(path, mode),
        25 => Operation::RemoveDir(path),
        26 => Operation::List(path),
        27 => Operation::Stat(path),
        28 => Operation::StatLink(path),
        _ => Operation::RealPath(path),
    }
}

impl Machine {
    fn new(storage: Arc<dyn Storage>, base: PathBuf) -> Self {
        Self { storage, base, open: (0..4).map(|_| None).collect() }
    }

    /// The full path; as text, so that a slash at its end stays.
    fn path(&self, name: &str) -> PathBuf {
        let base = self.base.to_str().unwrap();
        if name.is_empty() { PathBuf::new() } else { format!("{base}/{name}").into() }
    }

    fn apply(&mut self, operation: Operation) -> Answer {
        let answer = match operation {
            Operation::Open(slot, name, writes) => {
                let how = if writes { Open::READ_WRITE } else { Open::READ };
                self.put(slot, self.storage.open(SITE, &self.path(name), how))
            }
            Operation::Make(slot, name, mode) => {
                self.put(slot, self.storage.open(SITE, &self.path(name), Open::new_file(mode)))
            }
            Operation::Close(slot) => {
                self.open[slot] = None;
                Ok(String::new())
            }
            Operation::Rename(from, to) => {
                told(self.storage.rename(SITE, &self.path(from), &self.path(to)))
            }
            Operation::Remove(name) => told(self.storage.remove(SITE, &self.path(name))),
            Operation::MakeDir(name, mode) => {
                told(self.storage.make_dir(SITE, &self.path(name), mode))
            }
            Operation::RemoveDir(name) => told(self.storage.remove_dir(SITE, &self.path(name))),
            Operation::List(name) => self.list(&self.path(name)).map(|names| format!("{names:?}")),
            Operation::SyncDir(name) => told(self.storage.sync_dir(SITE, &self.path(name))),
            Operation::Stat(name) => self.storage.stat(SITE, &self.path(name)).map(described),
            Operation::StatLink(name) => {
                self.storage.stat_link(SITE, &self.path(name)).map(described)
            }
            Operation::RealPath(name) => {
                self.storage.real_path(SITE, &self.path(name)).map(|path| {
                    let top = self.base.parent().unwrap();
                    path.strip_prefix(top).unwrap().display().to_string()
                })
            }
            of_file => self.apply_to_file(of_file),
        };
        answer.map_err(|error| error.errno)
    }

    fn apply_to_file(&self, operation: Operation) -> Result<String> {
        let (Operation::Read(slot, ..)
        | Operation::Write(slot, ..)
        | Operation::SetLen(slot, _)
        | Operation::Allocate(slot, ..)
        | Operation::SetMode(slot, _)
        | Operation::Sync(slot, _)
        | Operation::TryLock(slot, _)
        | Operation::Unlock(slot)
        | Operation::StatFile(slot)) = operation
        else {
            unreachable!("{operation:?} is about a path")
        };
        let Some(file) = &self.open[slot] else { return Ok("nothing open".to_owned()) };
        match operation {
            Operation::Read(_, offset, size) => {
                let mut bytes = vec![0; size];
                let count = file.read_at(SITE, &mut bytes, offset)?;
                Ok(format!("{count} {bytes:?}"))
            }
            Operation::Write(_, offset, size, byte) => {
                Ok(file.write_at(SITE, &vec![byte; size], offset)?.to_string())
            }
            Operation::SetLen(_, size) => told(file.set_len(SITE, size)),
            Operation::Allocate(_, offset, size) => {
                told(file.allocate(SITE, offset, size, Pages::Together))
            }
            Operation::SetMode(_, mode) => told(file.set_mode(SITE, mode)),
            Operation::Sync(_, true) => told(file.sync_all(SITE)),
            Operation::Sync(..) => told(file.sync_data(SITE)),
            Operation::TryLock(_, mode) => Ok(file.try_lock(SITE, mode)?.to_string()),
            Operation::Unlock(_) => told(file.unlock(SITE)),
            _ => file.stat(SITE).map(described),
        }
    }

    fn put(&mut self, slot: usize, opened: Result<Box<dyn File>>) -> Result<String> {
        let file = opened?;
        let description = file.stat(SITE).map(described);
        self.open[slot] = Some(file);
        description
    }

    fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        let mut names = self.storage.read_dir(SITE, path)?;
        names.sort();
        Ok(names)
    }

    /// Everything below a directory, with descriptions and contents.
    fn tree(&self, directory: &Path, into: &mut Vec<String>) {
        for name in self.list(directory).unwrap() {
            let path = directory.join(&name);
            let stat = self.storage.stat_link(SITE, &path).unwrap();
            let place = path.strip_prefix(&self.base).unwrap().display().to_string();
            into.push(format!("{place}: {}", described(stat)));
            if stat.kind == FileKind::Regular {
                let file = self.storage.open(SITE, &path, Open::READ).unwrap();
                let mut bytes = vec![0; usize::try_from(stat.size_bytes).unwrap()];
                file.read_full(SITE, &mut bytes, 0).unwrap();
                into.push(String::from_utf8_lossy(&bytes).into_owned());
            } else if stat.kind == FileKind::Directory {
                self.tree(&path, into);
            }
        }
    }
}

fn told(result: Result<()>) -> Result<String> {
    result.map(|()| String::new())
}

/// The size and the links of a directory are its file system's own business.
fn described(stat: Stat) -> String {
    let Stat { kind, mode, size_bytes, link_count, .. } = stat;
    match kind {
        FileKind::Directory => format!("{kind:?} {mode:o}"),
        _ => format!("{kind:?} {mode:o} {size_bytes} {link_count}"),
    }
}

fn compare(seed: u64) {
    let temporary = tempfile::tempdir().unwrap();
    // The system's own directory for such things may lie behind a link.
    let top = RealStorage.real_path(SITE, temporary.path()).unwrap();
    let mut disk = Disk::new();
    let mut real = Machine::new(Arc::new(RealStorage), top.join("base"));
    real.storage.make_dir(SITE, &real.base, 0o700).unwrap();
    disk.mkdir("/data/base", 0o700);
    for (link, target) in LINKS {
        std::os::unix::fs::symlink(target, real.path(link)).unwrap();
        disk.symlink(target, Path::new("/data/base").join(link));
    }
    let world = World::new(disk, seed);
    let process = world.process();
    let mut simulated = Machine::new(process.storage(), "/data/base".into());

    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut done = Vec::new();
    for _ in 0..OPERATION_COUNT {
        let operation = random_operation(&mut random);
        done.push(operation);
        let (expected, answer) = (real.apply(operation), simulated.apply(operation));
        assert_eq!(answer, expected, "SEED={seed}: {operation:?} after {done:?}");
    }
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    real.tree(&real.base, &mut expected);
    simulated.tree(&simulated.base, &mut found);
    assert_eq!(found, expected, "SEED={seed}: {done:?}");
}

#[test]
fn random_operations_answer_as_on_the_machine_itself() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=SEQUENCE_COUNT).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        compare(seed);
    }
}
