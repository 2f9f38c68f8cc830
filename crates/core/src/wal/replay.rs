//! What a log is found to hold when it is opened: the engine of segments hands over what it reads.

use std::path::{Path, PathBuf};

use super::index::{LogIndex, SegmentIndex};
use super::state::State;
use super::take_over::Unproven;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{Frame, Replay};

/// The state and the index, as they grow while a log is read.
#[derive(Debug)]
pub(super) struct Found {
    directory: PathBuf,
    pub(super) state: State,
    pub(super) index: LogIndex,
    /// Of the last segment: for a reader that goes on from here.
    pub(super) unproven: Unproven,
    /// What the next preamble has to say: nothing for the first segment, which tells the state.
    /// The hard state counts only if frames were read: a summary does not have it.
    expected: Option<Expected>,
}

/// What has to be found at the start of the next segment.
#[derive(Debug)]
enum Expected {
    /// These LSNs, with any hard state.
    Ends { first: u64, next: u64 },
    /// The state as it is.
    State,
}

impl Found {
    pub(super) fn new(directory: &Path) -> Self {
        let (state, index) = (State::default(), LogIndex::default());
        let unproven = Unproven::default();
        Self { directory: directory.to_owned(), state, index, unproven, expected: None }
    }

    fn corrupt(&self, segment: u32, what: &str) -> Error {
        let message = format!("segment {segment:08x}: {what}; restore the log from a backup");
        Error::new(ErrorKind::Corrupt, message).at(&self.directory)
    }

    /// The preamble of a segment has to say what the segments before came to.
    fn enter(&mut self, segment: u32, preamble: &[u8]) -> Result<()> {
        let state = State::decode(preamble)
            .ok_or_else(|| self.corrupt(segment, "its preamble is not one"))?;
        let goes_on = match self.expected {
            None => true,
            Some(Expected::Ends { first, next }) => (state.first, state.next) == (first, next),
            Some(Expected::State) => state == self.state,
        };
        if !goes_on {
            return Err(self.corrupt(segment, "it does not go on where the one before ends"));
        }
        self.state = state;
        self.expected = Some(Expected::State);
        Ok(())
    }

    /// All that was read is consistent (W-1).
    pub(super) fn check(&self) -> Result<()> {
        if self.index.covers(&self.state) {
            return Ok(());
        }
        let (first, last) = (self.state.first, self.state.last());
        let message = format!(
            "entries between LSN {first} and {last} are missing in {}; restore the log from a \
             backup",
            self.directory.display()
        );
        Err(Error::new(ErrorKind::Corrupt, message).at(&self.directory).with_sequence(first))
    }
}

impl Replay for Found {
    fn complete(&mut self, segment: u32, preamble: &[u8], summary: &[u8]) -> Result<()> {
        self.enter(segment, preamble)?;
        let (first, next, index) = SegmentIndex::decode(segment, summary)
            .ok_or_else(|| self.corrupt(segment, "the summary in its seal is not one"))?;
        self.state.first = first;
        self.state.next = next;
        self.expected = Some(Expected::Ends { first, next });
        self.index.push(index);
        Ok(())
    }

    fn begin(&mut self, segment: u32, size_bytes: u32, preamble: &[u8]) -> Result<()> {
        self.enter(segment, preamble)?;
        self.unproven = Unproven::default();
        self.index.push(SegmentIndex::new(segment, size_bytes));
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<()> {
        let change = self.state.apply(frame).ok_or_else(|| {
            let message = format!(
                "the frame at {:08x}:{} does not continue the log; restore it from a backup",
                frame.start().segment(),
                frame.start().offset()
            );
            Error::new(ErrorKind::Corrupt, message)
                .at(&self.directory)
                .at_offset(u64::from(frame.start().offset()))
        })?;
        self.unproven.note(frame);
        self.index.apply(change, frame.start().offset(), self.state.next);
        Ok(())
    }

    fn preamble(&self) -> Vec<u8> {
        self.state.encode()
    }

    fn summary(&self) -> Vec<u8> {
        self.index.active().map(|active| active.encode(&self.state)).unwrap_or_default()
    }
}
