//! Making the files that become segments (SG-4, SG-5).
//!
//! ```text
//! new file    temporary -> blocks -> header -> sync -> rename -> directory sync
//! spare       header with a new salt -> sync -> rename -> directory sync
//! ```
//!
//! A log that is closed does not wait for a whole new file: the fill is given up between pieces,
//! and the temporary removed. Of a spare there is no more than the header to write.
//!
//! Recovery: a temporary that nobody holds is swept; a prepared segment is not believed by the
//! next process, but becomes a spare again.

use std::path::Path;
use std::sync::Arc;

use tidemark_storage::{File, FileKind, LockMode, Open, Pages, Site};

use super::Io;
use super::file::Segment;
use super::format::BLOCK;
use super::header::Header;
use super::log::Log;
use super::place::Place;
use crate::error::{Error, Result};
use crate::temporary::Temporary;

/// Permission bits of every file of a log.
pub(super) const FILE_MODE: u32 = 0o600;

/// What is filled before it is asked again whether somebody waits, or the log is closed.
const FILL_PIECE_BYTES: u64 = 1 << 20;
/// What is filled before it is synced: a sync in one piece could not be given up.
const FILL_SYNC_BYTES: u64 = 16 << 20;

/// A file without a segment's name, filled, with its header; not synced.
pub(super) struct Blank {
    pub(super) temporary: Temporary,
    pub(super) header: Header,
}

impl Blank {
    /// Makes one of this size.
    pub(super) fn make(log: &Log, number: u32, size_bytes: u32) -> Result<Self> {
        let place = log.place();
        let header = header(log, number, size_bytes, 0)?;
        let temporary = Temporary::create(&place.storage, &place.directory, FILE_MODE)?;
        let failed = |os| Error::os("make room for a segment in", &place.directory, os);
        let file = temporary.file()?;
        let size = u64::from(size_bytes);
        if place.options.prefill {
            fill(log, file, size)?;
        }
        // Also where the blocks exist: they may reach beyond, or end before, what was asked for.
        file.set_len(Site::PrepareFill, size).map_err(failed)?;
        file.write_all(Site::PrepareHeader, &header.encode(), 0).map_err(failed)?;
        Ok(Self { temporary, header })
    }

    /// Gives it its name. A failure is indeterminate unless it certainly did nothing.
    pub(super) fn name(self, log: &Log, site: Site) -> Result<Segment> {
        let place = log.place();
        let path = place.path_of(self.header.number);
        let file = self.temporary.rename(site, &path)?;
        adopt(place, self.header, &path, file)
    }
}

/// Writes the blocks of a file. If somebody waits for it, the rest is only reserved: the first
/// write to each of those blocks costs a journal commit, but a writer that fills segments faster
/// than they are made writes many of them at once.
fn fill(log: &Log, file: &dyn File, size_bytes: u64) -> Result<()> {
    let failed = |os| Error::os("make room for a segment in", log.directory(), os);
    let pages = match log.place().options.io {
        Io::Positional => Pages::Together,
        Io::Mapped => Pages::Single,
    };
    let mut done = 0;
    while done < size_bytes {
        log.check_preparing()?;
        if log.is_needed_now() {
            return file.reserve(Site::PrepareFill, 0, size_bytes).map_err(failed);
        }
        let piece = FILL_PIECE_BYTES.min(size_bytes - done);
        file.allocate(Site::PrepareFill, done, piece, pages).map_err(failed)?;
        done += piece;
        if done.is_multiple_of(FILL_SYNC_BYTES) && done < size_bytes {
            file.sync_data(Site::PrepareSync).map_err(failed)?;
        }
    }
    Ok(())
}

/// The header of a new life.
fn header(log: &Log, number: u32, size_bytes: u32, lives: u32) -> Result<Header> {
    let (kind, log_id, salt) = (log.place().options.kind, log.log_id(), log.place().salt()?);
    Ok(Header { kind, log_id, number, size_bytes, salt, lives })
}

/// Makes an open segment of a file that just got its name.
fn adopt(place: &Place, header: Header, path: &Path, file: Box<dyn File>) -> Result<Segment> {
    file.lock(Site::SegmentLock, LockMode::Shared).map_err(|os| Error::os("lock", path, os))?;
    Segment::new(header, path.to_owned(), header.size_bytes, file, place.options.io)
}

