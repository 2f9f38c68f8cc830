//! JF-5, duplicates, and keys.

use super::{G1, accepted, encoded, file, one, only, refused};
use crate::checkpoint::json_file::format::encode;
use crate::checkpoint::merge::Overlay;
use crate::checkpoint::{Checkpoint, ResumeKey};
use crate::error::ErrorKind;

/// JF-5: values byte for byte, in their order, after the known members, on both levels. The
/// original drops them.
#[test]
fn unknown_members_are_kept_byte_for_byte() {
    let odd =
        "[1.0, 1e2,  -0 ,\"\\u00e9\\/\\ud800\", {\"a\" :{ }},\n\t 123456789012345678901234567890]";
    let top = "{ \"b\": 1, \"a\": 2, \"b\": 3 }";
    let text = format!(
        "{{\"zeta\": {top}, \"version\": 1, \"alpha\": {odd}, \"key_format_version\": 1, \
         \"checkpoints\": {{\"{G1}\": {{\"note\": {odd}, \"last_committed_sequence\": 5, \
         \"also\": {top}}}}}}}"
    );
    let expected = format!(
        "{{\n  \"version\": 1,\n  \"key_format_version\": 1,\n  \"checkpoints\": {{\n    \
         \"{G1}\": {{\n      \"last_committed_sequence\": 5,\n      \
         \"last_event_id\": null,\n      \
         \"note\": {odd},\n      \"also\": {top}\n    }}\n  }},\n  \"zeta\": {top},\n  \
         \"alpha\": {odd}\n}}"
    );
    let once = encoded(&accepted(text));
    assert_eq!(once, expected);
    assert_eq!(encoded(&accepted(&once)), expected, "and it stays so");
}

/// JF-5: the members of a checkpoint stay with it when it moves on, and go with it.
#[test]
fn unknown_members_stay_with_their_checkpoint() {
    let key = ResumeKey::from_hex(G1).unwrap();
    let content = accepted(one("\"last_committed_sequence\": 5, \"note\": [1]"));
    let put = Overlay::from([(key.clone(), Some(Checkpoint::new(6, None)))]);
    let json = String::from_utf8(encode(&content, &put)).unwrap();
    assert!(json.contains("\"last_committed_sequence\": 6"), "{json}");
    assert!(json.contains("\"note\": [1]"), "{json}");
    let json = String::from_utf8(encode(&content, &Overlay::from([(key, None)]))).unwrap();
    assert!(!json.contains("note"), "{json}");
}

/// The names of unknown members may need escapes, and may come twice.
#[test]
fn unknown_members_may_have_any_name() {
    let text = "{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {}, \"\": 1, \
                \"a\\\"\\n\": 2, \"\\u00e9\": 3, \"\": 4, \"Version\": 5}";
    let json = encoded(&accepted(text));
    let expected =
        ",\n  \"\": 1,\n  \"a\\\"\\n\": 2,\n  \"\u{e9}\": 3,\n  \"\": 4,\n  \"Version\": 5\n}";
    assert!(json.ends_with(expected), "{json}");
}

/// A known member twice is a decode error, also where one of them is written otherwise.
#[test]
fn a_known_member_twice_is_refused() {
    for member in ["\"version\": 1", "\"key_format_version\": 1", "\"checkpoints\": {}"] {
        let text = format!(
            "{{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {{}}, {member}}}"
        );
        assert_eq!(refused(&text), ErrorKind::Decode, "{text}");
    }
    let sequence = "\"last_committed_sequence\": 1";
    for members in [
        format!("{sequence}, {sequence}"),
        format!("{sequence}, \"last_committed\\u005fsequence\": 1"),
        format!("{sequence}, \"last_event_id\": null, \"last_event_id\": null"),
    ] {
        assert_eq!(refused(one(&members)), ErrorKind::Decode, "{members}");
    }
}

/// The original takes the last of two equal keys, and any of two spellings;
/// here both are one key, and the larger sequence counts.
#[test]
fn two_spellings_of_one_key_are_one_and_the_larger_sequence_counts() {
    let upper = G1.to_ascii_uppercase();
    let entry = |key: &str, sequence: u64| {
        format!("\"{key}\": {{\"last_committed_sequence\": {sequence}, \"n\": {sequence}}}")
    };
    for (first, second) in [(G1, upper.as_str()), (upper.as_str(), G1), (G1, G1)] {
        for (a, b) in [(3, 9), (9, 3)] {
            let content = accepted(file(&format!("{}, {}", entry(first, a), entry(second, b))));
            assert_eq!(only(&content).last_committed_sequence, 9);
            assert!(encoded(&content).contains("\"n\": 9"), "with its own unknown members");
        }
    }
}

/// "Serde structs also accept JSON arrays ... we MAY reject it". We do, on each level.
#[test]
fn arrays_in_place_of_objects_are_refused() {
    for text in [
        format!("[1, 1, {{\"{G1}\": {{\"last_committed_sequence\": 7}}}}]"),
        file(&format!("\"{G1}\": [7, null]")),
        "{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": []}".to_owned(),
    ] {
        assert_eq!(refused(&text), ErrorKind::Decode, "{text}");
    }
    for other in ["7", "null", "\"x\"", "true"] {
        assert_eq!(refused(other), ErrorKind::Decode, "{other}");
        assert_eq!(refused(file(&format!("\"{G1}\": {other}"))), ErrorKind::Decode, "{other}");
    }
}

/// Not hex, or not 32 bytes. One bad key fails the whole file.
#[test]
fn a_key_that_is_not_64_hex_digits_is_refused() {
    let good = format!("\"{G1}\": {{\"last_committed_sequence\": 1}}");
    let long = format!("{G1}0");
    let wide = format!("{}\u{e9}", &G1[..62]);
    let spaced = format!(" {}", &G1[1..]);
    let signed = format!("+{}", &G1[1..]);
    for key in
        ["zzz", "deadbeef", "", "abc", &G1[..63], &long, &wide, &spaced, &signed, "\u{1f600}"]
    {
        let bad = format!("\"{key}\": {{\"last_committed_sequence\": 1}}");
        let found = refused(file(&format!("{good}, {bad}")));
        assert_eq!(found, ErrorKind::InvalidResumeKey, "{key:?}");
    }
    let error = super::decode(file("\"zzz\": {\"last_committed_sequence\": 1}").as_bytes());
    assert!(error.unwrap_err().message().contains("\"zzz\""), "the message quotes it");
}

/// The reader accepts either case; escapes are understood in keys as well.
#[test]
fn a_key_is_accepted_in_either_case() {
    let mixed: String = G1
        .char_indices()
        .map(|(index, c)| if index % 2 == 0 { c.to_ascii_uppercase() } else { c })
        .collect();
    let escaped = format!("\\u0034{}", &G1[1..]);
    for key in [mixed, escaped, G1.to_ascii_uppercase()] {
        let content = accepted(file(&format!("\"{key}\": {{\"last_committed_sequence\": 1}}")));
        assert_eq!(content.entries.first_key_value().unwrap().0.hex(), G1);
    }
}
