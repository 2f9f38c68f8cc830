//! One segment file that is open: its header is checked, its name leads to it.
//!
//! Every holder has a shared lock on it, so that nobody recycles it under them (SG-7). Who holds
//! the other lock is about to rename the file: nobody waits for that in the kernel, where a holder
//! that is stopped would keep them for ever.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tidemark_storage::{Access, File, FileKind, LockMode, Map, Open, OsError, Site, Storage};

use super::format::{BLOCK, FRAME_HEADER_BYTES, FrameHeader, Reason, block_up};
use super::frame::Frame;
use super::header::{Header, HeaderDefect};
use super::seal::{Link, Seal};
use super::{BLOCK_BYTES, FIRST_OFFSET, Io, Position};
use crate::error::{Error, ErrorKind, Result};

/// How often a path is looked at again whose file was replaced while it was opened.
const ATTEMPTS_MAX: usize = 8;
/// How often a file is tried that somebody renames, and for how long it is left alone then: a
/// second in all.
const LOCK_ATTEMPTS_MAX: u32 = 150;
const LOCK_PAUSE: Duration = Duration::from_micros(100);
const LOCK_PAUSE_MAX: Duration = Duration::from_millis(10);
/// From so many bytes on a call is quicker than a fault for each page of a map.
const CALL_BYTES_MIN: usize = 8 * BLOCK;
/// The smallest file: one that a recovery cut has a block of frames at least.
const FILE_BYTES_MIN: u64 = 3 * BLOCK as u64;

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    header: Header,
    path: PathBuf,
    size_bytes: u32,
    file: Box<dyn File>,
    map: Option<Box<dyn Map>>,
}

/// Damage at an offset of a file.
pub(super) fn corrupt(path: &Path, offset: u32, reason: &str) -> Error {
    let message = format!("{} is damaged at offset {offset}: {reason}", path.display());
    Error::new(ErrorKind::Corrupt, message).at(path).at_offset(u64::from(offset))
}

/// Somebody has had a segment locked for too long, to rename it.
fn stuck(path: &Path, holder: Option<u32>) -> Error {
    let who = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let message = format!(
        "{who} is giving {} another name and does not get on; let it go on, or end it",
        path.display()
    );
    Error::new(ErrorKind::LockTimeout, message).at(path).held_by(holder)
}

/// The name of a segment's file.
pub(super) fn file_name(number: u32) -> String {
    format!("{number:08x}.segment")
}

impl Segment {
    /// Opens the segment that has this number's name, and checks its header.
    pub(super) fn open(
        storage: &dyn Storage,
        directory: &Path,
        number: u32,
        io: Io,
        how: Open,
    ) -> Result<Self> {
        let path = directory.join(file_name(number));
        let (mut replaced, mut locked) = (0, 0);
        while replaced < ATTEMPTS_MAX {
            let failed = |os| Error::os("open", &path, os);
            let file = storage.open(Site::SegmentOpen, &path, how).map_err(failed)?;
            let stat = file.stat(Site::SegmentOpen).map_err(failed)?;
            if stat.kind != FileKind::Regular {
                return Err(corrupt(&path, 0, "it is not a regular file"));
            }
            if !file.try_lock(Site::SegmentLock, LockMode::Shared).map_err(failed)? {
                locked += 1;
                if locked == LOCK_ATTEMPTS_MAX {
                    return Err(stuck(&path, file.lock_holder(Site::SegmentLock)));
                }
                // The file is opened anew then: its name may be gone, or lead to another one.
                thread::park_timeout(LOCK_PAUSE.saturating_mul(locked).min(LOCK_PAUSE_MAX));
                continue;
            }
            let named = storage.stat_link(Site::SegmentVerify, &path).map_err(failed)?;
            if named.id == stat.id {
                let segment = Self::read(path, file, io, how)?;
                if segment.number() != number {
                    let reason = "its header has another number than its name";
                    return Err(corrupt(&segment.path, 0, reason));
                }
                return Ok(segment);
            }
            replaced += 1;
        }
        let message = format!("{} is replaced again and again", path.display());
        Err(Error::new(ErrorKind::Io, message).at(&path))
    }

