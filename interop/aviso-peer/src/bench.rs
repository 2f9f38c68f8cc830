//! Puts a round at a time, so that the bench can alternate it with other stores.
//!
//! Opens the state file, then reads rounds from stdin, one a line: `sequential N` makes N puts one
//! after the other, `together N M` makes N times M puts at once. The answer to a round is one line:
//! the nanoseconds of each put, or of each M puts.

#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::io::{BufRead, Write};
use std::time::Instant;

use aviso::state::{Checkpoint, JsonFileStore, ResumeKey, StateStore};
use serde_json::json;
use url::Url;

use crate::Result;

/// Puts to the keys in turn, with sequences that rise.
struct Writer {
    store: JsonFileStore,
    keys: Vec<ResumeKey>,
    sequence: u64,
}

impl Writer {
    /// The same keys as those of the bench's other stores.
    async fn open(file: &str, count: usize) -> Result<Self> {
        let url = Url::parse("https://bench.example/")?;
        let keys = (0..count)
            .map(|number| ResumeKey::new(&url, "bench", &json!({ "n": number }), None))
            .collect::<std::result::Result<_, _>>()?;
        // Beyond whatever the file was filled with.
        Ok(Self { store: JsonFileStore::open(file).await?, keys, sequence: 1 << 40 })
    }

    /// The next key, and what to put to it.
    fn next(&mut self) -> (ResumeKey, Checkpoint) {
        self.sequence += 1;
        let index = usize::try_from(self.sequence).unwrap_or(0) % self.keys.len();
        let id = format!("bench@{}", self.sequence);
        (self.keys[index].clone(), Checkpoint::new(self.sequence, Some(id)))
    }

    async fn put(&mut self) -> Result<()> {
        let (key, checkpoint) = self.next();
        Ok(self.store.put(&key, checkpoint).await?)
    }

    async fn put_together(&mut self, count: usize) -> Result<()> {
        let mut puts = tokio::task::JoinSet::new();
        for _ in 0..count {
            let (key, checkpoint) = self.next();
            let store = self.store.clone();
            puts.spawn(async move { store.put(&key, checkpoint).await });
        }
        while let Some(put) = puts.join_next().await {
            put??;
        }
        Ok(())
    }

    async fn round(&mut self, round: &str) -> Result<Vec<String>> {
        let words: Vec<&str> = round.split_whitespace().collect();
        let [kind, count, ref rest @ ..] = words[..] else {
            return Err("a kind and a count".into());
        };
        let mut took = Vec::new();
        for _ in 0..count.parse()? {
            let began = Instant::now();
            match (kind, rest) {
                ("sequential", []) => self.put().await?,
                ("together", [at_once]) => self.put_together(at_once.parse()?).await?,
                _ => return Err(format!("no such round: {round}").into()),
            }
            took.push(began.elapsed().as_nanos().to_string());
        }
        Ok(took)
    }
}

pub(crate) async fn run(file: &str, count: &str) -> Result<()> {
    let mut writer = Writer::open(file, count.parse()?).await?;
    for round in std::io::stdin().lock().lines() {
        let took = writer.round(&round?).await?;
        writeln!(std::io::stdout(), "{}", took.join(" "))?;
    }
    Ok(())
}
