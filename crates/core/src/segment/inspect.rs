//! Opening a log to read only, beside a living writer or without one: nothing is changed.
//!
//! The writer may roll, purge and recover meanwhile. What then looks like damage is looked at
//! again; only what stays is reported.

use std::sync::Arc;

use super::cursor::Cursor;
use super::log::Log;
use super::place::Place;
use super::report::Report;
use super::scan::{self, Begun};
use super::{FIRST_OFFSET, Position, Replay};
use crate::error::{Error, ErrorKind, Result};

/// How often a log is looked at again that changes under its reader.
const ATTEMPTS_MAX: usize = 8;

/// A log that was opened to read.
#[derive(Debug)]
pub struct Inspected<R> {
    /// The directory.
    pub log: Log,
    /// What the user made of it.
    pub replay: R,
    /// Behind what was replayed. A link that comes out of it has the preamble as its record 1.
    pub cursor: Cursor,
    /// What was found.
    pub report: Report,
}

pub(super) fn inspect<R: Replay>(
    place: &Place,
    limit: Option<Position>,
    mut make: impl FnMut() -> R,
) -> Result<Inspected<R>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let before = place.list()?.segments;
        match look(place, &before, limit, make()) {
            Err(error) if attempt < ATTEMPTS_MAX && may_pass(&error) => {
                // Without a change of the names, what failed was no race with a purge or a roll;
                // it may still be one with a write into the segment that was active.
                if place.list()?.segments == before && attempt > 1 {
                    return Err(error);
                }
            }
            done => return done,
        }
    }
}

/// Whether a failure may be due to a writer who is at work.
fn may_pass(error: &Error) -> bool {
    let gone = error.os_error().is_some_and(|os| os.is_not_found());
    gone || matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Expired)
}

fn look<R: Replay>(
    place: &Place,
    numbers: &[u32],
    limit: Option<Position>,
    mut replay: R,
) -> Result<Inspected<R>> {
    // A segment at whose start the limit lies may not be begun, even if it is: not read.
    let wanted: Vec<u32> = match limit {
        Some(limit) => numbers.iter().copied().filter(|it| *it <= limit.segment()).collect(),
        None => numbers.to_vec(),
    };
    if wanted.is_empty() {
        let (kind, message) = match limit {
            Some(_) if !numbers.is_empty() => (ErrorKind::Expired, "is gone"),
            _ => (ErrorKind::NotFound, "is no log"),
        };
        let message = format!("what was asked for in {} {message}", place.directory.display());
        return Err(Error::new(kind, message).at(&place.directory));
    }
    let scanned = scan::scan(place, &wanted, &mut replay, &mut |_, _| Ok(()))?;
    if let Some(limit) = limit
        && wanted.last() != Some(&limit.segment())
    {
        return Err(place.missing(limit.segment()));
    }
    let mut report = Report::default();
    let known = scanned.active.as_ref().map(|begun| &begun.segment).or(scanned.prepared.first());
    let log_id = known.ok_or_else(|| place.missing(1))?.header().log_id;
    let next = scanned.prepared.first().cloned();
    let cursor = match (scanned.active, next, limit) {
        (Some(active), Some(next), Some(limit)) if limit.segment() == next.number() => {
            to_start_of(&active, &next, limit, &mut replay)?
        }
        (Some(active), _, Some(limit)) => {
            scan::begin(&active, &mut replay)?;
            scan::replay_to(Cursor::start(&active.segment), limit, &mut replay)?
        }
        (Some(active), _, None) => {
            let synced = proven(&active, &mut report)?;
            for unbegun in &scanned.prepared {
                scan::search_behind(unbegun, FIRST_OFFSET)?;
            }
            scan::replay_proven(&active, synced, &mut replay)?
        }
        (None, Some(only), _) => {
            scan::search_behind(&only, FIRST_OFFSET)?;
            let start = Position::start_of(1);
            if only.number() != 1 || limit.is_some_and(|limit| limit > start) {
                return Err(only.corrupt(FIRST_OFFSET, "the segment is not begun"));
            }
            let preamble = replay.preamble();
            replay.begin(1, only.header().size_bytes, &preamble)?;
            Cursor::start(&only).expecting(0, 0, 0)
        }
        (None, None, _) => return Err(place.missing(1)),
    };
    report.proven = cursor.position();
    let log = Log::new(place.clone(), log_id, u64::from_le_bytes(place.random()?));
    log.note_synced(report.proven);
    // A recovery may give its name to another file.
    log.set_prepared(cursor.segment());
    Ok(Inspected { log, replay, cursor, report })
}

/// Up to where the log is proven, without a writer who says so. A torn tail is the next writer's
/// business; damage is told, and not taken for the end (C8).
fn proven(active: &Begun, report: &mut Report) -> Result<u32> {
    let extent = scan::measure(active)?;
    scan::search_behind(&active.segment, extent.end)?;
    report.scanned_bytes = u64::from(extent.end - FIRST_OFFSET);
    report.closed = extent.is_marked;
    Ok(extent.synced)
}

/// A cursor at the start of a segment whose writer has not begun it.
fn to_start_of(
    active: &Begun,
    next: &Arc<super::Segment>,
    limit: Position,
    replay: &mut dyn Replay,
) -> Result<Cursor> {
    if limit > Position::start_of(next.number()) {
        return Err(next.corrupt(FIRST_OFFSET, "the segment is not begun"));
    }
    let segment = &active.segment;
    let seal = segment.seal()?.map_err(|reason| segment.corrupt(segment.frames_end(), reason))?;
    scan::begin(active, replay)?;
    let end = Position::new(segment.number(), seal.end);
    let mut cursor = scan::replay_to(Cursor::start(segment), end, replay)?;
    cursor.go_on(next)?;
    let preamble = replay.preamble();
    replay.begin(next.number(), next.header().size_bytes, &preamble)?;
    Ok(cursor)
}
