//! The JSON document: decoding with limits, encoding with what others wrote kept.
//!
//! The format is `docs/format/state-file.md`. Order of the checks: size (by the reader), nesting,
//! syntax and duplicates of the top members, the two version numbers, the checkpoints, their keys.

use std::borrow::Cow;
use std::collections::btree_map;
use std::fmt;
use std::io::Write;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::checkpoint::key::{decode_hex, encode_hex};
use crate::checkpoint::merge::Overlay;
use crate::checkpoint::view::{Content, Entry, UnknownMembers};
use crate::checkpoint::{Checkpoint, Digest, KEY_FORMAT_VERSION, ResumeKey};
use crate::error::{Error, ErrorKind, Result};

/// The version of the file's layout.
pub(super) const FILE_VERSION: u32 = 1;
/// The deepest nesting that is decoded.
pub(super) const NESTING_MAX: usize = 128;

/// Decodes a file. The error has no path yet.
pub(super) fn decode(bytes: &[u8]) -> Result<Content> {
    check_nesting(bytes)?;
    let document: Document<'_> = parse(b"", bytes, "the document")?;
    check_version(
        document.version,
        "version",
        FILE_VERSION,
        ErrorKind::UnsupportedFileVersion,
        |found| format!("state file format version {found} does not match supported version"),
    )?;
    check_version(
        document.key_format_version,
        "key_format_version",
        KEY_FORMAT_VERSION,
        ErrorKind::UnsupportedKeyFormatVersion,
        |found| format!("state file uses key_format_version {found}; this build uses"),
    )?;
    let checkpoints = document.checkpoints.ok_or_else(|| missing("checkpoints"))?;
    let checkpoints = checkpoints.get().as_bytes();
    let start = checkpoints.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
    let before = bytes.get(..start).unwrap_or_default();
    let raw: Vec<(Cow<'_, str>, RawEntry<'_>)> = parse(before, checkpoints, "\"checkpoints\"")?;
    let mut content = Content { unknown: document.unknown, ..Content::default() };
    for (hex, raw) in raw {
        add(&mut content, resume_key(&hex)?, raw.decode(&hex)?);
    }
    Ok(content)
}

/// Two spellings of one digest are one key; the larger sequence counts.
fn add(content: &mut Content, key: ResumeKey, entry: Entry) {
    let sequence = entry.checkpoint.last_committed_sequence;
    match content.entries.entry(key) {
        btree_map::Entry::Vacant(vacant) => drop(vacant.insert(entry)),
        btree_map::Entry::Occupied(mut known) => {
            if known.get().checkpoint.last_committed_sequence < sequence {
                known.insert(entry);
            }
        }
    }
}

fn resume_key(hex: &str) -> Result<ResumeKey> {
    decode_hex(hex).map_or_else(
        || {
            let shown: String = hex.chars().take(80).collect();
            let message = format!(
                "the file holds the key {shown:?} ({} bytes); a key is 64 hex digits",
                hex.len()
            );
            Err(Error::new(ErrorKind::InvalidResumeKey, message))
        },
        |digest| Ok(ResumeKey::from_parts(digest, KEY_FORMAT_VERSION)),
    )
}

/// What the parser found, without the place: it counts from where its own text begins.
fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map(|(cause, _)| cause.to_owned()).unwrap_or(text)
}

fn missing(member: &str) -> Error {
    Error::new(ErrorKind::Decode, format!("the file is not a state file: {member:?} is missing"))
}

fn check_version(
    found: Option<&RawValue>,
    member: &str,
    supported: u32,
    kind: ErrorKind,
    message: impl Fn(u64) -> String,
) -> Result<()> {
    let found = found.ok_or_else(|| missing(member))?;
    let found: u64 = serde_json::from_str(found.get()).map_err(|error| {
        let message = format!("the file is not a state file: {member:?}: {}", cause(&error));
        Error::new(ErrorKind::Decode, message)
    })?;
    if found == u64::from(supported) {
        return Ok(());
    }
    Err(Error::new(kind, format!("{} {supported}", message(found))))
}

