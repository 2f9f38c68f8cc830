//! What opening a log came to, for its user's report.

use std::path::PathBuf;

use super::Position;

/// What opening a log found and did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many bytes of frames were walked.
    pub scanned_bytes: u64,
    /// Up to where the log was proven to be on the medium, before anything was done.
    pub proven: Position,
    /// Whether the log had been closed.
    pub closed: bool,
    /// How many frames were valid, but not proven, and were copied into a new segment.
    pub copied_frames: u64,
    /// Their size.
    pub copied_bytes: u64,
    /// How many bytes of torn writes were cut off: none of them was ever acknowledged.
    pub cut_bytes: u64,
    /// Where those bytes are now.
    pub quarantined: Vec<PathBuf>,
    /// Where they were.
    pub torn: Vec<TornTail>,
}

/// Bytes at the end of a log that no frame accounts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where the valid frames end.
    pub end: Position,
    /// How many bytes there are behind that.
    pub size_bytes: u32,
}
