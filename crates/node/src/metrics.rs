//! Figures as JavaScript values, and what a store can promise as a word.

use napi::bindgen_prelude::{BigInt, Object};
use napi::{Env, Result};
use tidemark_core::checkpoint::Durability;
use tidemark_core::metrics::{Metric, Metrics};

/// An object with a member per figure: counters are bigints, gauges numbers.
pub(crate) fn into_js(env: &Env, metrics: Metrics) -> Result<Object<'_>> {
    #[expect(clippy::cast_precision_loss, reason = "gauges and microseconds are far below 2^53")]
    let number = |value: u64| value as f64;
    let mut object = Object::new(env)?;
    for (name, metric) in metrics {
        match metric {
            Metric::Counter(count) => object.set(name, BigInt::from(count))?,
            Metric::Gauge(value) => object.set(name, number(value))?,
            Metric::Latency(latency) => {
                let mut figures = Object::new(env)?;
                figures.set("count", number(latency.count))?;
                figures.set("p50", number(latency.p50))?;
                figures.set("p99", number(latency.p99))?;
                figures.set("max", number(latency.max))?;
                object.set(name, figures)?;
            }
        }
    }
    Ok(object)
}

/// `proven`, `unproven` or `none`.
pub(crate) fn durability(durability: Durability) -> String {
    let word = match durability {
        Durability::Proven => "proven",
        Durability::Unproven => "unproven",
        Durability::None => "none",
    };
    word.to_owned()
}
