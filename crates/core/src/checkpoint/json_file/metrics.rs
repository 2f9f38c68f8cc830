//! What the JSON store counts beside the commit path.

use crate::metrics::{Counter, Latency, Metric, Metrics};

/// Counters of one open JSON file.
#[derive(Debug, Default)]
pub(super) struct JsonMetrics {
    pub(super) file_reads: Counter,
    pub(super) file_syncs: Counter,
    pub(super) directory_syncs: Counter,
    pub(super) replaces: Counter,
    pub(super) written_bytes: Counter,
    pub(super) swept: Counter,
    pub(super) sync_us: Latency,
}

impl JsonMetrics {
    pub(super) fn list(&self) -> Metrics {
        vec![
            ("fileReads", Metric::Counter(self.file_reads.get())),
            ("fileSyncs", Metric::Counter(self.file_syncs.get())),
            ("directorySyncs", Metric::Counter(self.directory_syncs.get())),
            ("replaces", Metric::Counter(self.replaces.get())),
            ("writtenBytes", Metric::Counter(self.written_bytes.get())),
            ("sweptTemporaries", Metric::Counter(self.swept.get())),
            ("syncUs", Metric::Latency(self.sync_us.summary())),
        ]
    }
}
