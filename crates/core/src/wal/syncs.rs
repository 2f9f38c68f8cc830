//! What the syncs of a log take, each of them: those of commits, of seals and of marks. A slow one
//! is told.
//!
//! Not counted: what opening syncs, when nobody listens yet, and what is synced in the background:
//! segments that are prepared, and the names in the directory. Whoever waits for those sees it in
//! the time of its commit.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use tidemark_storage::Storage;

use super::metrics::WalMetrics;
use crate::error::Result;
use crate::event::{Event, Events};
use crate::segment::SyncWatch;

/// A sync that takes longer is told.
const SLOW_SYNC: Duration = Duration::from_secs(1);

/// Counts the syncs of one open log.
pub(super) struct Syncs {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) metrics: Arc<WalMetrics>,
    pub(super) events: Events,
}

impl SyncWatch for Syncs {
    fn during(&self, sync: &dyn Fn() -> Result<()>) -> Result<()> {
        let began = self.storage.monotonic();
        sync()?;
        let took = self.storage.monotonic().saturating_sub(began);
        self.metrics.syncs.add(1);
        self.metrics.sync_us.record(took);
        if took > SLOW_SYNC {
            self.events.emit(&Event::SlowSync { duration: took });
        }
        Ok(())
    }
}

impl Debug for Syncs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Syncs")
    }
}
