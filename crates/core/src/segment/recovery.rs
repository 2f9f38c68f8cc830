//! Opening a log to write, and recovering the end of one that was not closed (SG-8, SG-9).
//!
//! ```text
//! names synced -> scan -> walk the active segment to its end e; proven up to w
//!   closed       go on behind the mark
//!   otherwise    spares, prepared segments  -> removed: their room may be all there is
//!                what is behind e           -> quarantine/
//!                link, frames from w to e   -> temporary -> sync -> rename
//!                                              -> directory sync -> mark -> sync
//!                seal behind w, sync, cut      (may be done again at any time)
//! ```
//!
//! Recovery of the recovery: before the rename nothing has changed but the quarantine, and that
//! what nobody believes is gone; after it the new segment counts, and the old one is sealed from
//! its link whenever that is not yet done.

use std::ops::Range;
use std::sync::Arc;

use tidemark_storage::Site;

use super::cursor::Cursor;
use super::file::Segment;
use super::format::{BLOCK, block_up, frame_start};
use super::log::{Log, Opened};
use super::place::{Names, Place};
use super::prepare::Blank;
use super::report::{Report, TornTail};
use super::scan::{self, Begun, Extent, Scanned};
use super::seal::{Link, Seal};
use super::staging::Staging;
use super::writer::Writer;
use super::{
    BLOCK_BYTES, FIRST_OFFSET, KIND_USER_MIN, Position, RESERVE_BYTES, Replay, frame_bytes,
    numbers_used_up, quarantine,
};
use crate::error::{Error, ErrorKind, Result};
use crate::temporary;

/// How much of the copy is kept in memory before it is written.
const COPY_BYTES: u32 = 256 * BLOCK_BYTES;

/// Opens the log at a place, or makes one.
pub(super) fn open(place: Place, replay: &mut dyn Replay) -> Result<Opened> {
    // What a process that was killed did to the names may not have reached the medium.
    place.sync_names(Site::SegmentListSync)?;
    temporary::sweep(place.storage.as_ref(), &place.directory);
    let names = place.list()?;
    let mut mend = |segment: &Segment, seal: &Seal| seal_and_cut(segment, seal);
    let scanned = scan::scan(&place, &names.segments, replay, &mut mend)?;
    let known = scanned.active.as_ref().map(|begun| &begun.segment).or(scanned.prepared.first());
    let log_id = known.map_or_else(|| place.random(), |segment| Ok(segment.header().log_id))?;
    let nonce = u64::from_le_bytes(place.random()?);
    let log = Log::new(place, log_id, nonce);
    let mut recovery = Recovery { log, replay, report: Report::default() };
    let writer = recovery.run(scanned, &names)?;
    let Recovery { log, report, .. } = recovery;
    Ok(Opened { log, writer, report })
}

/// What lies behind the valid frames of a segment, which end at `end`.
struct Torn {
    segment: Arc<Segment>,
    end: u32,
    range: Range<u32>,
}

struct Recovery<'a> {
    log: Log,
    replay: &'a mut dyn Replay,
    report: Report,
}

