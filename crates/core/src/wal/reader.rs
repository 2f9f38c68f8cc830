//! Reads entries: the newest from memory, the others from their segments.
//!
//! A cold read looks up a place under the view's lock and reads without it. Bytes below the
//! published end never change (SG-1), so that what it finds there is what the log held when it
//! looked; only a purge may take the file away meanwhile, and then it looks again.

use std::fmt::{self, Debug};
use std::sync::Arc;

use super::index::Place;
use super::metrics::WalMetrics;
use super::op::{Entries, Records};
use super::options::Visibility;
use super::state::{FLAG_HARD_STATE, KIND_ENTRIES};
use super::view::{Found, Look, View};
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
    /// Whether the place ended, and not the room for bytes: there may be more in another one.
    more: bool,
}

/// Reads entries of one open log.
#[derive(Clone)]
pub(super) struct Reader {
    view: Arc<View>,
    metrics: Arc<WalMetrics>,
}

impl Reader {
    pub(super) fn new(view: Arc<View>, metrics: Arc<WalMetrics>) -> Self {
        Self { view, metrics }
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Closes what is kept open for cold reads, for good: the log has ended.
    pub(super) fn release(&self) {
        self.view.release();
    }

    /// The entries of a range, from memory alone; nothing if they are not all there.
    ///
    /// # Errors
    /// As for [`Reader::range`].
    pub(super) fn hot(&self, look: &Look) -> Result<Option<Entries>> {
        check(look)?;
        match self.view.look(look)?.found {
            Found::Entries(entries) => Ok(Some(entries)),
            Found::Place(..) => Ok(None),
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
            part = match self.find_part(&look) {
                Ok(Some(part)) => part,
                Err(error) if all.records.is_empty() => return Err(error),
                Ok(None) => break,
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Expired) => {
                    break;
                }
                Err(error) => return Err(error),
            };
            let too_much = part.entries.records.size_bytes() > look.bytes_max;
            if too_much && !all.records.is_empty() {
                break;
            }
            look.from += part.entries.records.len() as u64;
            look.bytes_max = look.bytes_max.saturating_sub(part.entries.records.size_bytes());
            all.records.append(std::mem::take(&mut part.entries.records));
        }
        if all.records.is_empty() {
            return Err(self.beyond_the_end(look.from, look.visibility));
        }
        Ok(all)
    }

    /// As [`Reader::range`], with the number of the last truncate when it looked; nothing beyond
    /// the end.
    pub(super) fn find(&self, look: &Look) -> Result<Option<(Entries, u64)>> {
        let part = self.find_part(look)?;
        Ok(part.and_then(|part| part.epoch.map(|epoch| (part.entries, epoch))))
    }

    fn find_part(&self, look: &Look) -> Result<Option<Part>> {
        for attempt in 1.. {
            let seen = self.view.look(look)?;
            let epoch = Some(seen.epoch);
            match seen.found {
                Found::Nothing => return Ok(None),
                Found::Entries(entries) => return Ok(Some(Part { entries, epoch, more: false })),
                Found::Place(place, log) => match self.read(&log, place, look) {
                    Ok(entries) => {
                        let end = entries.first + entries.records.len() as u64;
                        return Ok(Some(Part { entries, epoch, more: end >= place.until }));
                    }
                    // Purged meanwhile: the next look says so.
                    Err(error) if error.kind() == ErrorKind::Io && attempt < ATTEMPTS_MAX => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(None)
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
        let mut found = Entries { first: look.from, records: Records::default() };
        let mut offset = place.offset;
        let mut lsn = look.from;
        while lsn < place.until {
            let header = segment.read_header(offset)?;
            let skip =
                u64::from(header.kind() == KIND_ENTRIES && header.flags() == FLAG_HARD_STATE);
            let count = (header.record_count() as u64).saturating_sub(skip);
            let holds = header.kind() == KIND_ENTRIES
                && header.number() <= lsn
                && lsn < header.number().saturating_add(count);
            if holds {
                let frame = segment.read_frame(offset)?;
                let first = usize::try_from(lsn - header.number() + skip).unwrap_or(usize::MAX);
                for record in frame.records().skip(first) {
                    let full = found.records.size_bytes() + record.len() > look.bytes_max;
                    if lsn >= place.until || (full && !found.records.is_empty()) {
                        return Ok(found);
                    }
                    found.records.push(record);
                    lsn += 1;
                }
            }
            if lsn < place.until {
                offset = segment.next_offset(header.end().offset())?;
            }
        }
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
