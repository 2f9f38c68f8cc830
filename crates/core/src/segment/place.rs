//! The directory of a log: what is in it, and how it is reached.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_storage::{Open, Site, Storage};

use super::file::{Segment, corrupt};
use super::{BLOCK_BYTES, LogOptions, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::error::{Error, ErrorKind, Result};
use crate::temporary;

const SEGMENT_SUFFIX: &str = ".segment";
const SPARE_SUFFIX: &str = ".spare";

/// Where a log is, and how it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) directory: PathBuf,
    pub(super) options: LogOptions,
    pub(super) how: Open,
}

/// The files of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Numbers of the segments, ascending.
    pub(super) segments: Vec<u32>,
    pub(super) spares: Vec<PathBuf>,
}

impl Place {
    pub(super) fn new(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        options: &LogOptions,
        how: Open,
    ) -> Result<Self> {
        let size = options.segment_bytes;
        let sizes = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
        if !sizes.contains(&size) || !size.is_multiple_of(BLOCK_BYTES) {
            let message = format!(
                "a segment has a multiple of {BLOCK_BYTES} bytes, from {SEGMENT_BYTES_MIN} to \
                 {SEGMENT_BYTES_MAX}, not {size}"
            );
            return Err(Error::invalid_argument(message));
        }
        let (storage, directory) = (Arc::clone(storage), directory.to_owned());
        Ok(Self { storage, directory, options: *options, how })
    }

    /// Brings the names to the medium.
    pub(super) fn sync_names(&self, site: Site) -> Result<()> {
        self.storage
            .sync_dir(site, &self.directory)
            .map_err(|os| Error::os("sync the directory", &self.directory, os))
    }

    /// Lists the files of the log; other names are none of our business.
    pub(super) fn list(&self) -> Result<Names> {
        let listed = self.storage.read_dir(Site::SegmentList, &self.directory);
        let listed = listed.map_err(|os| Error::os("list", &self.directory, os))?;
        let mut names = Names::default();
        for name in listed {
            if let Some(number) = segment_number(&name) {
                names.segments.push(number);
            } else if is_spare(&name) {
                names.spares.push(self.directory.join(name));
            }
        }
        names.segments.sort_unstable();
        names.spares.sort_unstable();
        Ok(names)
    }

    /// Fails if a number is missing between the first and the last.
    pub(super) fn check_gaps(&self, segments: &[u32]) -> Result<()> {
        let gap = segments.windows(2).find_map(|pair| match pair {
            [one, two] => one.checked_add(1).filter(|expected| expected != two),
            _ => None,
        });
        gap.map_or(Ok(()), |missing| Err(self.missing(missing)))
    }

    /// A segment that is gone, though it may not be.
    pub(super) fn missing(&self, number: u32) -> Error {
        corrupt(&self.path_of(number), 0, "the segment is missing")
    }

    pub(super) fn path_of(&self, number: u32) -> PathBuf {
        self.directory.join(super::file::file_name(number))
    }

    /// Opens a segment, which must be of this kind of log.
    pub(super) fn open(&self, number: u32) -> Result<Segment> {
        let (storage, options) = (self.storage.as_ref(), &self.options);
        let segment = Segment::open(storage, &self.directory, number, options.io, self.how)?;
        if segment.header().kind != options.kind {
            let message = format!(
                "{} belongs to a log of the kind {}, not {}",
                segment.path().display(),
                segment.header().kind.escape_ascii(),
                options.kind.escape_ascii()
            );
            return Err(Error::new(ErrorKind::Conflict, message).at(segment.path()));
        }
        Ok(segment)
    }

    /// Removes a file; one that is gone already is as good.
    pub(super) fn remove(&self, site: Site, path: &Path) -> Result<()> {
        match self.storage.remove(site, path) {
            Err(os) if !os.is_not_found() => Err(Error::os("remove", path, os)),
            _ => Ok(()),
        }
    }

    /// Takes a segment's name away, durably; returns the spare that it is then. If the directory
    /// cannot be synced it gets its name back: otherwise the medium might keep the name for good,
    /// and a later removal of the segment that follows would leave a gap behind it.
    pub(super) fn take_name(&self, path: &Path) -> Result<PathBuf> {
        let spare = self.spare_path()?;
        self.storage
            .rename(Site::RecycleRename, path, &spare)
            .map_err(|os| Error::os("make a spare of", path, os))?;
        self.sync_names(Site::RecycleSyncDir).inspect_err(|_| {
            // The sync's failure is what the caller has to know.
            let _named = self.storage.rename(Site::RecycleUndo, &spare, path);
        })?;
        Ok(spare)
    }

    /// Draws random bytes.
    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N]> {
        temporary::random(self.storage.as_ref(), Site::SegmentRandom)
    }

    /// A salt: never 0.
    pub(super) fn salt(&self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.random()?).max(1))
    }

    /// A name for a spare.
    pub(super) fn spare_path(&self) -> Result<PathBuf> {
        let number = u128::from_le_bytes(self.random()?);
        Ok(self.directory.join(format!("{number:032x}{SPARE_SUFFIX}")))
    }
}

/// Lower-case hex digits of this number, and no others.
fn is_hex(digits: &str, count: usize) -> bool {
    digits.len() == count && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

fn segment_number(name: &OsStr) -> Option<u32> {
    let digits = name.to_str()?.strip_suffix(SEGMENT_SUFFIX)?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (is_hex(digits, 8) && number > 0).then_some(number)
}

fn is_spare(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_suffix(SPARE_SUFFIX));
    digits.is_some_and(|digits| is_hex(digits, 32))
}
