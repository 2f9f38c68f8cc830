//! The clock of this machine.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since the first call.
pub(super) fn monotonic() -> Duration {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this is what Storage::monotonic is made of")]
    ORIGIN.get_or_init(Instant::now).elapsed()
}

/// Time since 1970-01-01 UTC.
pub(super) fn unix_time() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this is what Storage::unix_time is made of")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
