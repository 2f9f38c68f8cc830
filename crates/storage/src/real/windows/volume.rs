//! What Windows tells of the volume under a path.
//!
//! No kind is called proven: no test of the promise was ever run on this system.

use std::path::Path;

use windows_sys::Win32::System::SystemServices::FILE_READ_ONLY_VOLUME;
use windows_sys::Win32::System::WindowsProgramming::{DRIVE_RAMDISK, DRIVE_REMOTE};

use super::errno::at;
use super::{calls, paths};
use crate::{FileSystem, FileSystemClass, Result};

/// Kinds that write a block where it was. `ReFS` may write anywhere.
const IN_PLACE: &[&str] = &["NTFS", "exFAT", "FAT32", "FAT"];
/// Kinds that keep a journal of names.
const JOURNALED: &[&str] = &["NTFS", "ReFS"];

/// Describes the file system under `path`.
pub(super) fn file_system(path: &Path) -> Result<FileSystem> {
    let root = calls::volume_of(&paths::wide(path)?).map_err(at("GetVolumePathNameW"))?;
    let (name, flags) = calls::volume(&root).map_err(at("GetVolumeInformationW"))?;
    let (class, reason) = judge(calls::drive_type(&root), &name);
    let overwrites_in_place =
        class != FileSystemClass::Network && IN_PLACE.contains(&name.as_str());
    let read_only = flags & FILE_READ_ONLY_VOLUME != 0;
    Ok(FileSystem { name, class, reason: reason.to_owned(), read_only, overwrites_in_place })
}

fn judge(drive: u32, name: &str) -> (FileSystemClass, &'static str) {
    match drive {
        DRIVE_REMOTE => (FileSystemClass::Network, "its locks and syncs may not reach the disk"),
        DRIVE_RAMDISK => (FileSystemClass::Volatile, "it is kept in memory"),
        _ if JOURNALED.contains(&name) => {
            (FileSystemClass::Unproven, "the promise was never tested on Windows")
        }
        _ => (FileSystemClass::Unproven, "it keeps no journal of names"),
    }
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::System::WindowsProgramming::DRIVE_FIXED;

    use super::*;

    #[test]
    fn no_kind_is_called_proven_and_a_share_is_a_network() {
        assert_eq!(judge(DRIVE_FIXED, "NTFS").0, FileSystemClass::Unproven);
        assert_eq!(
            judge(DRIVE_FIXED, "FAT32"),
            (FileSystemClass::Unproven, "it keeps no journal of names")
        );
        assert_eq!(judge(DRIVE_REMOTE, "NTFS").0, FileSystemClass::Network);
        assert_eq!(judge(DRIVE_RAMDISK, "NTFS").0, FileSystemClass::Volatile);
    }
}
