//! What a store counts. Names are API: the facade shows them as they are here, in camel case.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, in microseconds: count, median, 99th percentile and maximum, to two
/// significant digits.
#[derive(Debug)]
pub struct Latency(Mutex<Histogram<u64>>);

/// The figures of a [`Latency`], in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencySummary {
    /// Number of measurements.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Default for Latency {
    fn default() -> Self {
        const TEN_MINUTES_US: u64 = 600_000_000;
        #[expect(clippy::expect_used, reason = "fails only for bounds or digits out of range")]
        let histogram = Histogram::new_with_bounds(1, TEN_MINUTES_US, 2)
            .expect("1 us to 10 minutes with two digits is within the histogram's range");
        Self(Mutex::new(histogram))
    }
}

impl Latency {
    /// Adds a measurement; one beyond ten minutes counts as ten minutes.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }

    /// Its figures.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        LatencySummary {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        }
    }
}

/// A named figure of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(u64),
    /// How long something takes.
    Latency(LatencySummary),
}

/// The figures of a store, by name.
pub type Metrics = Vec<(&'static str, Metric)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_summary_is_within_two_digits() {
        let latency = Latency::default();
        for millis in 1..=100 {
            latency.record(Duration::from_millis(millis));
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 100);
        assert!((49_000..=51_000).contains(&summary.p50), "{summary:?}");
        assert!((98_000..=101_000).contains(&summary.p99), "{summary:?}");
        assert!((100_000..=101_000).contains(&summary.max), "{summary:?}");
    }
}