impl Log {
    /// Prepares the segment with this number, which follows the newest one: of a spare, or as a
    /// new file. One that is there already is given at once. The caller holds the log's lock.
    ///
    /// # Durability
    /// On success the segment, empty, survives a power cut.
    ///
    /// Whoever waits for it says so with [`Log::set_needed_now`].
    ///
    /// # Errors
    /// `TIDEMARK_NO_SPACE`, `TIDEMARK_IO`: nothing is left behind, and it may be tried again.
    /// `TIDEMARK_CLOSED` after [`Log::stop_preparing`]: nothing is left behind.
    pub fn prepare(&self, number: u32) -> Result<Arc<Segment>> {
        let _work = self.lock_work();
        if let Some(segment) = self.prepared(number) {
            return Ok(segment);
        }
        self.check_preparing()?;
        let segment = match self.prepared_by_another(number)? {
            Some(segment) => segment,
            None => match self.of_a_spare(number)? {
                Some(segment) => segment,
                None => self.of_a_new_file(number)?,
            },
        };
        if let Err(error) = self.place().sync_names(Site::PrepareSyncDir) {
            // A name that may not last must not be found by a later call, which would believe it.
            self.place().remove(Site::PrepareUndo, segment.path())?;
            return Err(error);
        }
        let segment = Arc::new(segment);
        self.set_prepared(&segment);
        Ok(segment)
    }

    /// A segment that another process has prepared in its turn.
    fn prepared_by_another(&self, number: u32) -> Result<Option<Segment>> {
        let place = self.place();
        match place.storage.stat_link(Site::PrepareSpare, &place.path_of(number)) {
            Err(os) if os.is_not_found() => return Ok(None),
            Err(os) => return Err(Error::os("look at", &place.path_of(number), os)),
            Ok(_) => {}
        }
        let segment = place.open(number)?;
        segment.check_whole()?;
        if segment.header().log_id != self.log_id() {
            return Err(segment.corrupt(0, "it is of another log"));
        }
        Ok(Some(segment))
    }

    /// The header of a spare's next life. Its salt is told apart from the one before by its CRC,
    /// too: otherwise the headers of that life's frames would pass for some of this one.
    fn next_life(&self, file: &dyn File, number: u32) -> Result<Header> {
        let mut block = [0; BLOCK];
        let read = file.read_full(Site::PrepareSpare, &mut block, 0);
        let before = read.ok().and_then(|_| Header::decode(&block, false).ok());
        // One life at least, if the header does not tell.
        let lives = before.map_or(1, |before| before.lives.saturating_add(1));
        let crc = |salt: u64| crc32c::crc32c(&salt.to_le_bytes());
        loop {
            let header = header(self, number, self.place().options.segment_bytes, lives)?;
            if before.is_none_or(|before| crc(before.salt) != crc(header.salt)) {
                return Ok(header);
            }
        }
    }

    fn of_a_new_file(&self, number: u32) -> Result<Segment> {
        let blank = Blank::make(self, number, self.place().options.segment_bytes)?;
        self.check_preparing()?;
        blank.temporary.sync(Site::PrepareSync)?;
        self.check_preparing()?;
        blank.name(self, Site::PrepareRename)
    }

    /// Takes the first spare that will do. One that fails is given up: there are others, and new
    /// files.
    fn of_a_spare(&self, number: u32) -> Result<Option<Segment>> {
        let place = self.place();
        for spare in place.list()?.spares {
            let size_bytes = place.options.segment_bytes;
            let Some(file) = open_spare(place, &spare, size_bytes) else { continue };
            let header = self.next_life(file.as_ref(), number)?;
            let begun = file
                .write_all(Site::PrepareHeader, &header.encode(), 0)
                .and_then(|()| file.sync_all(Site::PrepareSync));
            if begun.is_err() {
                // Not synced a second time: a failed sync may be followed by one that lies.
                place.remove(Site::PrepareUndo, &spare)?;
                continue;
            }
            let path = place.path_of(number);
            place
                .storage
                .rename(Site::PrepareRename, &spare, &path)
                .map_err(|os| Error::os("give its name to", &path, os))?;
            return adopt(place, header, &path, file).map(Some);
        }
        Ok(None)
    }
}

/// Opens a spare that is a file of ours alone, of the right size, and that nobody reads.
fn open_spare(place: &Place, path: &Path, size_bytes: u32) -> Option<Box<dyn File>> {
    let file = place.storage.open(Site::PrepareSpare, path, Open::READ_WRITE).ok()?;
    let stat = file.stat(Site::PrepareSpare).ok()?;
    let fits = stat.kind == FileKind::Regular
        && stat.link_count == 1
        && stat.size_bytes == u64::from(size_bytes);
    let alone = fits && file.try_lock(Site::SegmentLock, LockMode::Exclusive).ok()?;
    alone.then_some(file)
}
