//! Reads entries: the newest from memory, the others from their segments.
//!
//! A cold read looks up a place under the view's lock and reads without it. Bytes below the
//! published end never change (SG-1), so that what it finds there is what the log held when it
//! looked. Only a purge may take the file away meanwhile, and in another process a writer that
//! takes over may cut it: then it looks again, and what is wrong after that is damage.
//!
//! Invariants
//! - RD-1 A lone entry costs at most two reads of the disk, wherever it is: the index's step in one
//!   piece, and the entry's frame if it does not lie in there. (Steps of more than a MiB, in
//!   segments of more than 256 MiB, are read in pieces of a MiB.) Reading on costs one for each
//!   256 KiB, or for each frame that is larger.
//! - RD-2 Its memory does not depend on the size of the log: one window of up to a MiB for each who
//!   reads on, and the frame that is read.

use std::fmt::{self, Debug};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::index::Place;
use super::metrics::WalMetrics;
use super::op::{Entries, Records};
use super::options::Visibility;
use super::source::Source;
use super::stand::Stand;
use super::view::{Found, Look, View, expired};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Log;

/// Looks again after a segment disappeared; more often somebody else must be at work.
const ATTEMPTS_MAX: usize = 8;

/// What was found in one place.
#[derive(Default)]
struct Part {
    entries: Entries,
    /// The number of the last truncate then.
    epoch: Option<u64>,
    /// Whether the place ended, or the look, and not the room for bytes: there may be more.
    more: bool,
}

/// Reads entries of one open log.
pub(super) struct Reader {
    view: Arc<View>,
    metrics: Arc<WalMetrics>,
    /// Where the log comes from, if another process writes to it.
    source: Option<Arc<Source>>,
    stand: Mutex<Stand>,
}

/// The same log, read from another place.
impl Clone for Reader {
    fn clone(&self) -> Self {
        Self {
            view: Arc::clone(&self.view),
            metrics: Arc::clone(&self.metrics),
            source: self.source.clone(),
            stand: Mutex::default(),
        }
    }
}

