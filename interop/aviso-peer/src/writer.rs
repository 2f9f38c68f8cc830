//! Puts until it is killed.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aviso::state::{Checkpoint, JsonFileStore, StateStore};
use serde::Deserialize;

use crate::{Result, key};

#[derive(Deserialize)]
struct Config {
    name: String,
    file: String,
    seed: u64,
    first: u64,
    own: Vec<u64>,
    shared: Vec<u64>,
}

struct Writer {
    store: JsonFileStore,
    name: String,
    ops: AtomicU64,
}

pub(crate) async fn run(config: &str) -> Result<()> {
    let config: Config = serde_json::from_str(config)?;
    let store = JsonFileStore::open(&config.file).await?;
    let writer = Arc::new(Writer { store, name: config.name, ops: AtomicU64::new(0) });
    let (shared, first, mut state) = (config.shared, config.first, config.seed | 1);
    let other = Arc::clone(&writer);
    tokio::spawn(async move {
        for floor in first.. {
            // A multiplicative generator is random enough to pick a key (Lehmer 1951).
            state = state.wrapping_mul(0xda94_2042_e4dd_58b5);
            let drawn = state >> 33;
            let picked = usize::try_from(drawn).unwrap_or(0) % shared.len();
            other.put(shared.get(picked).copied().unwrap_or(0), floor + (drawn >> 8) % 8).await;
        }
    });
    for sequence in config.first.. {
        for own in &config.own {
            writer.put(*own, sequence).await;
        }
    }
    Ok(())
}

impl Writer {
    async fn put(&self, number: u64, sequence: u64) {
        let op = self.ops.fetch_add(1, Ordering::Relaxed) + 1;
        let name = &self.name;
        say(&format!("try {name} {op} put {number} {sequence}"));
        let checkpoint = Checkpoint::new(sequence, Some(format!("{name}/{op}@{sequence}")));
        let done = match key(number) {
            Ok(key) => self.store.put(&key, checkpoint).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match done {
            Ok(()) => say(&format!("ok {name} {op} done")),
            Err(error) => say(&format!("err {name} {op} {}", error.replace(' ', "-"))),
        }
    }
}

/// One write, so that lines of several writers never mix.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).is_err() {
        // Whoever observed is gone.
        std::process::exit(1);
    }
}
