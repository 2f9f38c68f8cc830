//! File systems of a test's own: a loop device on an image, which may lie on a full tmpfs. They are
//! unmounted and their images removed whatever becomes of the test.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Says what was not tested.
pub(crate) fn skip(what: &str, why: &str) {
    println!("SKIPPED: {what} cannot be made: {why}");
}

/// Runs a program; what it complains of, if it fails.
fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", complaint.trim())) }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A mount point that is unmounted with it.
struct MountPoint(TempDir);

impl MountPoint {
    fn mount(args: &[&str]) -> Result<Self, String> {
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = place.path().to_owned();
        run("mount", &[args, &[text(&path)]].concat())?;
        Ok(Self(place))
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if let Err(why) = run("umount", &[text(self.0.path())]) {
            // Somebody still has a file open there: it goes with the last one.
            let _told = run("umount", &["--lazy", text(self.0.path())])
                .map_err(|lazy| println!("{why}; {lazy}"));
        }
    }
}

/// A file system in memory, of a limited size.
pub(crate) struct Tmpfs(MountPoint);

impl Tmpfs {
    pub(crate) fn new(size_bytes: u64) -> Result<Self, String> {
        let size = format!("size={size_bytes}");
        MountPoint::mount(&["-t", "tmpfs", "-o", &size, "tmpfs"]).map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.0.path()
    }
}

/// An ext4 with a journal, on a loop device.
pub(crate) struct Mounted {
    point: MountPoint,
    image: PathBuf,
    /// Where the image lies, if it is ours.
    place: Option<TempDir>,
}

impl Mounted {
    pub(crate) fn new(size_bytes: u64) -> Result<Self, String> {
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mounted = Self::within(place.path(), size_bytes)?;
        Ok(Self { place: Some(place), ..mounted })
    }

    /// On a sparse image in a directory, which may be too small for all of it.
    pub(crate) fn within(directory: &Path, size_bytes: u64) -> Result<Self, String> {
        let image = directory.join("image");
        let file = File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(size_bytes).map_err(|error| error.to_string())?;
        drop(file);
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-b", "4096", "-E", "nodiscard", text(&image)])?;
        let point = MountPoint::mount(&["-o", "loop", text(&image)])?;
        Ok(Self { point, image, place: None })
    }

    pub(crate) fn path(&self) -> &Path {
        self.point.0.path()
    }

    /// Unmounts it and mounts it again: what only its cache had is gone.
    pub(crate) fn again(self) -> Result<Self, String> {
        let Self { point, image, place } = self;
        drop(point);
        let point = MountPoint::mount(&["-o", "loop", text(&image)])?;
        Ok(Self { point, image, place })
    }

    /// Takes the room of all blocks of zeros away from the image: only what was written is there.
    pub(crate) fn dig_holes(&self) -> Result<(), String> {
        run("sync", &["--file-system", text(self.path())])?;
        run("fallocate", &["--dig-holes", text(&self.image)])
    }

    /// Has the device written to a block at a time, until what is returned is dropped. A loop
    /// device takes a write of which its file took a part for one that succeeded: seen on Linux
    /// 6.18 with two blocks, of which the first had room and the second had not.
    pub(crate) fn one_block_at_a_time(&self) -> Result<Limit, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|error| error.to_string())?;
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let own = mounts.find(|line| line.get(1) == Some(&text(self.path())));
        let device = own.and_then(|line| line.first()?.strip_prefix("/dev/").map(str::to_owned));
        let device = device.ok_or("its device is not found")?;
        let knob = PathBuf::from(format!("/sys/block/{device}/queue/max_sectors_kb"));
        let before = fs::read_to_string(&knob).map_err(|error| error.to_string())?;
        fs::write(&knob, "4").map_err(|error| error.to_string())?;
        Ok(Limit { knob, before })
    }

    pub(crate) fn remount_read_only(&self) -> Result<(), String> {
        run("mount", &["-o", "remount,ro", text(self.path())])
    }
}

/// A limit of a device, which is as it was once this is dropped.
pub(crate) struct Limit {
    knob: PathBuf,
    before: String,
}

impl Drop for Limit {
    fn drop(&mut self) {
        fs::write(&self.knob, self.before.trim()).expect("it was written before");
    }
}

/// A file that takes all the room there is, until it is dropped.
pub(crate) struct Ballast(PathBuf);

pub(crate) fn fill(directory: &Path) -> Ballast {
    let path = directory.join("ballast");
    let mut file = File::create(&path).expect("there is room for a name");
    // Smaller and smaller, so that not even a block is left.
    for size in [1 << 20, 1 << 12] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    let _nothing_more_fits = file.sync_all();
    Ballast(path)
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("it is ours");
    }
}
