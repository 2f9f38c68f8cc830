//! What a log's directory holds: steps 1 to 4 of opening it, as the format says.
//!
//! Segments are looked at one after another, oldest first, and only two are open at a time. The
//! last one that is begun is *active*: its frames are walked, and its seal, if it has one, proves
//! nothing, because the frames before it may not have reached the medium (SG-3 speaks of the
//! frames of the next segment).

use std::ops::Range;
use std::sync::Arc;

use super::cursor::Cursor;
use super::file::Segment;
use super::format::{ALIGNMENT, BLOCK, FRAME_HEADER_BYTES, FrameHeader, KIND_MARK, is_zero};
use super::place::Place;
use super::seal::{Link, Seal};
use super::{FIRST_OFFSET, KIND_USER_MIN, Position, Replay};
use crate::error::Result;

/// How much is searched at once for frames behind the end.
const SEARCH_BYTES: u32 = 1 << 18;

/// Segments that are not begun behind the last one that is. A third would be prepared only after
/// the second one was begun, and so after the first one was sealed and synced.
const PREPARED_MAX: usize = 2;

/// A segment that is begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) segment: Arc<Segment>,
    pub(super) link: Link,
    pub(super) preamble: Vec<u8>,
}

/// The end of a log.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// The last segment that is begun, if there is one.
    pub(super) active: Option<Begun>,
    /// Those that follow it, oldest first: not begun, or nothing of it has reached the medium. The
    /// second one was prepared while the first was in use.
    pub(super) prepared: Vec<Arc<Segment>>,
}

/// Looks at the segments with these numbers, and replays all that are complete.
///
/// One that a recovery left behind without sealing it is handed to `mend`, with the seal that it
/// should have.
pub(super) fn scan(
    place: &Place,
    numbers: &[u32],
    replay: &mut dyn Replay,
    mend: &mut dyn FnMut(&Segment, &Seal) -> Result<()>,
) -> Result<Scanned> {
    place.check_gaps(numbers)?;
    let mut scanned = Scanned::default();
    for number in numbers {
        let segment = Arc::new(place.open(*number)?);
        if let Some(before) = &scanned.active
            && before.segment.header().log_id != segment.header().log_id
        {
            return Err(segment.corrupt(0, "it is of another log than the segment before"));
        }
        let link = segment.link()?;
        if let Some(before) = scanned.prepared.first()
            && (link.is_ok() || scanned.prepared.len() == PREPARED_MAX)
        {
            let reason = before.link()?.err().unwrap_or("it was not begun");
            return Err(before.corrupt(FIRST_OFFSET, reason));
        }
        match link {
            Ok((link, preamble)) => {
                if let Some(before) = &scanned.active {
                    complete(before, &segment, &link, replay, mend)?;
                }
                scanned.active = Some(Begun { segment, link, preamble });
            }
            Err(_) => scanned.prepared.push(segment),
        }
    }
    Ok(scanned)
}

/// Replays a segment whose successor is begun: it is complete, and ends where the successor's link
/// says.
fn complete(
    begun: &Begun,
    successor: &Segment,
    link: &Link,
    replay: &mut dyn Replay,
    mend: &mut dyn FnMut(&Segment, &Seal) -> Result<()>,
) -> Result<()> {
    let segment = &begun.segment;
    if link.before != segment.number() {
        return Err(successor.corrupt(FIRST_OFFSET, "the link names no segment before"));
    }
    match segment.seal()? {
        Ok(seal) if (seal.end, seal.chain) == (link.end, link.chain) => {
            replay.complete(segment.number(), &begun.preamble, &seal.summary)
        }
        // The seal may also be one that a roll wrote in vain, before the recovery.
        _ if link.by_recovery => {
            begin(begun, replay)?;
            let end = Position::new(segment.number(), link.end);
            let cursor = replay_to(Cursor::start(segment), end, replay)?;
            if cursor.chain() != link.chain {
                let reason = "the link does not go on from the segment before";
                return Err(successor.corrupt(FIRST_OFFSET, reason));
            }
            let (number, summary) = (segment.number(), replay.summary());
            mend(segment, &Seal { number, end: link.end, chain: link.chain, summary })
        }
        Ok(_) => {
            let reason = "the link does not go on from where the segment before is sealed";
            Err(successor.corrupt(FIRST_OFFSET, reason))
        }
        Err(reason) => Err(segment.corrupt(segment.frames_end(), reason)),
    }
}

/// Tells the replay which segment frames come from next.
pub(super) fn begin(begun: &Begun, replay: &mut dyn Replay) -> Result<()> {
    let segment = &begun.segment;
    replay.begin(segment.number(), segment.header().size_bytes, &begun.preamble)
}

