//! What Windows tells of an open file.
//!
//! The device is the number of the volume, the inode the number of the file in it: 64 bits on NTFS,
//! whose numbers say how often they were used before, and 128 on `ReFS`, which are mixed into 64.
//! There are no owners and no permission bits: a file has the ones that it would get, and a file
//! that may not be written to lacks those to write.

use std::fs::File;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_READONLY, FILE_ATTRIBUTE_REPARSE_POINT,
    FILE_ATTRIBUTE_TAG_INFO, FILE_BASIC_INFO, FILE_ID_INFO, FILE_STANDARD_INFO,
};

use super::calls;
use super::errno::at;
use crate::{FileId, FileKind, Result, Stat, Timestamp};

/// Set in the tag of a reparse point that leads to something else: a symbolic link, a junction.
/// Others say how the file itself is stored, and are read through.
const NAME_SURROGATE: u32 = 1 << 29;
/// What Windows counts in.
const TICKS_PER_SECOND: i64 = 10_000_000;
const NANOSECONDS_PER_TICK: i64 = 100;
/// From where Windows counts: 1601-01-01, before 1970-01-01.
const EPOCH_SECONDS: i64 = 11_644_473_600;
/// An odd number without a pattern.
const MIXER: u64 = 0x9E37_79B9_7F4A_7C15;

const FILE_MODE: u32 = 0o666;
const DIRECTORY_MODE: u32 = 0o777;
const WRITE_BITS: u32 = 0o222;

/// Describes an open file.
pub(super) fn describe(file: &File) -> Result<Stat> {
    if !calls::is_on_a_disk(file) {
        return Ok(special());
    }
    let failed = at("GetFileInformationByHandleEx");
    let basic: FILE_BASIC_INFO = calls::information(file).map_err(&failed)?;
    let standard: FILE_STANDARD_INFO = calls::information(file).map_err(&failed)?;
    let attributes = basic.FileAttributes;
    let kind = match attributes {
        _ if is_link(file, attributes)? => FileKind::Symlink,
        _ if attributes & FILE_ATTRIBUTE_DIRECTORY != 0 => FileKind::Directory,
        _ => FileKind::Regular,
    };
    let mode = if kind == FileKind::Directory { DIRECTORY_MODE } else { FILE_MODE };
    let is_read_only = kind != FileKind::Directory && attributes & FILE_ATTRIBUTE_READONLY != 0;
    Ok(Stat {
        id: identify(file)?,
        kind,
        // A name that only waits for the last one to close the file is as good as gone.
        link_count: if standard.DeletePending { 0 } else { standard.NumberOfLinks.into() },
        size_bytes: u64::try_from(standard.EndOfFile).unwrap_or_default(),
        mode: if is_read_only { mode & !WRITE_BITS } else { mode },
        user_id: 0,
        group_id: 0,
        modified: timestamp(basic.LastWriteTime),
        changed: timestamp(basic.ChangeTime),
    })
}

/// Whether an open file stands for another one.
fn is_link(file: &File, attributes: u32) -> Result<bool> {
    if attributes & FILE_ATTRIBUTE_REPARSE_POINT == 0 {
        return Ok(false);
    }
    let tag: FILE_ATTRIBUTE_TAG_INFO =
        calls::information(file).map_err(at("GetFileInformationByHandleEx"))?;
    Ok(tag.ReparseTag & NAME_SURROGATE != 0)
}

/// Whether what was opened is only a stand-in for the bytes of the file, because it was opened
/// without following anything: compressed, deduplicated or kept in a cloud.
pub(super) fn is_stand_in(file: &File) -> Result<bool> {
    let basic: FILE_BASIC_INFO =
        calls::information(file).map_err(at("GetFileInformationByHandleEx"))?;
    Ok(basic.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0
        && !is_link(file, basic.FileAttributes)?)
}

/// A pipe, a console, a device: nothing that a store touches.
fn special() -> Stat {
    Stat {
        id: FileId { device: 0, inode: 0 },
        kind: FileKind::Special,
        link_count: 1,
        size_bytes: 0,
        mode: 0,
        user_id: 0,
        group_id: 0,
        modified: Timestamp::default(),
        changed: Timestamp::default(),
    }
}

fn identify(file: &File) -> Result<FileId> {
    if let Ok(long) = calls::information::<FILE_ID_INFO>(file) {
        let number = u128::from_le_bytes(long.FileId.Identifier);
        return Ok(FileId { device: long.VolumeSerialNumber, inode: fold(number) });
    }
    // FAT and its like know no long numbers.
    let (device, inode) = calls::short_id(file).map_err(at("GetFileInformationByHandle"))?;
    Ok(FileId { device: device.into(), inode })
}

/// A number of NTFS as it is; one of `ReFS`, a directory's and one within it, mixed.
#[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
const fn fold(number: u128) -> u64 {
    let (low, high) = (number as u64, (number >> u64::BITS) as u64);
    low ^ high.wrapping_mul(MIXER).rotate_left(32)
}

fn timestamp(ticks: i64) -> Timestamp {
    let nanoseconds = ticks.rem_euclid(TICKS_PER_SECOND) * NANOSECONDS_PER_TICK;
    Timestamp {
        seconds: ticks.div_euclid(TICKS_PER_SECOND) - EPOCH_SECONDS,
        nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_ntfs_stays_and_the_halves_of_another_are_told_apart() {
        assert_eq!(fold(0x0005_0000_0000_1234), 0x0005_0000_0000_1234);
        let of = |directory: u128, file: u128| fold(directory << 64 | file);
        let numbers: std::collections::HashSet<u64> =
            (0..64).flat_map(|one| (0..64).map(move |other| of(one, other))).collect();
        assert_eq!(numbers.len(), 64 * 64);
    }

    #[test]
    fn a_time_is_counted_from_1970() {
        let ticks = (EPOCH_SECONDS + 7) * TICKS_PER_SECOND + 3;
        assert_eq!(timestamp(ticks), Timestamp { seconds: 7, nanoseconds: 300 });
        assert_eq!(timestamp(0).seconds, -EPOCH_SECONDS);
    }
}