impl Reader {
    pub(super) fn new(
        view: Arc<View>,
        metrics: Arc<WalMetrics>,
        source: Option<Arc<Source>>,
    ) -> Self {
        Self { view, metrics, source, stand: Mutex::default() }
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Whether another process writes, so that there may be more than was seen of it.
    pub(super) const fn is_trailing(&self) -> bool {
        self.source.is_some()
    }

    /// Closes what is kept open for cold reads, for good: the log has ended.
    pub(super) fn release(&self) {
        self.forget();
        self.view.release();
    }

    /// Gives back the memory that reading on needs: what comes next is not on the disk.
    pub(super) fn forget(&self) {
        drop(mem::take(&mut *self.lock()));
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries of a range, from memory alone and in one look; nothing if that does not give
    /// them all, or if more may be there by now because another process writes.
    ///
    /// # Errors
    /// As for [`Reader::range`].
    pub(super) fn hot(&self, look: &Look) -> Result<Option<Entries>> {
        check(look)?;
        match self.view.look(look)?.found {
            Found::Hot(hot) if hot.is_whole() => Ok(Some(hot.copy())),
            Found::Hot(_) | Found::Place(..) => Ok(None),
            // Whether it is there already takes a look at the disk.
            Found::Nothing if self.is_trailing() => Ok(None),
            Found::Nothing => Err(self.beyond_the_end(look.from, look.visibility)),
        }
    }

    /// The entries of a range, both ends included, clipped at the end of the log, up to a number
    /// of bytes but at least one. Blocks.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` for LSN 0 or an empty range, `TIDEMARK_EXPIRED` for what was
    /// purged, `TIDEMARK_NOT_FOUND` beyond the end, `TIDEMARK_CORRUPT`, `TIDEMARK_IO`.
    pub(super) fn range(&self, look: &Look) -> Result<Entries> {
        check(look)?;
        let mut all = Entries { first: look.from, records: Records::default() };
        let mut part = Part { epoch: look.epoch, more: true, ..Part::default() };
        let mut look = *look;
        // One segment after another, for as long as it is the log that was looked at first.
        while part.more && look.from <= look.to {
            look.epoch = part.epoch;
            let is_first = all.records.is_empty();
            let found = if is_first { self.find_new(&look) } else { self.find_part(&look) };
            part = match found {
                Ok(Some(part)) => part,
                Err(error) if all.records.is_empty() => return Err(error),
                Ok(None) => break,
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Expired) => {
                    break;
                }
                Err(error) => return Err(error),
            };
            let records = mem::take(&mut part.entries.records);
            let room = look.bytes_max.checked_sub(records.size_bytes());
            if room.is_some() || all.records.is_empty() {
                look.from += records.len() as u64;
                all.records.append(records);
            }
            // Behind the one that alone is too large comes nothing, not even an empty one.
            let Some(room) = room else { break };
            look.bytes_max = room;
        }
        if all.records.is_empty() {
            return Err(self.beyond_the_end(look.from, look.visibility));
        }
        Ok(all)
    }

    /// As [`Reader::range`], with the number of the last truncate when it looked; nothing beyond
    /// the end.
    pub(super) fn find(&self, look: &Look) -> Result<Option<(Entries, u64)>> {
        let part = self.find_new(look)?;
        Ok(part.and_then(|part| part.epoch.map(|epoch| (part.entries, epoch))))
    }

    /// As [`Reader::find_part`], up to what another process has acknowledged by now.
    fn find_new(&self, look: &Look) -> Result<Option<Part>> {
        match (self.find_part(look)?, &self.source) {
            (None, Some(source)) if source.catch_up()? => self.find_part(look),
            (found, _) => Ok(found),
        }
    }

    fn find_part(&self, look: &Look) -> Result<Option<Part>> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let seen = self.view.look(look)?;
            let epoch = Some(seen.epoch);
            let (place, log) = match seen.found {
                Found::Nothing => return Ok(None),
                Found::Hot(hot) => {
                    return Ok(Some(Part { entries: hot.copy(), epoch, more: !hot.is_whole() }));
                }
                Found::Place(place, log) => (place, log),
            };
            match self.read(&log, place, look) {
                Ok(entries) => {
                    let end = entries.first + entries.records.len() as u64;
                    return Ok(Some(Part { entries, epoch, more: end >= place.until }));
                }
                Err(error) if attempt < ATTEMPTS_MAX && self.may_pass(&error, &log, attempt) => {}
                Err(error) if error.kind() == ErrorKind::Expired => {
                    // A segment that is gone knows of no LSN.
                    return Err(expired(look.from, self.view.ends().first.max(place.until)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an error may be due to somebody who changed the log meanwhile, so that it makes
    /// sense to look again: a purge, or in another process a writer that took over.
    fn may_pass(&self, error: &Error, log: &Log, attempt: usize) -> bool {
        match error.kind() {
            ErrorKind::Corrupt => self.has_changed(log),
            ErrorKind::Expired | ErrorKind::Io => {
                // Whatever came of it: what stays wrong is told after some attempts.
                self.has_changed(log);
                true
            }
            // That was waited for already.
            ErrorKind::LockTimeout => attempt == 1 && self.has_changed(log),
            _ => false,
        }
    }

    fn has_changed(&self, log: &Log) -> bool {
        self.source.as_ref().is_some_and(|source| source.has_changed(log))
    }

    fn beyond_the_end(&self, lsn: u64, visibility: Visibility) -> Error {
        let last = self.view.ends().next(visibility).saturating_sub(1);
        let message = format!("there is no LSN {lsn} yet; the last one is {last}");
        Error::new(ErrorKind::NotFound, message).with_sequence(last)
    }

    /// Reads from a place on.
    fn read(&self, log: &Log, place: Place, look: &Look) -> Result<Entries> {
        self.metrics.cold_reads.add(1);
        let segment = log.open_segment(place.segment)?;
        // Taken out, so that others need not wait for the disk; after an error nothing is kept.
        let mut stand = mem::take(&mut *self.lock());
        let found = stand.read(&segment, place, look)?;
        *self.lock() = stand;
        Ok(found)
    }
}

/// Refuses what can be no range.
fn check(look: &Look) -> Result<()> {
    if look.from == 0 {
        return Err(Error::invalid_argument("LSNs start at 1"));
    }
    if look.to < look.from {
        let message = format!("the range ends at LSN {}, before {}", look.to, look.from);
        return Err(Error::invalid_argument(message));
    }
    Ok(())
}

impl Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("view", &self.view).finish_non_exhaustive()
    }
}
