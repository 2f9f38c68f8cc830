//! JF-9: nesting.

use super::{accepted, encoded, one, refused};
use crate::checkpoint::json_file::format::NESTING_MAX;
use crate::error::ErrorKind;

/// A value that nests this deep by itself.
fn nested(depth: usize) -> String {
    let (open, close): (String, String) =
        (0..depth).map(|level| if level % 2 == 0 { ("[", "]") } else { ("{\"a\":", "}") }).unzip();
    let close: String = close.chars().rev().collect();
    // The innermost value: nothing may follow an opening brace's colon but a value.
    format!("{open}0{close}")
}

fn top(value: &str) -> String {
    format!("{{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {{}}, \"x\": {value}}}")
}

#[test]
fn the_limit_of_nesting_is_the_originals() {
    assert_eq!(NESTING_MAX, 128);
}

/// JF-9: 128 levels pass and 129 do not; the document is the first.
#[test]
fn nesting_is_limited_in_unknown_members_at_the_top() {
    let deep = top(&nested(127));
    assert!(encoded(&accepted(&deep)).contains(&nested(127)));
    assert_eq!(refused(top(&nested(128))), ErrorKind::Decode);
}

/// JF-9: a checkpoint's members begin on the third level.
#[test]
fn nesting_is_limited_in_unknown_members_of_a_checkpoint() {
    let member = |depth| one(&format!("\"last_committed_sequence\": 1, \"x\": {}", nested(depth)));
    assert!(encoded(&accepted(member(125))).contains(&nested(125)));
    assert_eq!(refused(member(126)), ErrorKind::Decode);
}

/// Brackets in strings are text, quotes and backslashes in strings do not end them.
#[test]
fn brackets_in_strings_are_not_nesting() {
    let brackets = "[{".repeat(1000);
    accepted(top(&format!("\"{brackets}\"")));
    accepted(top(&format!("\"\\\"{brackets}\\\\\"")));
    accepted(top(&format!("{{\"\\\\\\\"{brackets}\": 1}}")));
    accepted(one(&format!("\"last_committed_sequence\": 1, \"last_event_id\": \"{brackets}\"")));
    let behind = format!("[\"\\\\\", {}]", nested(127));
    assert_eq!(refused(top(&behind)), ErrorKind::Decode, "the string has ended before the nest");
}

/// Breadth is not depth.
#[test]
fn brackets_that_close_do_not_count() {
    accepted(top(&format!("[{}[]]", "[], {}, ".repeat(1000))));
}

/// JF-9: refused before anything recurses, whole or cut off, and it says where.
#[test]
fn a_file_of_brackets_alone_is_refused_where_the_limit_is_passed() {
    for bracket in ["[", "{", "{\"a\":", "[[[{\"a\":["] {
        let text = bracket.repeat(1_000_000);
        assert_eq!(refused(&text), ErrorKind::Decode);
    }
    let error = super::decode("[".repeat(1000).as_bytes()).unwrap_err();
    assert_eq!(error.offset(), Some(128), "the 129th bracket");
}
