//! How a log is opened, and what its words mean.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::segment::{self, Io};

/// The smallest segment with room for entries beside what it keeps for itself.
pub(super) const SEGMENT_BYTES_MIN: u32 = 32 << 10;
/// Segment size where nothing else is asked for.
const SEGMENT_BYTES_DEFAULT: u32 = 16 << 20;
/// Largest record where nothing else is asked for and a segment has room for it.
const RECORD_BYTES_DEFAULT: usize = 16 << 20;
/// Bytes that may be queued or in commit, where nothing else is asked for.
const IN_FLIGHT_BYTES_DEFAULT: usize = 64 << 20;
/// What a segment keeps for its header, its link with a hard state, its reserve and its seal.
const SEGMENT_OVERHEAD_BYTES: u32 = 5 * segment::BLOCK_BYTES;

/// When what was appended is reported, and when it is synced.
///
/// The text forms are those of the log that this one equals: `immediate`, `immediate_async`,
/// `interval_<milliseconds>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncLevel {
    /// Reported once it is on the medium.
    #[default]
    Immediate,
    /// Reported once it is written, which a killed process survives; a sync follows at once.
    ImmediateAsync,
    /// Reported once it is written; a sync starts so many milliseconds after the oldest unsynced
    /// byte, or earlier.
    Interval(NonZeroU64),
}

impl SyncLevel {
    /// How long written bytes may wait for a sync to start; nothing if it follows at once.
    pub(super) fn delay(self) -> Option<Duration> {
        match self {
            Self::Interval(millis) => Some(Duration::from_millis(millis.get())),
            Self::Immediate | Self::ImmediateAsync => None,
        }
    }
}

impl FromStr for SyncLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const INTERVAL_MAX_MS: u64 = 24 * 60 * 60 * 1000;
        let invalid = || {
            Error::invalid_argument(format!(
                "sync is immediate, immediate_async or interval_<milliseconds> with 1 to \
                 {INTERVAL_MAX_MS} ms, not {text:?}"
            ))
        };
        match text {
            "immediate" => Ok(Self::Immediate),
            "immediate_async" => Ok(Self::ImmediateAsync),
            _ => {
                let digits = text.strip_prefix("interval_").ok_or_else(invalid)?;
                let canonical =
                    !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
                let millis = digits.parse().ok().filter(|_| canonical).and_then(NonZeroU64::new);
                millis
                    .filter(|m| m.get() <= INTERVAL_MAX_MS)
                    .map(Self::Interval)
                    .ok_or_else(invalid)
            }
        }
    }
}

impl fmt::Display for SyncLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Immediate => f.write_str("immediate"),
            Self::ImmediateAsync => f.write_str("immediate_async"),
            Self::Interval(millis) => write!(f, "interval_{millis}"),
        }
    }
}

/// What is done with a torn tail: bytes that were written, never acknowledged, and are not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Refuse to open.
    Strict,
    /// Move it into quarantine and go on.
    #[default]
    Tail,
}

/// Which entries a reader sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Those that a power cut cannot take back.
    #[default]
    Durable,
    /// Those that are written too: a power cut may take back their end.
    Written,
}

/// How to open a log. All handles on one log in a process have the same options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// When appends are reported and synced, unless a call says otherwise.
    pub sync: SyncLevel,
    /// How segments are read and written.
    pub io: Io,
    /// Size of new segments, a multiple of 4,096.
    pub segment_bytes: u32,
    /// Size of the largest record; nothing for as much as a segment has room for, up to 16 MiB.
    pub record_bytes_max: Option<usize>,
    /// What to do with a torn tail.
    pub recovery: RecoveryMode,
    /// Only read: beside a living writer, or on a read-only mount. Repairs nothing.
    pub read_only: bool,
    /// Bytes that may be queued or in commit.
    pub in_flight_bytes_max: usize,
    /// Whether to open on a file system whose locks and syncs may not reach the disk.
    pub allow_network_fs: bool,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            sync: SyncLevel::Immediate,
            io: Io::Positional,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            record_bytes_max: None,
            recovery: RecoveryMode::Tail,
            read_only: false,
            in_flight_bytes_max: IN_FLIGHT_BYTES_DEFAULT,
            allow_network_fs: false,
        }
    }
}

impl WalOptions {
    /// Refuses options that no log can have.
    pub(super) fn check(&self) -> Result<()> {
        let (min, max) = (SEGMENT_BYTES_MIN, segment::SEGMENT_BYTES_MAX);
        if !(min..=max).contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(segment::BLOCK_BYTES)
        {
            let message = format!("segmentBytes is a multiple of 4096 from {min} to {max}");
            return Err(Error::invalid_argument(message));
        }
        if self.record_bytes_max.is_some_and(|size| size > self.batch_bytes_max()) {
            let message = format!(
                "maxRecordBytes is at most {} with segments of {} bytes: a record lies within one",
                self.batch_bytes_max(),
                self.segment_bytes
            );
            return Err(Error::invalid_argument(message));
        }
        if self.in_flight_bytes_max == 0 {
            return Err(Error::invalid_argument("maxInFlightBytes is at least 1"));
        }
        Ok(())
    }

    /// The largest record that is taken.
    #[must_use]
    pub fn record_limit_bytes(&self) -> usize {
        self.record_bytes_max.unwrap_or_else(|| self.batch_bytes_max().min(RECORD_BYTES_DEFAULT))
    }

    /// The largest single record that a segment has room for.
    #[must_use]
    pub fn batch_bytes_max(&self) -> usize {
        let room = self.frame_bytes_max();
        // The frame's header and the record's line in its table, and padding.
        room.saturating_sub(64 + 8 + 8)
    }

    /// The largest frame that every segment has room for, whatever its link carries.
    pub(super) fn frame_bytes_max(&self) -> usize {
        usize::try_from(self.segment_bytes.saturating_sub(SEGMENT_OVERHEAD_BYTES)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_three_levels_have_the_names_of_the_original() {
        for text in ["immediate", "immediate_async", "interval_1", "interval_200"] {
            assert_eq!(text.parse::<SyncLevel>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn interval_0_is_an_argument_error_and_no_panic_as_d30() {
        for text in [
            "interval_0",
            "interval_",
            "interval_-1",
            "interval_01",
            "interval_+5",
            "Immediate",
            "",
        ] {
            let error = text.parse::<SyncLevel>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
        }
    }
}
