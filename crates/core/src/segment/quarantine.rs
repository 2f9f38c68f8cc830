//! Keeping the bytes that a recovery cuts off (SG-9).
//!
//! ```text
//! quarantine/<segment, 8 hex>-<offset, 8 hex>-<salt, 16 hex>.tail
//! ```
//!
//! The name tells where the bytes were, in which life of the file: a recovery that is done again
//! writes the same file again.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tidemark_storage::{OsError, Site};

use super::file::Segment;
use super::place::Place;
use super::prepare::FILE_MODE;
use crate::error::{Error, ErrorKind, Result};
use crate::temporary::{self, Temporary};

const DIRECTORY: &str = "quarantine";
const DIRECTORY_MODE: u32 = 0o700;
/// Files that quarantine takes; whoever lets more accumulate has another problem.
const FILES_MAX: usize = 16;
/// What is in memory at once.
const PIECE_BYTES: u32 = 1 << 20;

/// Copies bytes of a segment into quarantine, durably.
pub(super) fn keep(place: &Place, segment: &Segment, torn: &Range<u32>) -> Result<PathBuf> {
    let (from, to) = (torn.start, torn.end);
    let directory = place.directory.join(DIRECTORY);
    match place.storage.make_dir(Site::TailQuarantine, &directory, DIRECTORY_MODE) {
        Err(os) if os.errno != OsError::EEXIST => {
            return Err(Error::os("make the directory", &directory, os));
        }
        _ => place.sync_names(Site::TailQuarantine)?,
    }
    temporary::sweep(place.storage.as_ref(), &directory);
    let name = format!("{:08x}-{from:08x}-{:016x}.tail", segment.number(), segment.salt());
    check_room(place, &directory, &name)?;
    let temporary = Temporary::create(&place.storage, &directory, FILE_MODE)?;
    copy(segment, from..to, &temporary)?;
    temporary.sync(Site::TailQuarantineSync)?;
    let path = directory.join(name);
    drop(temporary.rename(Site::TailQuarantineRename, &path)?);
    place
        .storage
        .sync_dir(Site::TailQuarantineSyncDir, &directory)
        .map_err(|os| Error::os("sync the directory", &directory, os))?;
    Ok(path)
}

/// Copies a range of a segment into a file, piece by piece: a torn tail may be as large as its
/// segment.
fn copy(segment: &Segment, range: Range<u32>, to: &Temporary) -> Result<()> {
    let failed = |os| Error::os("copy a torn tail of", segment.path(), os);
    let mut bytes = vec![0; PIECE_BYTES.min(range.end.saturating_sub(range.start)) as usize];
    let mut at = range.start;
    while at < range.end {
        let size = PIECE_BYTES.min(range.end - at);
        bytes.truncate(size as usize);
        segment.read_into(&mut bytes, at)?;
        let offset = u64::from(at - range.start);
        to.file()?.write_all(Site::TempWrite, &bytes, offset).map_err(failed)?;
        at += size;
    }
    Ok(())
}

/// Fails if there is no room for one more file.
fn check_room(place: &Place, directory: &Path, name: &str) -> Result<()> {
    let mut names = place
        .storage
        .read_dir(Site::TailQuarantine, directory)
        .map_err(|os| Error::os("list", directory, os))?;
    names.retain(|name| !temporary::is_temporary(name));
    if names.len() < FILES_MAX || names.contains(&OsString::from(name)) {
        return Ok(());
    }
    let message = format!(
        "a torn write cannot be cut off, because quarantine is full: look at the {} files in {}, \
         and remove what you do not need",
        names.len(),
        directory.display()
    );
    Err(Error::new(ErrorKind::Corrupt, message).at(directory))
}