    fn read(path: PathBuf, file: Box<dyn File>, io: Io, how: Open) -> Result<Self> {
        let stat = file.stat(Site::SegmentOpen).map_err(|os| Error::os("look at", &path, os))?;
        if stat.link_count != 1 {
            return Err(corrupt(&path, 0, "the file has another name, too"));
        }
        let size_bytes = u32::try_from(stat.size_bytes)
            .ok()
            .filter(|size| stat.size_bytes >= FILE_BYTES_MIN && size.is_multiple_of(BLOCK_BYTES));
        let size_bytes =
            size_bytes.ok_or_else(|| corrupt(&path, 0, "the file has no segment's size"))?;
        let mut block = [0; BLOCK];
        let count = file
            .read_full(Site::SegmentRead, &mut block, 0)
            .map_err(|os| Error::os("read", &path, os))?;
        if count < BLOCK {
            return Err(corrupt(&path, 0, "the file is cut off"));
        }
        let writes = how.access == Access::ReadWrite;
        let header = Header::decode(&block, writes).map_err(|defect| match defect {
            HeaderDefect::Damaged(reason) => corrupt(&path, 0, reason),
            HeaderDefect::TooNew(version) => {
                let message = format!(
                    "{} needs a program that knows version {version} of its format",
                    path.display()
                );
                Error::new(ErrorKind::UnsupportedFileVersion, message).at(&path)
            }
        })?;
        if size_bytes > header.size_bytes {
            return Err(corrupt(&path, 0, "the file is larger than its header says"));
        }
        Self::new(header, path, size_bytes, file, io)
    }

    /// Takes a file whose header was just written, or read.
    pub(super) fn new(
        header: Header,
        path: PathBuf,
        size_bytes: u32,
        file: Box<dyn File>,
        io: Io,
    ) -> Result<Self> {
        let map = (io == Io::Mapped).then(|| file.map(Site::SegmentMap, size_bytes as usize));
        let map = map.transpose().map_err(|os| Error::os("map", &path, os))?;
        Ok(Self { header, path, size_bytes, file, map })
    }

