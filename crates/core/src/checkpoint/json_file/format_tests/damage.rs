//! JF-10: what is not a state file is refused, whatever was done to it.

use super::{G1, accepted, decode, encoded, file, one, refused};
use crate::error::ErrorKind;

/// Three checkpoints and unknown members, as this version writes them.
fn sample() -> String {
    let key = |digit: &str| digit.repeat(64);
    encoded(&accepted(format!(
        "{{\"version\": 1, \"key_format_version\": 1, \"checkpoints\": {{\
         \"{}\": {{\"last_committed_sequence\": 18446744073709551615, \
         \"last_event_id\": \"a\\n\"}}, \
         \"{}\": {{\"last_committed_sequence\": 0, \"x\": [1.0, {{}}]}}, \
         \"{}\": {{\"last_committed_sequence\": 10, \"last_event_id\": \"\u{e9}\"}}}}, \
         \"y\": \"]\"}}",
        key("1"),
        key("a"),
        key("f"),
    )))
}

/// "Empty or whitespace file".
#[test]
fn an_empty_file_is_refused() {
    for text in ["", " ", "\n", "\r\n\t ", "\0"] {
        assert_eq!(refused(text), ErrorKind::Decode, "{text:?}");
    }
}

/// Trailing whitespace is accepted, any other trailing byte is not, nor a BOM, a
/// comment, a trailing comma.
#[test]
fn nothing_but_whitespace_may_stand_around_the_object() {
    let text = sample();
    for space in ["\n", " ", "\r\n\t  "] {
        assert_eq!(encoded(&accepted(format!("{space}{text}{space}"))), text);
    }
    for tail in ["x", "{}", ",", "\0", "]", "}", "// end", "/* */", "\u{a0}", "\u{feff}", "null"] {
        assert_eq!(refused(format!("{text}{tail}")), ErrorKind::Decode, "{tail:?}");
    }
    for head in ["\u{feff}", "//\n", ",", "\u{a0}"] {
        assert_eq!(refused(format!("{head}{text}")), ErrorKind::Decode, "{head:?}");
    }
    assert_eq!(refused(text.replace("\n}", ",\n}")), ErrorKind::Decode, "a trailing comma");
}

/// A file that was cut anywhere is refused: no prefix of it is a state file.
#[test]
fn every_truncation_is_refused() {
    let text = sample();
    for end in 0..text.len() {
        assert_eq!(refused(&text.as_bytes()[..end]), ErrorKind::Decode, "cut at {end}");
    }
    accepted(&text);
}

/// Bytes that are not UTF-8 are refused wherever they are, in unknown members too.
#[test]
fn text_that_is_not_utf_8_is_refused() {
    let text = sample();
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\x80", b"\xf4\x90\x80\x80"] {
        for quote in text.match_indices('"').map(|(at, _)| at + 1) {
            let mut bytes = text.clone().into_bytes();
            bytes.splice(quote..quote, bad.iter().copied());
            assert_eq!(refused(&bytes), ErrorKind::Decode, "{bad:x?} at {quote}");
        }
    }
}

/// A lone surrogate has no UTF-8 form, so that an event id cannot hold it.
#[test]
fn an_event_id_with_a_lone_surrogate_is_refused() {
    for event_id in ["\\ud800", "\\udc00", "\\ud800x", "\\udc00\\ud800", "\\u12", "\\x41"] {
        let members = format!("\"last_committed_sequence\": 1, \"last_event_id\": \"{event_id}\"");
        assert_eq!(refused(one(&members)), ErrorKind::Decode, "{event_id}");
    }
}

/// Control characters in strings must be escaped.
#[test]
fn a_raw_control_character_in_a_string_is_refused() {
    for control in ['\0', '\n', '\t', '\u{1f}'] {
        let members = format!("\"last_committed_sequence\": 1, \"last_event_id\": \"{control}\"");
        assert_eq!(refused(one(&members)), ErrorKind::Decode, "{control:?}");
    }
}

/// An error says where in the file it is: line and column in words, the offset for programs.
#[test]
fn a_syntax_error_has_its_offset() {
    let error = decode(b"{\n  \"version\": 1,\n  oops\n}").unwrap_err();
    assert_eq!(error.offset(), Some(20));
    assert!(error.message().contains("line 3 column 3"), "{}", error.message());
}

/// As above, below `checkpoints`, which is decoded later: the place is that in the file.
#[test]
fn an_error_within_the_checkpoints_has_its_place_in_the_file() {
    for indent in ["", "\n", "\n\n  "] {
        let text = file(&format!("{indent}\"{G1}\": {{}},{indent}\"{G1}\": [7]"));
        // The parser looks ahead: it names the last byte that it took, the space.
        let offset = text.find('[').unwrap() - 1;
        let error = decode(text.as_bytes()).unwrap_err();
        assert_eq!(error.offset(), Some(offset as u64), "{text}");
        let (line, start) = text[..offset]
            .rmatch_indices('\n')
            .next()
            .map_or((1, 0), |(at, _)| (text[..at].matches('\n').count() + 2, at + 1));
        let place = format!("at line {line} column {}", offset - start + 1);
        assert!(error.message().ends_with(&place), "{place}: {}", error.message());
    }
}

/// A wrong value is found by its key; the parser's own line, which counts from the value, is not
/// repeated.
#[test]
fn an_error_of_a_value_names_its_key_or_member() {
    let text = file(&format!("\"{G1}\": {{\"last_committed_sequence\": -1}}"));
    let error = decode(text.as_bytes()).unwrap_err();
    assert!(error.message().contains(G1) && !error.message().contains(" line "), "{error}");
    let error = decode(b"{\"version\": \"1\"}").unwrap_err();
    assert!(error.message().contains("\"version\"") && !error.message().contains(" line "));
}
