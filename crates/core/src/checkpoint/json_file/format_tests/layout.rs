//! What is written, byte for byte.

use super::{G1, accepted, content, encoded, file, one, only};
use crate::checkpoint::json_file::format::encode;
use crate::checkpoint::merge::Overlay;
use crate::checkpoint::{Checkpoint, ResumeKey};

/// The documentation's example is decoded and encoded as it stands there, so that it cannot drift.
#[test]
fn the_documented_example_is_reproduced_byte_for_byte() {
    let page = include_str!("../../../../../../docs/format/state-file.md");
    let (_, rest) = page.split_once("```json\n").expect("the page has an example");
    let (example, _) = rest.split_once("\n```").expect("the example ends");
    let decoded = accepted(example);
    assert_eq!(*only(&decoded), Checkpoint::new(72, Some("mars@72")));
    assert_eq!(decoded.entries.first_key_value().unwrap().0.hex(), G1);
    assert_eq!(encoded(&decoded), example);
}

/// "Empty map as `{}`", no newline at the end.
#[test]
fn an_empty_store_is_written_with_empty_braces() {
    let expected = "{\n  \"version\": 1,\n  \"key_format_version\": 1,\n  \"checkpoints\": {}\n}";
    assert_eq!(encoded(&content([])), expected);
    assert!(accepted(expected).entries.is_empty());
}

/// `last_event_id` is always written, `null` when there is none.
#[test]
fn an_absent_event_id_is_written_as_null() {
    let expected = format!(
        "{{\n  \"version\": 1,\n  \"key_format_version\": 1,\n  \"checkpoints\": {{\n    \
         \"{G1}\": {{\n      \"last_committed_sequence\": 0,\n      \"last_event_id\": null\n    \
         }}\n  }}\n}}"
    );
    let one = content([(ResumeKey::from_hex(G1).unwrap(), Checkpoint::new(0, None))]);
    assert_eq!(encoded(&one), expected);
}

/// "Optional: missing == `null`".
#[test]
fn a_missing_event_id_is_the_same_as_null() {
    for members in [
        "\"last_committed_sequence\": 7",
        "\"last_committed_sequence\": 7, \"last_event_id\": null",
    ] {
        assert_eq!(*only(&accepted(one(members))), Checkpoint::new(7, None));
    }
}

/// The original's order is random, ours is sorted.
#[test]
fn keys_are_written_sorted_and_in_lower_case() {
    let digits = ["ff", "0a", "A0", "00", "9f"];
    let entries: Vec<String> = digits
        .iter()
        .map(|d| format!("\"{}\": {{\"last_committed_sequence\": 1}}", d.repeat(32)))
        .collect();
    let json = encoded(&accepted(file(&entries.join(","))));
    let found: Vec<&str> =
        json.lines().filter_map(|line| line.strip_prefix("    \"")).map(|l| &l[..2]).collect();
    assert_eq!(found, ["00", "0a", "9f", "a0", "ff"]);
}

/// `"`, `\` and control characters are escaped in the short or the lower-hex form;
/// `/`, U+007F and what is not ASCII are written raw.
#[test]
fn event_ids_are_escaped_as_the_original_escapes_them() {
    let event_id = "\"\\/\u{8}\t\n\u{c}\r\0\u{1f}\u{7f}\u{e9}\u{2028}\u{1f600}";
    let key = ResumeKey::from_hex(G1).unwrap();
    let json = encoded(&content([(key, Checkpoint::new(1, Some(event_id)))]));
    let expected = "\"last_event_id\": \"\\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}\u{e9}\u{2028}\
                    \u{1f600}\"\n";
    assert!(json.contains(expected), "{json}");
    assert_eq!(only(&accepted(&json)).last_event_id.as_deref(), Some(event_id));
}

/// Any valid JSON spelling of a string means the same.
#[test]
fn escapes_of_other_writers_are_understood() {
    let members =
        "\"last_committed_sequence\": 1, \"last_\\u0065vent_id\": \"\\/\\u00E9\\ud83d\\ude00\"";
    assert_eq!(only(&accepted(one(members))).last_event_id.as_deref(), Some("/\u{e9}\u{1f600}"));
}

/// The overlay adds, replaces and deletes while it is written, wherever the keys sort.
#[test]
fn an_overlay_is_merged_into_what_is_written() {
    let key = |n: u8| ResumeKey::from_parts([n; 32], 1);
    let at = |sequence| Checkpoint::new(sequence, None);
    let base = content([(key(2), at(2)), (key(4), at(4)), (key(6), at(6))]);
    let overlay = Overlay::from([
        (key(1), Some(at(10))),
        (key(2), None),
        (key(3), Some(at(30))),
        (key(4), Some(at(40))),
        (key(5), None),
        (key(7), Some(at(70))),
    ]);
    let decoded = accepted(encode(&base, &overlay));
    let found: Vec<(u8, u64)> = decoded
        .entries
        .iter()
        .map(|(key, entry)| (key.digest()[0], entry.checkpoint.last_committed_sequence))
        .collect();
    assert_eq!(found, [(1, 10), (3, 30), (4, 40), (6, 6), (7, 70)]);
}
