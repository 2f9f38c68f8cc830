//! What Linux tells of a mounted file system and of the locks on it.
//!
//! `statfs` gives the kind. Whether an ext4 has a journal and its barriers on is read from
//! `/proc/fs/ext4/<device>/options`; for the others the mount options in `/proc/self/mountinfo`
//! have the last word. Where `/proc` does not tell, the answer is "unproven", never a guess.

use std::path::Path;

use rustix::fs;

use super::at;
use crate::{FileId, FileSystem, FileSystemClass, Result};

/// Kinds that write new blocks each time: what is filled ahead is never written to again. f2fs is
/// a log as well, but a `fdatasync` writes in place what has a block already, unless it is mounted
/// as a strict log ([`STRICT_LOG`]).
const COPY_ON_WRITE: &[&str] = &["btrfs", "zfs", "bcachefs"];
/// The mount option of f2fs that forbids writing in place (it is the only mode on zoned devices).
const STRICT_LOG: &str = "mode=lfs";

/// Kind by magic number (`statfs(2)`): name, and what it can promise with its defaults.
const KINDS: &[(u64, &str, FileSystemClass)] = &[
    (0xEF53, "ext4", FileSystemClass::Proven),
    (0x5846_5342, "xfs", FileSystemClass::Proven),
    (0x9123_683E, "btrfs", FileSystemClass::Proven),
    (0xF2F5_2010, "f2fs", FileSystemClass::Proven),
    (0x2FC1_2FC1, "zfs", FileSystemClass::Proven),
    (0xCA45_1A4E, "bcachefs", FileSystemClass::Proven),
    (0x0102_1994, "tmpfs", FileSystemClass::Volatile),
    (0x8584_58F6, "ramfs", FileSystemClass::Volatile),
    (0x0000_6969, "nfs", FileSystemClass::Network),
    (0xFF53_4D42, "cifs", FileSystemClass::Network),
    (0xFE53_4D42, "smb2", FileSystemClass::Network),
    (0x0000_517B, "smb", FileSystemClass::Network),
    (0x6573_5546, "fuse", FileSystemClass::Network),
    (0x0102_1997, "9p", FileSystemClass::Network),
    (0x00C3_6400, "ceph", FileSystemClass::Network),
    (0x5346_414F, "afs", FileSystemClass::Network),
    (0x6B41_4653, "kafs", FileSystemClass::Network),
    (0x7461_636F, "ocfs2", FileSystemClass::Network),
    (0x0116_1970, "gfs2", FileSystemClass::Network),
    (0x0BD0_0BD0, "lustre", FileSystemClass::Network),
    (0x786F_4256, "vboxsf", FileSystemClass::Network),
];

/// Describes the file system under `path`.
pub(super) fn file_system(path: &Path) -> Result<FileSystem> {
    let magic = fs::statfs(path).map_err(at("statfs"))?.f_type;
    let flags = fs::statvfs(path).map_err(at("statvfs"))?.f_flag;
    let read_only = flags.contains(fs::StatVfsMountFlags::RDONLY);
    let device = fs::stat(path).map_err(at("stat"))?.st_dev;
    let number = (fs::major(device), fs::minor(device));
    #[expect(clippy::cast_sign_loss, reason = "a magic number is a bit pattern")]
    let magic = magic as u64 & 0xFFFF_FFFF;
    let Some((_, name, class)) = KINDS.iter().find(|(known, ..)| *known == magic) else {
        return Ok(FileSystem {
            name: format!("{magic:#x}"),
            class: FileSystemClass::Unproven,
            reason: "this kind of file system is not known".to_owned(),
            read_only,
            overwrites_in_place: false,
        });
    };
    let reason = match class {
        FileSystemClass::Proven if *name == "ext4" => ext4_weakness(number),
        FileSystemClass::Proven => mount_weakness(number),
        FileSystemClass::Volatile => "it is kept in memory".to_owned(),
        FileSystemClass::Network => "its locks and syncs may not reach the disk".to_owned(),
        FileSystemClass::Unproven => String::new(),
    };
    let class = match class {
        FileSystemClass::Proven if !reason.is_empty() => FileSystemClass::Unproven,
        class => *class,
    };
    let overwrites_in_place = overwrites_in_place(name, class, number);
    Ok(FileSystem { name: (*name).to_owned(), class, reason, read_only, overwrites_in_place })
}

