//! The JSON document, byte by byte. Normative: `docs/format/state-file.md`; what the original does
//! is in `docs/format/state-file.md`, "Layout".

mod damage;
mod layout;
mod limits;
mod numbers;
mod round_trip;
mod unknown;

use super::format::{decode, encode};
use crate::checkpoint::merge::Overlay;
use crate::checkpoint::view::{Content, Entry, UnknownMembers};
use crate::checkpoint::{Checkpoint, ResumeKey};
use crate::error::ErrorKind;

/// The key of the documentation's example.
const G1: &str = "46fe3e30937478ae30527c74cb2f03a5e5419228a11051cdaccefe7d044b21c3";

fn encoded(content: &Content) -> String {
    String::from_utf8(encode(content, &Overlay::new())).unwrap()
}

/// What a file that holds this text is refused as.
fn refused(text: impl AsRef<[u8]>) -> ErrorKind {
    let text = text.as_ref();
    match decode(text) {
        Err(error) => error.kind(),
        Ok(_) => panic!("accepted: {}", String::from_utf8_lossy(text)),
    }
}

fn accepted(text: impl AsRef<[u8]>) -> Content {
    let text = text.as_ref();
    decode(text).unwrap_or_else(|error| panic!("{error:?}: {}", String::from_utf8_lossy(text)))
}

/// A file whose `checkpoints` has these members.
fn file(checkpoints: &str) -> String {
    format!("{{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {{{checkpoints}}}}}")
}

/// A file with one checkpoint, of [`G1`], with these members.
fn one(members: &str) -> String {
    file(&format!("\"{G1}\": {{{members}}}"))
}

/// The one checkpoint of such a file.
fn only(content: &Content) -> &Checkpoint {
    assert_eq!(content.entries.len(), 1);
    &content.entries.first_key_value().unwrap().1.checkpoint
}

fn content(entries: impl IntoIterator<Item = (ResumeKey, Checkpoint)>) -> Content {
    let unknown = UnknownMembers::new;
    let entries = entries.into_iter();
    let entries = entries.map(|(key, checkpoint)| (key, Entry { checkpoint, unknown: unknown() }));
    Content { entries: entries.collect(), unknown: unknown() }
}
