//! Resume keys: what the original's own tests ask of them, and the recipe of
//! `docs/format/state-file.md`, "Keys".

use std::collections::HashSet;

use serde_json::{Value, json};
use tidemark_core::ErrorKind;
use tidemark_core::checkpoint::ResumeKey;

fn exact(url: &str, event: &str, filter: &Value, fingerprint: Option<&str>) -> ResumeKey {
    ResumeKey::derive_exact(url, event, filter, fingerprint).unwrap()
}

fn of_url(url: &str) -> ResumeKey {
    exact(url, "mars", &json!({}), None)
}

fn of_filter(filter: &Value) -> ResumeKey {
    exact("https://a/", "mars", filter, None)
}

fn parsed(filter: &str) -> ResumeKey {
    of_filter(&serde_json::from_str(filter).unwrap())
}

/// `deterministic_for_same_inputs`, `different_{base_url, event_type, filter_value}_...`,
/// `schema_fingerprint_none_vs_some_empty_differ`, `..._distinct_values_differ`.
#[test]
fn every_input_counts_and_the_same_inputs_give_the_same_key() {
    let keys = || {
        let f = json!({"k": "1"});
        [
            exact("https://a/", "mars", &f, None),
            exact("https://b/", "mars", &f, None),
            exact("https://a/", "atms", &f, None),
            exact("https://a/", "mars", &json!({"k": "2"}), None),
            exact("https://a/", "mars", &f, Some("")),
            exact("https://a/", "mars", &f, Some("v1")),
            exact("https://a/", "mars", &f, Some("v2")),
            exact("https://a/", " mars", &f, None),
            exact("https://a/", "Mars", &f, None),
            exact("https://a/", "", &f, None),
        ]
    };
    assert_eq!(keys(), keys());
    assert_eq!(keys().into_iter().collect::<HashSet<_>>().len(), 10, "no two are the same");
}

/// `event_type_with_nul_byte_does_not_collide_...`, `schema_fingerprint_with_nul_does_not_...`:
/// lengths go before what they measure.
#[test]
fn no_input_can_pose_as_another() {
    let f = json!({});
    let keys = [
        exact("https://a/", "a\0b", &f, None),
        exact("https://a/", "a", &json!({"_": "b"}), None),
        exact("https://a/", "mars", &f, Some("v\u{0}1")),
        exact("https://a/", "mars\u{1}", &f, Some("v")),
        exact("https://a/", "marsfp:v\u{0}1", &f, None),
        exact("https://a/m", "ars", &f, None),
        exact("https://a/", "mars{}", &f, None),
    ];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
}