/// Whether a rewrite goes to the same blocks.
fn overwrites_in_place(name: &str, class: FileSystemClass, number: (u32, u32)) -> bool {
    match name {
        _ if class == FileSystemClass::Network => false,
        "f2fs" => mount_options(number).is_some_and(|table| !has_option(&table, STRICT_LOG)),
        name => !COPY_ON_WRITE.contains(&name),
    }
}

/// What an ext2, 3 or 4 lacks; empty if nothing.
fn ext4_weakness((major, minor): (u32, u32)) -> String {
    let unknown = || "whether it has a journal could not be read from /proc/fs/ext4".to_owned();
    let Some(target) = read_link(&format!("/sys/dev/block/{major}:{minor}")) else {
        return unknown();
    };
    let Some(name) = Path::new(&target).file_name().and_then(|name| name.to_str()) else {
        return unknown();
    };
    let Some(options) = read_text(&format!("/proc/fs/ext4/{name}/options")) else {
        return unknown();
    };
    if !options.lines().any(|line| line.starts_with("data=")) {
        // The kernel prints the journal's data mode only where there is a journal.
        "it has no journal".to_owned()
    } else if options.lines().any(|line| line == "nobarrier") {
        "its write barriers are off".to_owned()
    } else {
        String::new()
    }
}

/// What the mount options of another file system take away; empty if nothing.
fn mount_weakness(number: (u32, u32)) -> String {
    match mount_options(number) {
        None => "its mount options could not be read from /proc/self/mountinfo".to_owned(),
        Some(table) if has_option(&table, "nobarrier") || has_option(&table, "barrier=0") => {
            "its write barriers are off".to_owned()
        }
        Some(_) => String::new(),
    }
}

/// The options of the superblock on a device, for each mount of it; nothing if they cannot be read.
fn mount_options((major, minor): (u32, u32)) -> Option<Vec<String>> {
    let number = format!("{major}:{minor}");
    let table = read_text("/proc/self/mountinfo")?;
    // The fields of proc(5): the third is the device, the last one the superblock's options.
    let ours = table
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(number.as_str()))
        .filter_map(|line| line.rsplit(' ').next());
    Some(ours.map(str::to_owned).collect())
}

fn has_option(table: &[String], wanted: &str) -> bool {
    table.iter().flat_map(|options| options.split(',')).any(|option| option == wanted)
}

/// The process that holds a lock on a file, from `/proc/locks`.
pub(super) fn lock_holder(file: FileId) -> Option<u32> {
    let id =
        format!("{:02x}:{:02x}:{}", fs::major(file.device), fs::minor(file.device), file.inode);
    // "1: FLOCK  ADVISORY  WRITE 813 fe:00:1835 0 EOF"; a line with "->" waits.
    read_text("/proc/locks")?.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, _, holder, inode, ..] if *inode == id => holder.parse().ok(),
            _ => None,
        }
    })
}

/// Reads one of the kernel's text files; nothing if it cannot be read.
fn read_text(path: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the kernel's own tables are not a disk")]
    std::fs::read_to_string(path).ok()
}

/// Reads one of the kernel's links; nothing if it cannot be read.
fn read_link(path: &str) -> Option<std::path::PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the kernel's own tables are not a disk")]
    std::fs::read_link(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which kinds are filled ahead: those whose blocks stay where they are.
    #[test]
    fn only_what_keeps_its_blocks_is_said_to_overwrite_in_place() {
        // A device that nothing is mounted from: no option is known, none is against it.
        let nowhere = (0, 0);
        let found: Vec<_> = KINDS
            .iter()
            .filter(|(_, name, class)| overwrites_in_place(name, *class, nowhere))
            .map(|(_, name, _)| *name)
            .collect();
        assert_eq!(found, ["ext4", "xfs", "f2fs", "tmpfs", "ramfs"]);
    }

    #[test]
    fn an_option_is_found_as_a_whole_word() {
        let table = ["rw,mode=lfs".to_owned(), "rw,nobarriers,x=barrier=0".to_owned()];
        assert!(has_option(&table, STRICT_LOG) && has_option(&table, "rw"));
        assert!(!has_option(&table, "nobarrier") && !has_option(&table, "barrier=0"));
        assert!(!has_option(&[], "rw"));
    }
}
