//! What a log's directory holds: steps 1 to 4 of opening it, as the format says.
//!
//! Segments are looked at one after another, oldest first, and only two are open at a time. The
//! last one that is begun is *active*: its frames are walked, and its seal, if it has one, proves
//! nothing, because the frames before it may not have reached the medium (SG-3 speaks of the
//! frames of the next segment).

use std::sync::Arc;

use super::cursor::Cursor;
use super::file::Segment;
use super::format::{FRAME_HEADER, FrameHeader, KIND_MARK, Link, Seal, is_zero};
use super::place::Place;
use super::{FIRST_OFFSET, KIND_USER_MIN, Position, Replay};
use crate::error::Result;

/// How much is searched at once for frames behind the end.
const SEARCH_BYTES: u32 = 1 << 18;

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
    /// The one that follows it, or the only one.
    pub(super) prepared: Option<Arc<Segment>>,
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
        if let Some(prepared) = scanned.prepared.take() {
            let reason = prepared.link()?.err().unwrap_or("it was not begun");
            return Err(prepared.corrupt(FIRST_OFFSET, reason));
        }
        if let Some(before) = &scanned.active
            && before.segment.header().log_id != segment.header().log_id
        {
            return Err(segment.corrupt(0, "it is of another log than the segment before"));
        }
        match segment.link()? {
            Ok((link, preamble)) => {
                if let Some(before) = &scanned.active {
                    complete(before, &segment, &link, replay, mend)?;
                }
                scanned.active = Some(Begun { segment, link, preamble });
            }
            Err(_) => scanned.prepared = Some(segment),
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
    /// The end of the last valid frame that is not a mark.
    pub(super) end: u32,
    /// The mark behind that, if the log was closed: where it ends.
    pub(super) mark_end: Option<u32>,
    /// Up to where everything was on the medium: the start of the segment at least.
    pub(super) proven: u32,
}

impl Extent {
    /// Where the valid frames end, the mark included.
    pub(super) fn valid_end(&self) -> u32 {
        self.mark_end.unwrap_or(self.end)
    }
}

/// Walks the frames of a segment to the first one that is not valid.
pub(super) fn measure(begun: &Begun) -> Result<Extent> {
    let segment = &begun.segment;
    segment.check_whole()?;
    let mut cursor = Cursor::start(segment);
    let mut extent = Extent { end: FIRST_OFFSET, mark_end: None, proven: FIRST_OFFSET };
    while let Ok(frame) = cursor.step(segment.frames_end())? {
        let end = frame.end().offset();
        if frame.synced().segment() == segment.number() {
            extent.proven = extent.proven.max(frame.synced().offset());
        }
        if frame.kind() == KIND_MARK {
            extent.mark_end = Some(end);
            extent.proven = extent.proven.max(frame.start().offset());
        } else {
            (extent.end, extent.mark_end) = (end, None);
        }
    }
    if extent.proven > extent.end {
        // A mark names its own start, which may lie behind the end: padding.
        extent.proven = extent.end;
    }
    Ok(extent)
}

/// Looks for what lies behind the valid frames of a segment, of which those up to `end` count.
/// Returns where that ends, if there is something that was never acknowledged.
///
/// # Errors
/// `TIDEMARK_CORRUPT` if there is a frame that proves that what should follow `end` was on the
/// medium once.
pub(super) fn search_behind(segment: &Segment, end: u32, valid_end: u32) -> Result<Option<u32>> {
    let mut torn_end = None;
    let mut from = valid_end;
    let frames_end = segment.frames_end();
    let mut bytes = Vec::new();
    while from < frames_end {
        let to = from.saturating_add(SEARCH_BYTES).min(frames_end);
        // Headers that begin before `to` are looked at; they may end behind it.
        let read_to = to.saturating_add(SEARCH_OVERLAP).min(frames_end);
        bytes.resize((read_to - from) as usize, 0);
        segment.read_into(&mut bytes, from)?;
        for (start, window) in (from..to).step_by(8).zip(bytes.chunks_exact(8).enumerate()) {
            let ((index, chunk), rest) = (window, bytes.get(window.0 * 8..).unwrap_or_default());
            debug_assert_eq!(from as usize + index * 8, start as usize, "both go by eight");
            if !segment.header().recycled && !is_zero(chunk) {
                torn_end = torn_end.max(Some(start + 8));
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
            torn_end = torn_end.max(Some(header.end().offset()));
        }
        from = to;
    }
    Ok(torn_end)
}

/// What of a header may lie behind the part that is searched.
const SEARCH_OVERLAP: u32 = FRAME_HEADER_OVERLAP;
const FRAME_HEADER_OVERLAP: u32 = super::format::FRAME_HEADER_BYTES;
const _: () = assert!(FRAME_HEADER == FRAME_HEADER_OVERLAP as usize);