/// Refuses nesting that no state file has, before anything recurses into it (JF-9). Brackets in
/// strings do not count; that the brackets match is left to the parser.
fn check_nesting(bytes: &[u8]) -> Result<()> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > NESTING_MAX {
                    let message = format!("the file nests deeper than {NESTING_MAX} levels");
                    return Err(Error::new(ErrorKind::Decode, message).at_offset(offset as u64));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Parses one whole JSON text as an object; `before` is what the file holds before it.
fn parse<'de, T: FromObject<'de>>(
    before: &[u8],
    bytes: &'de [u8],
    what: &'static str,
) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = ObjectOf::<T>::new(what).deserialize(&mut deserializer);
    parsed
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| located(before, bytes, &error))
}

/// A parser's error with its place in the whole file.
fn located(before: &[u8], bytes: &[u8], error: &serde_json::Error) -> Error {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let above: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let offset = before.len() + (above + error.column().saturating_sub(1)).min(bytes.len());
    let line = error.line() + before.split(|byte| *byte == b'\n').count().saturating_sub(1);
    let beside = match error.line() {
        0 | 1 => before.iter().rev().take_while(|byte| **byte != b'\n').count(),
        _ => 0,
    };
    let message = format!(
        "the file is not a state file: {} at line {line} column {}",
        cause(error),
        error.column() + beside
    );
    Error::new(ErrorKind::Decode, message).at_offset(offset as u64)
}

/// What is built from the members of an object. Arrays in place of objects are refused.
trait FromObject<'de>: Sized {
    fn from_object<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

/// Expects an object, and builds a `T` of it.
struct ObjectOf<T> {
    /// What the object is, for messages.
    what: &'static str,
    built: PhantomData<T>,
}

impl<T> ObjectOf<T> {
    const fn new(what: &'static str) -> Self {
        Self { what, built: PhantomData }
    }
}

impl<'de, T: FromObject<'de>> DeserializeSeed<'de> for ObjectOf<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: FromObject<'de>> Visitor<'de> for ObjectOf<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be an object", self.what)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_object(map)
    }
}

/// The top of the file, its members not looked into yet: a later version may have other ones.
#[derive(Default)]
struct Document<'de> {
    version: Option<&'de RawValue>,
    key_format_version: Option<&'de RawValue>,
    checkpoints: Option<&'de RawValue>,
    unknown: UnknownMembers,
}

impl<'de> FromObject<'de> for Document<'de> {
    fn from_object<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut document = Self::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match name.as_ref() {
                "version" => once(&mut document.version, "version", &mut map)?,
                "key_format_version" => {
                    once(&mut document.key_format_version, "key_format_version", &mut map)?;
                }
                "checkpoints" => once(&mut document.checkpoints, "checkpoints", &mut map)?,
                _ => document.unknown.push((name.into_owned(), map.next_value()?)),
            }
        }
        Ok(document)
    }
}

/// Takes the value of a known member, which may be there once.
fn once<'de, A: MapAccess<'de>>(
    member: &mut Option<&'de RawValue>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if member.replace(map.next_value()?).is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    Ok(())
}

impl<'de> FromObject<'de> for Vec<(Cow<'de, str>, RawEntry<'de>)> {
    fn from_object<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut entries = Self::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            entries.push((key, map.next_value_seed(ObjectOf::new("a checkpoint"))?));
        }
        Ok(entries)
    }
}

/// One checkpoint, its members not looked into yet.
#[derive(Default)]
struct RawEntry<'de> {
    sequence: Option<&'de RawValue>,
    event_id: Option<&'de RawValue>,
    unknown: UnknownMembers,
}

impl<'de> FromObject<'de> for RawEntry<'de> {
    fn from_object<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut entry = Self::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match name.as_ref() {
                "last_committed_sequence" => {
                    once(&mut entry.sequence, "last_committed_sequence", &mut map)?;
                }
                "last_event_id" => once(&mut entry.event_id, "last_event_id", &mut map)?,
                _ => entry.unknown.push((name.into_owned(), map.next_value()?)),
            }
        }
        Ok(entry)
    }
}

