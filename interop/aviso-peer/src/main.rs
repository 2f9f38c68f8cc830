//! The `aviso` crate as one of several programs on one state file, and as a maker of resume keys.
//!
//! - `write CONFIG` puts until it is killed, and reports each line by one write
//!   (`__test__/process-kill/history.ts` has the grammar, `writer.ts` the configuration).
//! - `read FILE NUMBER...` prints `HEX SEQUENCE ID` for each key that the file has.
//! - `keys` makes the resume keys of the inputs that come in, one JSON object per line, and prints
//!   for each the key of the original's key type, that of its client, and that of our core, or `-`
//!   where it makes none.
//! - `bench FILE KEYS` is measured beside others.

mod bench;
mod keys;
mod writer;

use std::error::Error;
use std::process::ExitCode;

use aviso::state::{JsonFileStore, ResumeKey, StateStore};

/// What goes wrong here ends the program, and is printed.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The key that a number stands for, in every implementation.
fn key(number: u64) -> Result<ResumeKey> {
    let url = "https://kill-fuzz/".parse()?;
    let filter = serde_json::json!({ "child": number });
    Ok(ResumeKey::new(&url, "mars", &filter, None)?)
}

async fn read(file: &str, numbers: &[String]) -> Result<()> {
    let store = JsonFileStore::open(file).await?;
    for number in numbers {
        let key = key(number.parse()?)?;
        if let Some(found) = store.get(&key).await? {
            let id = found.last_event_id.unwrap_or_default();
            println!("{} {} {id}", key.as_hex(), found.last_committed_sequence);
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["write", config] => writer::run(config).await,
        ["read", file, numbers @ ..] => {
            let numbers: Vec<String> = numbers.iter().map(|&number| number.to_owned()).collect();
            read(file, &numbers).await
        }
        ["keys"] => keys::run(),
        ["bench", file, keys] => bench::run(file, keys).await,
        _ => Err("usage: aviso-peer write CONFIG | read FILE NUMBER... | keys | bench ...".into()),
    };
    if let Err(error) = done {
        eprintln!("aviso-peer: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
