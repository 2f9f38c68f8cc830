//! What macOS tells of a mounted file system. Compiled as far as types go; never run.
//!
//! No kind is called proven: no test of the promise was ever run on this system. Who holds a lock
//! cannot be asked.

use std::path::Path;

use rustix::fs;

use super::at;
use crate::{FileId, FileSystem, FileSystemClass, Result};

/// Kinds that write a block where it was. APFS may write anywhere.
const IN_PLACE: &[&str] = &["hfs"];
/// Kinds behind which another program or machine stands, although a mount may say that it is local:
/// macFUSE in its versions, and what a virtual machine gets of its host.
const ELSEWHERE: &[&str] = &["macfuse", "osxfuse", "osxfusefs", "fusefs", "virtiofs"];

/// Describes the file system under `path`.
pub(super) fn file_system(path: &Path) -> Result<FileSystem> {
    let stat = fs::statfs(path).map_err(at("statfs"))?;
    let name: Vec<u8> = stat
        .f_fstypename
        .iter()
        .map(|character| character.to_ne_bytes()[0])
        .take_while(|byte| *byte != 0)
        .collect();
    let name = String::from_utf8_lossy(&name).into_owned();
    let has = |flag: i32| stat.f_flags & flag.unsigned_abs() != 0;
    let (class, reason) = if has(libc::MNT_LOCAL) && !ELSEWHERE.contains(&name.as_str()) {
        (FileSystemClass::Unproven, "the promise was never tested on macOS")
    } else {
        (FileSystemClass::Network, "its locks and syncs may not reach the disk")
    };
    let overwrites_in_place =
        class != FileSystemClass::Network && IN_PLACE.contains(&name.as_str());
    let read_only = has(libc::MNT_RDONLY);
    Ok(FileSystem { name, class, reason: reason.to_owned(), read_only, overwrites_in_place })
}

/// The process that holds a lock on a file: nobody tells.
pub(super) fn lock_holder(_file: FileId) -> Option<u32> {
    None
}