impl RawEntry<'_> {
    fn decode(self, key: &str) -> Result<Entry> {
        let of_key = |error: serde_json::Error| {
            let key: String = key.chars().take(80).collect();
            let message = format!("the checkpoint of {key:?} is not one: {}", cause(&error));
            Error::new(ErrorKind::Decode, message)
        };
        let sequence = self.sequence.ok_or_else(|| missing("last_committed_sequence"))?;
        let event_id: Option<Cow<'_, str>> = match self.event_id {
            Some(raw) => serde_json::from_str(raw.get()).map_err(of_key)?,
            None => None,
        };
        let sequence = serde_json::from_str(sequence.get()).map_err(of_key)?;
        let checkpoint = Checkpoint::new(sequence, event_id.as_deref());
        Ok(Entry { checkpoint, unknown: self.unknown })
    }
}

/// Encodes the content as the overlay changes it.
pub(super) fn encode(content: &Content, overlay: &Overlay) -> Vec<u8> {
    const ENTRY_BYTES: usize = 192;
    let mut json = Vec::with_capacity((content.entries.len() + overlay.len()) * ENTRY_BYTES + 128);
    put(&mut json, format_args!("{{\n  \"version\": {FILE_VERSION},\n"));
    put(&mut json, format_args!("  \"key_format_version\": {KEY_FORMAT_VERSION},\n"));
    put(&mut json, format_args!("  \"checkpoints\": {{"));
    let mut first = true;
    let mut entry = |key: &ResumeKey, checkpoint: &Checkpoint, unknown: &UnknownMembers| {
        json.extend_from_slice(if first { b"\n" } else { b",\n" });
        first = false;
        encode_entry(&mut json, key.digest(), checkpoint, unknown);
    };
    // Both are sorted by digest; where they have the same key, the overlay counts.
    let mut changes = overlay.iter().peekable();
    let none = UnknownMembers::new();
    for (key, known) in &content.entries {
        while let Some((added, change)) = changes.next_if(|(changed, _)| *changed < key) {
            if let Some(checkpoint) = change {
                entry(added, checkpoint, &none);
            }
        }
        match changes.next_if(|(changed, _)| *changed == key) {
            None => entry(key, &known.checkpoint, &known.unknown),
            Some((_, Some(checkpoint))) => entry(key, checkpoint, &known.unknown),
            Some((_, None)) => {}
        }
    }
    for (added, change) in changes {
        if let Some(checkpoint) = change {
            entry(added, checkpoint, &none);
        }
    }
    json.extend_from_slice(if first { b"}" } else { b"\n  }" });
    encode_unknown(&mut json, &content.unknown, "  ");
    json.extend_from_slice(b"\n}");
    json
}

fn encode_entry(
    json: &mut Vec<u8>,
    key: &Digest,
    checkpoint: &Checkpoint,
    unknown: &UnknownMembers,
) {
    let sequence = checkpoint.last_committed_sequence;
    put(json, format_args!("    \"{}\": {{\n", encode_hex(key)));
    put(json, format_args!("      \"last_committed_sequence\": {sequence},\n"));
    json.extend_from_slice(b"      \"last_event_id\": ");
    match &checkpoint.last_event_id {
        None => json.extend_from_slice(b"null"),
        Some(event_id) => encode_string(json, event_id),
    }
    encode_unknown(json, unknown, "      ");
    json.extend_from_slice(b"\n    }");
}

fn encode_unknown(json: &mut Vec<u8>, unknown: &UnknownMembers, indent: &str) {
    for (name, value) in unknown {
        put(json, format_args!(",\n{indent}"));
        encode_string(json, name);
        put(json, format_args!(": {}", value.get()));
    }
}

#[expect(clippy::expect_used, reason = "a string always has a JSON form, and a Vec takes it")]
fn encode_string(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("writing a string into memory cannot fail");
}

#[expect(clippy::expect_used, reason = "a Vec takes whatever is written to it")]
fn put(json: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    json.write_fmt(text).expect("writing into memory cannot fail");
}
