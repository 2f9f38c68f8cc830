//! Numbers and versions: exact integers, nothing else.

use super::{accepted, one, only, refused};
use crate::error::ErrorKind;

/// Each of these is a decode error for the sequence.
#[test]
fn a_sequence_is_an_integer_literal_from_0_to_2_to_the_64_minus_1() {
    let bad = [
        "7.0",
        "1e2",
        "1E2",
        "-1",
        "-0",
        "18446744073709551616",
        "\"7\"",
        "true",
        "false",
        "007",
        "00",
        "+7",
        "0x7",
        ".7",
        "7.",
        "NaN",
        "null",
        "[7]",
        "{}",
        "1_000",
        "7n",
        "",
    ];
    for number in bad {
        let text = one(&format!("\"last_committed_sequence\": {number}"));
        assert_eq!(refused(&text), ErrorKind::Decode, "{text}");
    }
    for good in [0, 7, (1 << 53) + 1, u64::MAX] {
        let text = one(&format!("\"last_committed_sequence\": {good}"));
        assert_eq!(only(&accepted(text)).last_committed_sequence, good);
    }
}

/// Required.
#[test]
fn a_checkpoint_without_a_sequence_is_refused() {
    assert_eq!(refused(one("")), ErrorKind::Decode);
    assert_eq!(refused(one("\"last_event_id\": \"e\"")), ErrorKind::Decode);
}

/// A string or null.
#[test]
fn an_event_id_of_another_type_is_refused() {
    for value in ["7", "true", "[]", "{}", "[\"e\"]"] {
        let text = one(&format!("\"last_committed_sequence\": 1, \"last_event_id\": {value}"));
        assert_eq!(refused(text), ErrorKind::Decode, "{value}");
    }
}

fn with_versions(version: &str, key_format_version: &str) -> String {
    format!(
        "{{\"version\": {version}, \"key_format_version\": {key_format_version}, \
         \"checkpoints\": {{}}}}"
    )
}

/// Exact match, older versions too. 2^32 is a decode error in the original, whose
/// version is a u32; here it is a version like any other.
#[test]
fn a_file_of_another_version_is_called_that() {
    for version in ["0", "2", "4294967296", "18446744073709551615"] {
        let found = refused(with_versions(version, "1"));
        assert_eq!(found, ErrorKind::UnsupportedFileVersion, "{version}");
    }
    accepted(with_versions("1", "1"));
}

/// As above, for the keys.
#[test]
fn a_file_with_keys_of_another_version_is_called_that() {
    for version in ["0", "2", "4294967296"] {
        let found = refused(with_versions("1", version));
        assert_eq!(found, ErrorKind::UnsupportedKeyFormatVersion, "{version}");
    }
}

/// `version` is looked at before `key_format_version`.
#[test]
fn the_files_version_is_judged_before_that_of_its_keys() {
    assert_eq!(refused(with_versions("2", "2")), ErrorKind::UnsupportedFileVersion);
    assert_eq!(refused(with_versions("1", "\"x\"")), ErrorKind::Decode);
}

/// The texts that the original's documentation publishes.
#[test]
fn version_errors_name_what_was_found_and_what_is_supported() {
    let message = |text: String| super::decode(text.as_bytes()).unwrap_err().message().to_owned();
    assert_eq!(
        message(with_versions("2", "1")),
        "state file format version 2 does not match supported version 1"
    );
    assert!(message(with_versions("1", "2")).starts_with("state file uses key_format_version 2;"));
}

/// Anything that is not an integer is not a version.
#[test]
fn a_version_that_is_no_integer_is_a_decode_error() {
    for version in ["1.0", "1e0", "-1", "\"1\"", "true", "null", "[1]", "{}", "01"] {
        assert_eq!(refused(with_versions(version, "1")), ErrorKind::Decode, "{version}");
        assert_eq!(refused(with_versions("1", version)), ErrorKind::Decode, "{version}");
    }
}

/// The original decodes everything first, so that a later layout is a decode error
/// there; here the versions are peeked at.
#[test]
fn a_file_of_a_later_layout_is_called_that_whatever_its_layout() {
    for rest in [
        "",
        ", \"key_format_version\": 9",
        ", \"checkpoints\": [1, 2]",
        ", \"shards\": {\"a\": []}",
    ] {
        let text = format!("{{\"version\": 2{rest}}}");
        assert_eq!(refused(&text), ErrorKind::UnsupportedFileVersion, "{text}");
    }
    let text = "{\"checkpoints\": {\"zzz\": 7}, \"key_format_version\": 3, \"version\": 1}";
    assert_eq!(refused(text), ErrorKind::UnsupportedKeyFormatVersion, "in any order");
}

/// All three are required.
#[test]
fn a_missing_member_is_a_decode_error() {
    for text in [
        "{}",
        "{\"version\": 1}",
        "{\"version\": 1, \"key_format_version\": 1}",
        "{\"version\": 1, \"checkpoints\": {}}",
        "{\"key_format_version\": 1, \"checkpoints\": {}}",
    ] {
        assert_eq!(refused(text), ErrorKind::Decode, "{text}");
    }
}