/// Replays what is proven: the frames that end at or before `synced`.
pub(super) fn replay_proven(begun: &Begun, synced: u32, replay: &mut dyn Replay) -> Result<Cursor> {
    begin(begun, replay)?;
    let mut cursor = Cursor::start(&begun.segment);
    while let Ok(frame) = cursor.step(synced)? {
        if frame.kind() >= KIND_USER_MIN {
            replay.frame(&frame)?;
        }
    }
    Ok(cursor)
}

/// Replays frames up to a position.
pub(super) fn replay_to(
    mut cursor: Cursor,
    end: Position,
    replay: &mut dyn Replay,
) -> Result<Cursor> {
    while let Some(frame) = cursor.next(end)? {
        if frame.kind() >= KIND_USER_MIN {
            replay.frame(&frame)?;
        }
    }
    Ok(cursor)
}

/// How far the frames of an active segment go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The end of the last valid frame.
    pub(super) end: u32,
    /// Whether that is a mark.
    pub(super) is_marked: bool,
    /// Up to where everything was on the medium: the start of the segment at least. It may lie
    /// in the padding before a mark.
    pub(super) synced: u32,
}

/// Walks the frames of a segment to the first one that is not valid.
pub(super) fn measure(begun: &Begun) -> Result<Extent> {
    let segment = &begun.segment;
    segment.check_whole()?;
    let mut cursor = Cursor::start(segment);
    let mut extent = Extent { end: FIRST_OFFSET, is_marked: false, synced: FIRST_OFFSET };
    let mut link_end = u32::MAX;
    while let Ok(frame) = cursor.step(segment.frames_end())? {
        link_end = link_end.min(frame.end().offset());
        let synced = frame.synced();
        // Less than the link is nothing of this segment.
        if synced.segment() == segment.number() && synced.offset() >= link_end {
            extent.synced = extent.synced.max(synced.offset());
        }
        extent.end = frame.end().offset();
        extent.is_marked = frame.kind() == KIND_MARK;
    }
    Ok(extent)
}

/// Looks for what lies behind the valid frames of a segment, which end at `end`. Returns from where
/// to where there is something: nothing proves that it was acknowledged.
///
/// # Errors
/// `TIDEMARK_CORRUPT` if there is a frame that proves that what should follow `end` was on the
/// medium once.
pub(super) fn search_behind(segment: &Segment, end: u32) -> Result<Option<Range<u32>>> {
    let mut torn: Option<Range<u32>> = None;
    let mut add = |start: u32, end: u32| {
        let torn = torn.get_or_insert(start..end);
        torn.end = torn.end.max(end);
    };
    let frames_end = segment.frames_end();
    let mut from = end;
    let mut bytes = Vec::new();
    while from < frames_end {
        let to = from.saturating_add(SEARCH_BYTES).min(frames_end);
        // Headers that begin before `to` are looked at; they may end behind it.
        let read_to = to.saturating_add(FRAME_HEADER_BYTES).min(frames_end);
        bytes.resize((read_to - from) as usize, 0);
        segment.read_into(&mut bytes, from)?;
        for start in starts_of_interest(&bytes, (to - from) as usize) {
            let rest = bytes.get(start..).unwrap_or_default();
            let start = from + u32::try_from(start).unwrap_or_default();
            let word = rest.get(..ALIGNMENT as usize).unwrap_or_default();
            if segment.header().lives == 0 && !is_zero(word) {
                add(start, start + ALIGNMENT);
            }
            if !FrameHeader::names_offset(rest, start) {
                continue;
            }
            let at = Position::new(segment.number(), start);
            let Ok(header) = FrameHeader::decode(rest, segment.salt(), at, frames_end) else {
                continue;
            };
            if header.synced() > Position::new(segment.number(), end) {
                let reason = "what was here had been synced, as a later frame proves";
                return Err(segment.corrupt(end, reason));
            }
            add(start, header.end().offset());
        }
        from = to;
    }
    Ok(torn)
}

/// Where something may begin in the first bytes of these: a header is not zero in its first word,
/// and most of a new segment is.
fn starts_of_interest(bytes: &[u8], until: usize) -> impl Iterator<Item = usize> {
    let bytes = bytes.get(..until).unwrap_or(bytes);
    let pieces = bytes.chunks(BLOCK).enumerate().filter(|(_, piece)| !is_zero(piece));
    pieces.flat_map(|(index, piece)| {
        let starts = (0..piece.len()).step_by(ALIGNMENT as usize);
        starts.map(move |start| index * BLOCK + start)
    })
}