impl Recovery<'_> {
    fn run(&mut self, scanned: Scanned, names: &Names) -> Result<Writer> {
        let Scanned { active, prepared } = scanned;
        let Some(active) = active else { return self.begin_log(prepared, names) };
        let extent = scan::measure(&active)?;
        let own = active.segment.number();
        self.report.scanned_bytes = u64::from(extent.end - FIRST_OFFSET);
        self.report.proven = Position::new(own, extent.synced);
        let torn = self.search(&active.segment, extent.end)?;
        let torn_next = self.search_prepared(&prepared)?;
        if extent.is_marked && torn.is_none() && torn_next.is_empty() {
            self.report.closed = true;
            return self.go_on(&active, extent, &prepared, names);
        }
        self.make_room(names, own, prepared, torn_next)?;
        if let Some(torn) = &torn {
            self.set_aside(torn)?;
        }
        self.move_on(&active, extent)
    }

    /// The log was closed: the next frame follows the mark.
    fn go_on(
        &mut self,
        active: &Begun,
        extent: Extent,
        prepared: &[Arc<Segment>],
        names: &Names,
    ) -> Result<Writer> {
        scan::begin(active, self.replay)?;
        let end = Position::new(active.segment.number(), extent.end);
        let cursor = scan::replay_to(Cursor::start(&active.segment), end, self.replay)?;
        self.keep_spares(prepared, names)?;
        self.log.set_prepared(&active.segment);
        Ok(cursor.into_writer(&self.log, end, &[])?.behind_a_mark())
    }

    /// Looks for what lies behind the valid frames of a segment. Changes nothing.
    fn search(&self, segment: &Arc<Segment>, end: u32) -> Result<Option<Torn>> {
        let Some(range) = scan::search_behind(segment, end)? else { return Ok(None) };
        if self.log.place().options.strict {
            return Err(segment.corrupt(end, "what is here belongs to no frame: a torn write"));
        }
        Ok(Some(Torn { segment: Arc::clone(segment), end, range }))
    }

    /// The same in all segments that are prepared.
    fn search_prepared(&self, prepared: &[Arc<Segment>]) -> Result<Vec<Torn>> {
        let mut torn = Vec::new();
        for prepared in prepared {
            prepared.check_whole()?;
            torn.extend(self.search(prepared, FIRST_OFFSET)?);
        }
        Ok(torn)
    }

    /// Quarantines what was found.
    fn set_aside(&mut self, torn: &Torn) -> Result<()> {
        let path = quarantine::keep(self.log.place(), &torn.segment, &torn.range)?;
        let size_bytes = torn.range.end - torn.range.start;
        self.report.quarantined.push(path);
        self.report.cut_bytes += u64::from(size_bytes);
        let end = Position::new(torn.segment.number(), torn.end);
        self.report.torn.push(TornTail { end, size_bytes });
        Ok(())
    }

    /// Step 6: copies what is not proven into a new segment, and seals the old one.
    fn move_on(&mut self, active: &Begun, extent: Extent) -> Result<Writer> {
        let own = active.segment.number();
        if extent.synced == FIRST_OFFSET {
            // Nothing of the active segment is proven: it is made again, under its own name.
            let link = Link { by_recovery: true, ..active.link };
            let preamble = active.preamble.clone();
            return self.copy(own, link, &preamble, &Cursor::start(&active.segment), extent.end);
        }
        let cursor = scan::replay_proven(active, extent.synced, self.replay)?;
        let (end, chain) = (cursor.position().offset(), cursor.chain());
        let seal = Seal { number: own, end, chain, summary: self.replay.summary() };
        let preamble = self.replay.preamble();
        let link = Link { before: own, end, chain, by_recovery: true };
        let next = own.checked_add(1).ok_or_else(numbers_used_up)?;
        let writer = self.copy(next, link, &preamble, &cursor, extent.end)?;
        seal_and_cut(&active.segment, &seal)?;
        Ok(writer)
    }

    /// Makes a segment of a link and the frames between a cursor and `end`; durable, and replayed.
    fn copy(
        &mut self,
        number: u32,
        link: Link,
        preamble: &[u8],
        from: &Cursor,
        end: u32,
    ) -> Result<Writer> {
        let size_bytes = self.size_of_copy(preamble, from, end)?;
        let blank = Blank::make(&self.log, number, size_bytes)?;
        let frames_end = size_bytes - BLOCK_BYTES;
        let mut staging = Staging::new(&blank.header, frames_end, self.log.identity());
        staging.link(link, preamble);
        let file = blank.temporary.file()?;
        let failed = |os| Error::os("copy unproven frames into", self.log.directory(), os);
        let flush = |staging: &mut Staging| {
            staging.write_to(false, |bytes, offset| {
                file.write_all(Site::RecoverWrite, bytes, u64::from(offset)).map_err(failed)
            })
        };
        let mut cursor = Cursor::at(from.segment(), from.position().offset(), from.chain());
        let limit = Position::new(from.segment().number(), end);
        while let Some(frame) = cursor.next(limit)? {
            if frame.kind() < KIND_USER_MIN {
                continue;
            }
            staging.stage(frame.kind(), frame.flags(), frame.number(), frame.records());
            self.report.copied_frames += 1;
            self.report.copied_bytes += u64::from(frame.header().frame_bytes());
            if staging.pending() > COPY_BYTES as usize {
                flush(&mut staging)?;
            }
        }
        flush(&mut staging)?;
        if staging.is_overflown() {
            return Err(Error::new(ErrorKind::Internal, "the copy is larger than was computed"));
        }
        blank.temporary.sync(Site::RecoverSync)?;
        let segment = Arc::new(blank.name(&self.log, Site::RecoverRename)?);
        self.log.place().sync_names(Site::RecoverSyncDir)?;
        self.log.set_prepared(&segment);
        staging.set_synced(staging.position());
        self.replay.begin(number, size_bytes, preamble)?;
        let copied = staging.position();
        drop(scan::replay_to(Cursor::start(&segment), copied, self.replay)?);
        // Without a mark nothing would prove the copies, and the next opener would copy them anew:
        // so it shall, where the name may not have reached the medium.
        let mut writer = Writer::new(&segment, staging, self.log.proven());
        writer.mark()?;
        writer.sync()?;
        Ok(writer)
    }

    /// What the copy needs: as much as any segment, or more if the frames take more.
    fn size_of_copy(&self, preamble: &[u8], from: &Cursor, end: u32) -> Result<u32> {
        let too_large = || Error::new(ErrorKind::TooLarge, "the copy is too large for a segment");
        let link = frame_bytes(2, super::seal::LINK_BYTES + preamble.len());
        let mut copied = FIRST_OFFSET.checked_add(link.ok_or_else(too_large)?);
        let mut cursor = Cursor::at(from.segment(), from.position().offset(), from.chain());
        let limit = Position::new(from.segment().number(), end);
        while let Some(frame) = cursor.next(limit)? {
            if frame.kind() >= KIND_USER_MIN {
                let size = frame.header().frame_bytes();
                copied = copied.and_then(|at| frame_start(at, size).checked_add(size));
            }
        }
        let needed = copied.and_then(|at| block_up(at).checked_add(RESERVE_BYTES + BLOCK_BYTES));
        Ok(needed.ok_or_else(too_large)?.max(self.log.place().options.segment_bytes))
    }

    /// A log of which nothing is begun: made for the first time, or again.
    fn begin_log(&mut self, prepared: Vec<Arc<Segment>>, names: &Names) -> Result<Writer> {
        if let Some(first) = prepared.first().filter(|first| first.number() != 1) {
            return Err(self.log.place().missing(first.number() - 1));
        }
        let torn = self.search_prepared(&prepared)?;
        self.make_room(names, 1, prepared, torn)?;
        let size_bytes = self.log.place().options.segment_bytes;
        let blank = Blank::make(&self.log, 1, size_bytes)?;
        blank.temporary.sync(Site::PrepareSync)?;
        let segment = Arc::new(blank.name(&self.log, Site::PrepareRename)?);
        self.log.place().sync_names(Site::PrepareSyncDir)?;
        self.log.set_prepared(&segment);
        self.report.proven = Position::start_of(1);
        let preamble = self.replay.preamble();
        self.replay.begin(1, size_bytes, &preamble)?;
        Cursor::start(&segment).into_writer(&self.log, Position::start_of(1), &preamble)
    }

    /// After an unclean end: whether the names of spares and prepared segments have reached the
    /// medium is not known, so nothing is made of them (SG-4). They go before the recovery needs
    /// room, because on a full disk theirs is all there is. `last` is the segment that stays.
    fn make_room(
        &mut self,
        names: &Names,
        last: u32,
        prepared: Vec<Arc<Segment>>,
        torn: Vec<Torn>,
    ) -> Result<()> {
        for path in &names.spares {
            self.log.place().remove(Site::RecoverRemove, path)?;
        }
        if !names.spares.is_empty() {
            self.log.place().sync_names(Site::RecoverRemove)?;
        }
        for torn in &torn {
            self.set_aside(torn)?;
        }
        // A file that is open keeps its room.
        drop((prepared, torn));
        let place = self.log.place();
        let unbelieved = names.segments.iter().rev().filter(|number| **number > last);
        let count = unbelieved.clone().count();
        // The last one first, each for itself: a power cut must not leave a gap.
        for number in unbelieved {
            let spare = place.take_name(&place.path_of(*number))?;
            place.remove(Site::RecoverRemove, &spare)?;
        }
        if count == 0 { Ok(()) } else { place.sync_names(Site::RecoverRemove) }
    }

    /// After a clean end: what was prepared becomes a spare again, and gets its name anew; spares
    /// that do not fit, or are too many, go.
    fn keep_spares(&self, prepared: &[Arc<Segment>], names: &Names) -> Result<()> {
        let place = self.log.place();
        let size = place.options.segment_bytes;
        let mut spares_count = 0;
        for path in &names.spares {
            let stat = place.storage.stat_link(Site::PrepareSpare, path);
            let stat = stat.map_err(|os| Error::os("look at", path, os))?;
            if stat.size_bytes == u64::from(size) && spares_count < place.options.spares_max {
                spares_count += 1;
            } else {
                place.remove(Site::RecoverRemove, path)?;
            }
        }
        // The last one first, each for itself: a power cut must not leave a gap.
        for prepared in prepared.iter().rev() {
            let spare = place.take_name(prepared.path())?;
            if prepared.size_bytes() == size && spares_count < place.options.spares_max {
                spares_count += 1;
            } else {
                place.remove(Site::RecoverRemove, &spare)?;
            }
        }
        Ok(())
    }
}

/// Seals a segment in the first block behind its end, and cuts it there. What is cut off was
/// copied, or quarantined, or never was part of the log.
fn seal_and_cut(segment: &Segment, seal: &Seal) -> Result<()> {
    let block = seal
        .encode(segment.salt())
        .ok_or_else(|| Error::new(ErrorKind::TooLarge, "the summary is too large for a seal"))?;
    let at = u64::from(block_up(seal.end));
    let (file, path) = (segment.file(), segment.path());
    let failed = |os| Error::os("seal", path, os);
    file.write_all(Site::RecoverSeal, &block, at).map_err(failed)?;
    file.sync_all(Site::RecoverSealSync).map_err(failed)?;
    file.set_len(Site::RecoverTrim, at + BLOCK as u64).map_err(failed)
}
