//! What a log counts beside the commit path. Names are API.

use crate::metrics::{Counter, Latency, Metric, Metrics};

/// Counters of one open log.
#[derive(Debug, Default)]
pub(super) struct WalMetrics {
    pub(super) entries: Counter,
    /// See [`super::syncs`] for what counts.
    pub(super) syncs: Counter,
    pub(super) rolls: Counter,
    /// Those that succeeded.
    pub(super) prepares: Counter,
    pub(super) failed_removals: Counter,
    pub(super) cold_reads: Counter,
    pub(super) write_us: Latency,
    /// Of the same syncs.
    pub(super) sync_us: Latency,
}

impl WalMetrics {
    pub(super) fn list(&self) -> Metrics {
        vec![
            ("entries", Metric::Counter(self.entries.get())),
            ("syncs", Metric::Counter(self.syncs.get())),
            ("rolls", Metric::Counter(self.rolls.get())),
            ("prepares", Metric::Counter(self.prepares.get())),
            ("failedRemovals", Metric::Counter(self.failed_removals.get())),
            ("coldReads", Metric::Counter(self.cold_reads.get())),
            ("writeUs", Metric::Latency(self.write_us.summary())),
            ("syncUs", Metric::Latency(self.sync_us.summary())),
        ]
    }
}
