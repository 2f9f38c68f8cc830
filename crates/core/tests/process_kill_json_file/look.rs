//! What is on disk, without the lock and without the store.

#![allow(clippy::disallowed_methods, reason = "the observer looks at the disk from outside")]

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::history::{Content, Value};
use super::verdict::{Kind, Violation};

/// What a state file holds, by digest. No file: nothing.
pub(crate) fn decode(path: &Path) -> Result<Content, Violation> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Content::new()),
        Err(error) => panic!("the state file cannot be read: {error}"),
    };
    let text = || format!("{} bytes: {}", bytes.len(), String::from_utf8_lossy(&bytes));
    let broken = || Violation::new(Kind::Unreadable, text());
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| broken())?;
    if (&json["version"], &json["key_format_version"]) != (&1.into(), &1.into()) {
        return Err(broken());
    }
    let checkpoints = json["checkpoints"].as_object().ok_or_else(broken)?;
    let entries = checkpoints.iter().map(|(key, checkpoint)| {
        let sequence = checkpoint["last_committed_sequence"].as_u64().ok_or_else(broken)?;
        let id = checkpoint["last_event_id"].as_str().ok_or_else(broken)?.to_owned();
        Ok((key.clone(), Value { sequence, id }))
    });
    entries.collect()
}

/// JF-6: the write after a death removes the temporary that it left. Beside the neighbour
/// there are the state file and an empty lock file.
pub(crate) fn nothing_is_left(directory: &Path) -> Result<(), Violation> {
    let entries = fs::read_dir(directory).expect("it can be listed");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names.retain(|name| name != "neighbour");
    if names != ["state.json", "state.json.lock"] {
        return Err(Violation::new(Kind::Leftover, format!("{names:?}")));
    }
    let lock = fs::metadata(directory.join("state.json.lock")).expect("it is there");
    match lock.len() {
        0 => Ok(()),
        size => Err(Violation::new(Kind::Leftover, format!("{size} bytes in the lock file"))),
    }
}

/// Torn, cut and foreign files are not taken for any content.
pub(crate) fn torn_files_are_convicted() {
    let scratch = super::support::Scratch::new();
    let entry = r#""k": {"last_committed_sequence": 5, "last_event_id": "0/0@5"}"#;
    let whole = format!(r#"{{"version": 1, "key_format_version": 1, "checkpoints": {{{entry}}}}}"#);
    let decoded = |text: &str| {
        fs::write(scratch.state(), text).expect("it can be written");
        decode(&scratch.state()).map_err(|violation| violation.kind)
    };
    let value = Value { sequence: 5, id: "0/0@5".to_owned() };
    assert_eq!(decoded(&whole), Ok(Content::from([("k".to_owned(), value)])));
    for end in 0..whole.len() {
        assert_eq!(decoded(&whole[..end]), Err(Kind::Unreadable), "cut at {end}");
    }
    for (from, to) in [(": 1", ": 2"), (": 5", ": -5"), (": 5", ": null"), ("\"0/0@5\"", "7")] {
        assert_eq!(decoded(&whole.replacen(from, to, 1)), Err(Kind::Unreadable), "{from}{to}");
    }
    assert_eq!(decoded(&whole.replace('}', "} ").repeat(2)), Err(Kind::Unreadable));
}

/// Whatever lies beside the two files, or in the lock file, is noticed.
pub(crate) fn leftovers_are_convicted() {
    let scratch = super::support::Scratch::new();
    let found = || nothing_is_left(scratch.root()).map_err(|violation| violation.kind);
    assert_eq!(found(), Err(Kind::Leftover), "there is no file");
    fs::write(scratch.state(), "").expect("it can be written");
    fs::write(scratch.lock(), "").expect("it can be written");
    assert_eq!(found(), Ok(()));
    fs::write(scratch.path("neighbour"), "").expect("it can be written");
    assert_eq!(found(), Ok(()), "the file that the observer itself replaces");
    let stray = scratch.path(".tidemark-00112233445566778899aabbccddeeff.tmp");
    fs::write(&stray, "").expect("it can be written");
    assert_eq!(found(), Err(Kind::Leftover), "a temporary");
    fs::remove_file(&stray).expect("it is ours");
    fs::write(scratch.lock(), "1").expect("it can be written");
    assert_eq!(found(), Err(Kind::Leftover), "the lock file");
}