    /// The number of the segment.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.header.number
    }

    /// The size of the file.
    #[must_use]
    pub const fn size_bytes(&self) -> u32 {
        self.size_bytes
    }

    /// The size of the file when it was made: a recovery may have cut it since.
    #[must_use]
    pub const fn made_bytes(&self) -> u32 {
        self.header.size_bytes
    }

    /// The offset of the seal's block: no frame reaches beyond it.
    #[must_use]
    pub const fn frames_end(&self) -> u32 {
        self.size_bytes - BLOCK_BYTES
    }

    /// Where the file is, or was when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    pub(super) const fn salt(&self) -> u64 {
        self.header.salt
    }

    pub(super) fn file(&self) -> &dyn File {
        self.file.as_ref()
    }

    /// Damage at an offset of this segment.
    #[must_use]
    pub fn corrupt(&self, offset: u32, reason: &'static str) -> Error {
        corrupt(&self.path, offset, reason)
    }

    /// Fails unless the file has the size that its header tells: so it is with every segment but
    /// one that a recovery cut, which is sealed.
    pub(super) fn check_whole(&self) -> Result<()> {
        if self.size_bytes == self.header.size_bytes {
            Ok(())
        } else {
            Err(self.corrupt(self.size_bytes, "the file is cut off"))
        }
    }

    /// Copies bytes out, all of them.
    pub(super) fn read_into(&self, into: &mut [u8], offset: u32) -> Result<()> {
        let failed = |os: OsError| Error::os("read", &self.path, os).at_offset(u64::from(offset));
        if let Some(map) = &self.map {
            return map.read(Site::SegmentRead, offset as usize, into).map_err(failed);
        }
        let count = self.file.read_full(Site::SegmentRead, into, u64::from(offset));
        if count.map_err(failed)? < into.len() {
            return Err(self.corrupt(offset, "the file is cut off"));
        }
        Ok(())
    }

    /// Whether it makes sense to read more than is asked for. Through a map it saves no call, and a
    /// page that is lost takes the others with it.
    pub(super) const fn reads_ahead(&self) -> bool {
        self.map.is_none()
    }

    /// Copies out at least the first `needed` bytes, and as many of the others as can be had; how
    /// many that is. Through a map nothing is read ahead: it saves no call, and a page that is lost
    /// takes the others with it.
    pub(super) fn read_ahead(&self, into: &mut [u8], offset: u32, needed: usize) -> Result<usize> {
        if into.len() > needed
            && let Ok(count) = self.file.read_full(Site::SegmentRead, into, u64::from(offset))
            && count >= needed
        {
            return Ok(count);
        }
        let wanted = into.get_mut(..needed).unwrap_or_default();
        self.read_into(wanted, offset)?;
        Ok(needed)
    }

    /// Writes whole blocks. A map sees them as well: it shows the pages that the call
    /// writes to, and a sync of it brings all of the file's to the medium.
    pub(super) fn write_blocks(&self, site: Site, bytes: &[u8], offset: u32) -> Result<()> {
        debug_assert!(bytes.len().is_multiple_of(BLOCK), "SG-10: whole blocks are written");
        let written = match &self.map {
            Some(map) if bytes.len() < CALL_BYTES_MIN => map.write(site, offset as usize, bytes),
            _ => self.file.write_all(site, bytes, u64::from(offset)),
        };
        written.map_err(|os| Error::os("write", &self.path, os).at_offset(u64::from(offset)))
    }

    /// Brings what was written to the medium. A failure is final.
    pub(super) fn sync(&self, site: Site) -> Result<()> {
        let synced = match &self.map {
            Some(map) => map.sync(site),
            None => self.file.sync_data(site),
        };
        synced.map_err(|os| Error::os("sync", &self.path, os).indeterminate())
    }

    /// The frame at an offset. All of it is checked but its chain: what lies below a published
    /// position is part of the log.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT` with path and offset; `TIDEMARK_IO`.
    pub fn read_frame(&self, offset: u32) -> Result<Frame> {
        self.try_frame(offset)?.map_err(|reason| self.corrupt(offset, reason))
    }

    fn try_frame(&self, offset: u32) -> Result<Result<Frame, Reason>> {
        if offset > self.frames_end() - FRAME_HEADER_BYTES {
            return Ok(Err("there is no room for a frame"));
        }
        // A frame of up to a block ends with the block at the latest: one read gets it.
        let block_end = block_up(offset + FRAME_HEADER_BYTES).min(self.frames_end());
        let mut bytes = vec![0; (block_end - offset) as usize];
        self.read_into(&mut bytes, offset)?;
        let start = Position::new(self.number(), offset);
        let header = match FrameHeader::decode(&bytes, self.salt(), start, self.frames_end()) {
            Ok(header) => header,
            Err(reason) => return Ok(Err(reason)),
        };
        let read = bytes.len();
        bytes.resize(header.frame_bytes() as usize, 0);
        if let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            self.read_into(rest, block_end)?;
        }
        Ok(Frame::check(header, bytes))
    }

    /// Whether this is the same segment in the same life of its file.
    #[must_use]
    pub fn is_same_life(&self, other: &Self) -> bool {
        self.header == other.header
    }

    /// The first frame, if the segment is begun; what is wrong with it, if it is not.
    pub(super) fn link(&self) -> Result<Result<(Link, Vec<u8>), Reason>> {
        let frame = match self.try_frame(FIRST_OFFSET)? {
            Ok(frame) => frame,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(frame.as_link().and_then(|(link, preamble)| {
            let follows = frame.follows(link.chain, self.salt());
            if follows { Ok((link, preamble.to_vec())) } else { Err("the link's chain is broken") }
        }))
    }

    /// The seal, if there is a valid one.
    pub(super) fn seal(&self) -> Result<Result<Seal, Reason>> {
        let mut block = [0; BLOCK];
        self.read_into(&mut block, self.frames_end())?;
        Ok(Seal::decode(&block, self.salt(), self.number(), self.frames_end()))
    }
}