/// `filter_key_reordering_...`, `nested_filter_object_reordering_...`; arrays keep their order.
#[test]
fn the_order_of_members_does_not_count_and_that_of_elements_does() {
    assert_eq!(parsed(r#"{"a": "1", "b": "2"}"#), parsed(r#"{"b": "2", "a": "1"}"#));
    assert_eq!(
        parsed(r#"{"o": {"x": 1, "y": [{"p": 1, "q": 2}]}}"#),
        parsed(r#"{ "o" :{"y":[{"q":2,"p":1}],"x":1}}"#)
    );
    assert_ne!(parsed(r#"{"a": [1, 2]}"#), parsed(r#"{"a": [2, 1]}"#));
}

/// "Types matter".
#[test]
fn the_types_of_filter_values_count() {
    let filters = [
        r"{}",
        r#"{"a": null}"#,
        r#"{"a": 1}"#,
        r#"{"a": "1"}"#,
        r#"{"a": true}"#,
        r#"{"a": false}"#,
        r#"{"a": []}"#,
        r#"{"a": {}}"#,
        r#"{"a": [1]}"#,
        r#"{"a": "46,8"}"#,
        r#"{"a": [46, 8]}"#,
        r"null",
        r"[]",
        r#""a""#,
    ];
    let keys: HashSet<ResumeKey> = filters.iter().map(|filter| parsed(filter)).collect();
    assert_eq!(keys.len(), filters.len());
}

/// Every number is a double, printed as ECMAScript does; beyond 2^53 integers collide.
#[test]
fn numbers_of_a_filter_are_doubles() {
    let same = [
        ("1", "1.0"),
        ("1", "10e-1"),
        ("0", "-0"),
        ("0", "-0.0"),
        ("0", "0e9"),
        ("1e21", "1000000000000000000000"),
        ("1e-7", "0.0000001"),
        ("9007199254740993", "9007199254740992"),
        ("18446744073709551615", "18446744073709552000"),
        ("0.1", "0.1000000000000000055"),
    ];
    for (one, other) in same {
        assert_eq!(
            parsed(&format!("{{\"n\": {one}}}")),
            parsed(&format!("{{\"n\": {other}}}")),
            "{one} and {other}"
        );
    }
    for (one, other) in [("1", "2"), ("0.1", "0.2"), ("9007199254740992", "9007199254740994")] {
        assert_ne!(parsed(&format!("[{one}]")), parsed(&format!("[{other}]")));
    }
}

/// The recipe by hand: what a key hashes is proved by hashing what it should hash.
fn recipe(url: &str, event: &str, filter: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    hasher.update(1_u32.to_le_bytes());
    for field in [url, event, filter] {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    hasher.update([0]);
    hasher.finalize().into()
}

fn assert_canonical(filter: &str, canonical: &str) {
    let digest = recipe("https://a/", "mars", canonical);
    assert_eq!(parsed(filter).digest(), &digest, "{filter} is not {canonical}");
}

/// RFC 8785: numbers, as text.
#[test]
fn numbers_of_a_filter_are_printed_as_ecmascript_prints_them() {
    for (number, text) in [
        ("1.0", "1"),
        ("-0", "0"),
        ("1e21", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("1e-7", "1e-7"),
        ("0.000001", "0.000001"),
        ("9007199254740993", "9007199254740992"),
        ("18446744073709551615", "18446744073709552000"),
        ("-1.5E3", "-1500"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("333333333.33333329", "333333333.3333333"),
    ] {
        assert_canonical(&format!("[{number}]"), &format!("[{text}]"));
    }
}

/// Members are sorted by UTF-16 code units, so that U+1F600 (D83D DE00) comes before
/// U+FB33, although its code point is larger.
#[test]
fn members_of_a_filter_are_sorted_by_utf_16_code_units() {
    assert_canonical(
        "{\"\u{fb33}\": 1, \"\u{1f600}\": 2, \"\u{20ac}\": 3, \"\u{f6}\": 4, \"\u{80}\": 5, \
         \"1\": 6, \"\\r\": 7, \"\": 8, \"a\": 9, \"A\": 10, \"aa\": 11}",
        "{\"\":8,\"\\r\":7,\"1\":6,\"A\":10,\"a\":9,\"aa\":11,\"\u{80}\":5,\"\u{f6}\":4,\
         \"\u{20ac}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}",
    );
}

/// Escapes; `/`, U+007F, U+2028 and what is not ASCII are raw.
#[test]
fn strings_of_a_filter_are_escaped_as_rfc_8785_says() {
    assert_canonical(
        r#"["\u0022\u005c\b\t\n\f\r\u0000\u001F\/\u007f\u2028\u00e9\ud83d\ude00"]"#,
        "[\"\\\"\\\\\\b\\t\\n\\f\\r\\u0000\\u001f/\u{7f}\u{2028}\u{e9}\u{1f600}\"]",
    );
    assert_canonical("[null, true ,false, {}, []]", "[null,true,false,{},[]]");
}

/// `normalize_*` and the strings that it has to agree on.
#[test]
fn urls_are_normalised_as_the_original_does() {
    for (url, normal) in [
        ("HTTPS://Aviso.Example/", "https://aviso.example/"),
        ("https://aviso.example:443/", "https://aviso.example/"),
        ("http://aviso.example:80/", "http://aviso.example/"),
        ("https://aviso.example:8443/", "https://aviso.example:8443/"),
        ("http://a:443/", "http://a:443/"),
        ("https://user:pass@aviso.example/", "https://aviso.example/"),
        ("https://aviso.example/path/", "https://aviso.example/path/"),
        ("https://[::1]:8443/", "https://[::1]:8443/"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
        ("https://[0:0:0:0:0:0:0:1]/", "https://[::1]/"),
        ("https://127.1/", "https://127.0.0.1/"),
        ("https://B\u{fc}cher.example/", "https://xn--bcher-kva.example/"),
        ("https://a", "https://a/"),
        ("https://a/x?q=1#f", "https://a/x"),
        ("https://a/x/../y/./z", "https://a/y/z"),
        ("https://a/%7e", "https://a/%7e"),
        ("https://a./", "https://a./"),
        ("https://a/X", "https://a/X"),
        ("ws://a:80/", "ws://a/"),
        ("wss://a:443/", "wss://a/"),
        ("ftp://a:21/", "ftp://a/"),
        ("mailto:x@y", "mailto://x@y"),
    ] {
        let digest = recipe(normal, "mars", "{}");
        assert_eq!(of_url(url).digest(), &digest, "{url} is not {normal}");
    }
}

/// `distinct_ipv6_hosts_produce_distinct_keys`, and what else is significant in a URL.
#[test]
fn what_differs_in_a_url_gives_another_key() {
    let urls = [
        "https://[::1]/",
        "https://[::2]/",
        "https://a/",
        "https://a./",
        "http://a/",
        "https://a:8443/",
        "https://a/x",
        "https://a/x/",
        "https://a/X",
        "https://a/%7e",
        "https://a/~",
    ];
    let keys: HashSet<ResumeKey> = urls.iter().map(|url| of_url(url)).collect();
    assert_eq!(keys.len(), urls.len());
}

/// The high-level helper adds the slash that the original's client adds, the low-level
/// one does not.
#[test]
fn derive_adds_a_trailing_slash_and_derive_exact_does_not() {
    let derive = |url| ResumeKey::derive(url, "mars", &json!({}), None).unwrap();
    assert_eq!(derive("https://h/x"), derive("https://h/x/"));
    assert_eq!(derive("https://h/x"), of_url("https://h/x/"));
    assert_eq!(derive("https://h/x?q"), of_url("https://h/x/"));
    assert_eq!(derive("https://h"), of_url("https://h/"));
    assert_ne!(of_url("https://h/x"), of_url("https://h/x/"));
}

/// http and https only, as the original's client has it; no scheme is rejected below.
#[test]
fn derive_takes_http_and_https_only() {
    let derive = |url| ResumeKey::derive(url, "mars", &json!({}), None);
    for url in ["ftp://a/", "file:///a", "mailto:x@y", "ws://a/", "httpx://a/"] {
        assert_eq!(derive(url).unwrap_err().kind(), ErrorKind::InvalidArgument, "{url}");
        ResumeKey::derive_exact(url, "mars", &json!({}), None).unwrap();
    }
    for url in ["", "a", "//a/", "https://", "https://a b/", "https://[::1/", "https://a:99999/"] {
        assert_eq!(derive(url).unwrap_err().kind(), ErrorKind::InvalidArgument, "{url}");
        let exact = ResumeKey::derive_exact(url, "mars", &json!({}), None);
        assert_eq!(exact.unwrap_err().kind(), ErrorKind::InvalidArgument, "{url}");
    }
    derive("HTTP://a/").unwrap();
}

/// `as_hex_is_64_lowercase_chars`, `key_format_version_is_current`,
/// `empty_filter_object_hashes_deterministically` (length 64).
#[test]
fn the_hex_form_is_64_lower_case_digits() {
    let key = of_filter(&json!({}));
    assert_eq!(key.hex().len(), 64);
    assert!(key.hex().bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(key.format_version(), tidemark_core::checkpoint::KEY_FORMAT_VERSION);
    assert_eq!(key.name(), None);
}

/// `from_parts_with_different_format_versions_are_not_equal`.
#[test]
fn from_parts_with_different_format_versions_are_not_equal() {
    let (one, two) = (ResumeKey::from_parts([7; 32], 1), ResumeKey::from_parts([7; 32], 2));
    assert_ne!(one, two);
    assert_eq!(one.hex(), two.hex(), "the hex form is of the digest alone");
    assert_eq!(HashSet::from([one.clone(), two, one]).len(), 2);
}

/// Equality is that of digest and key format version; the name is for people.
#[test]
fn a_name_does_not_count_in_equality_order_or_hash() {
    let named = ResumeKey::named("orders").unwrap();
    let bare = ResumeKey::from_hex(&named.hex()).unwrap();
    assert_eq!(named, bare);
    assert_eq!(named.cmp(&bare), std::cmp::Ordering::Equal);
    assert_eq!((named.name(), bare.name()), (Some("orders"), None));
    assert_eq!(HashSet::from([named, bare]).len(), 1);
}

/// 1 to 1,024 bytes of UTF-8: `docs/format/state-file.md`, "Keys".
#[test]
fn a_name_has_1_to_1024_bytes() {
    for good in ["x".to_owned(), "x".repeat(1024), "\u{e9}".repeat(512), "\0".to_owned()] {
        assert_eq!(ResumeKey::named(&good).unwrap().name(), Some(good.as_str()));
    }
    for bad in [String::new(), "x".repeat(1025), "\u{e9}".repeat(513)] {
        let error = ResumeKey::named(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    assert_ne!(ResumeKey::named("a").unwrap(), ResumeKey::named("A").unwrap());
    assert_ne!(ResumeKey::named("a").unwrap(), ResumeKey::named("a ").unwrap());
}

/// `fromHex` takes either case; anything else is an invalid argument.
#[test]
fn from_hex_takes_either_case_and_nothing_else() {
    let hex = of_filter(&json!({})).hex();
    for good in [hex.clone(), hex.to_ascii_uppercase()] {
        assert_eq!(ResumeKey::from_hex(&good).unwrap().hex(), hex);
    }
    let bad = [
        String::new(),
        "deadbeef".to_owned(),
        hex[..63].to_owned(),
        format!("{hex}0"),
        format!("g{}", &hex[1..]),
        format!("+{}", &hex[1..]),
        format!(" {}", &hex[1..]),
        format!("0x{}", &hex[2..]),
        format!("\u{e9}{}", &hex[2..]),
        "\u{ff11}".repeat(64),
    ];
    for bad in bad {
        let error = ResumeKey::from_hex(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
    }
}

/// Keys sort as their hex forms do.
#[test]
fn keys_sort_as_their_hex_forms_do() {
    let mut keys: Vec<ResumeKey> =
        (0..50).map(|n| ResumeKey::named(&format!("{n}")).unwrap()).collect();
    keys.sort();
    assert!(keys.iter().map(ResumeKey::hex).is_sorted());
}
