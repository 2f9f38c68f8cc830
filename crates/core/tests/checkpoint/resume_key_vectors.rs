//! The golden vectors, G1 and D1 to D23, as in `__test__/fixtures/resume-keys.json`. G1 is
//! published by the original; the others are derived from the recipe, for inputs as given
//! (`derive_exact`).

use serde_json::{Value, json};
use tidemark_core::checkpoint::ResumeKey;

fn check(id: &str, url: &str, event: &str, filter: &Value, fingerprint: Option<&str>, hex: &str) {
    let exact = ResumeKey::derive_exact(url, event, filter, fingerprint).unwrap();
    assert_eq!(exact.hex(), hex, "{id}");
    assert_eq!(exact.format_version(), 1, "{id}");
    // Each of these URLs ends in a slash, so that the one which the client adds changes nothing.
    let derived = ResumeKey::derive(url, event, filter, fingerprint).unwrap();
    assert_eq!(derived, exact, "{id}");
}

/// G1, the only digest that the original publishes.
#[test]
fn the_published_vector_g1_is_reproduced() {
    check(
        "G1",
        "https://aviso-server.ecmwf.int/",
        "mars",
        &json!({"class": "od"}),
        None,
        "46fe3e30937478ae30527c74cb2f03a5e5419228a11051cdaccefe7d044b21c3",
    );
}

/// D1 to D9: URL, event type and schema fingerprint.
#[test]
fn the_vectors_d1_to_d9_are_reproduced() {
    let (a, b) = ("https://a/", "https://b/");
    let rows = [
        ("D1", a, "mars", None, "e9ae33ec10bacefb2cfb8eb4f343af61be1ec5c6a67622b09ab5be69bb7caae2"),
        ("D2", b, "mars", None, "81429cbdb0a1e9b9f98c4b8855e9fbd67b4de8958c4a1db285139c514afafcda"),
        ("D3", a, "atms", None, "09b847674cc533c8ba3f2fd93bc0610612e03372f7351e05e55d76bdcf1d7d05"),
        (
            "D4",
            a,
            "mars",
            Some(""),
            "40c0bb542a2175c2981c4f701bb4c17d46ed9b59ce0813a71340191fe5d2f937",
        ),
        (
            "D5",
            a,
            "mars",
            Some("v1"),
            "721ab7ce2023938b5fa6ab2928b68f3509a6ce5ffcac99d9aad7ab17cbc9f550",
        ),
        (
            "D6",
            a,
            "mars",
            Some("v2"),
            "b77432121d3dd060fd67e06fb76a5fc99d5b5b942f1e3991ff3f93195ceb9ba9",
        ),
        (
            "D7",
            a,
            "mars",
            Some("v\u{0}1"),
            "6d400092435ebce6c2c1f33d311eb924eea6c92b12fc91c3e52febb3035cd7f6",
        ),
        (
            "D8",
            a,
            "marsfp:v\u{0}1",
            None,
            "0e129c34cb9488af3b8e6d06a9b3278a89b24c094c0cc11592764e0d5b60ee2f",
        ),
        (
            "D9",
            a,
            "a\u{0}b",
            None,
            "ff8c0ede3a040b23e086396dcaf0614e58e4a80a7324153bc337f337d31702b6",
        ),
    ];
    for (id, url, event, fingerprint, hex) in rows {
        check(id, url, event, &json!({}), fingerprint, hex);
    }
}

/// D10 to D17: the filter.
#[test]
fn the_vectors_d10_to_d17_are_reproduced() {
    let rows = [
        (
            "D10",
            "a",
            json!({"_": "b"}),
            "9ac2f2a5ea8df0c85637389aac4f63e8c8c82c993fd855f8184ca07287d0f56e",
        ),
        (
            "D11",
            "mars",
            json!({"k": "1"}),
            "93930fffdccc512effe72c4905a65076faa57cb9a51a9eccb63e8eb40615c96d",
        ),
        (
            "D12",
            "mars",
            json!({"k": "2"}),
            "5cfccc400379ac6ca9e140ad2fb27d0e9440a894974f81244e9c5e4f30147a30",
        ),
        (
            "D13",
            "mars",
            json!({"a": "1", "b": "2"}),
            "a8cfc911e25e96ea8a9b88b0357ff8cd48bfa95702e4b0760cfb8a8d55ff1a63",
        ),
        (
            "D13, the other order",
            "mars",
            json!({"b": "2", "a": "1"}),
            "a8cfc911e25e96ea8a9b88b0357ff8cd48bfa95702e4b0760cfb8a8d55ff1a63",
        ),
        (
            "D14",
            "mars",
            json!({"outer": {"y": "2", "x": "1"}}),
            "495838c0da7d1bc387851e70ef7b7a373e67cfe6be5139323e338b937d60fe74",
        ),
        (
            "D15",
            "mars",
            json!({"n": 0}),
            "aa662938668ccbb09ac76a84f015f0d0d8271f26062b9df5c0401ecb95b76808",
        ),
        (
            "D16",
            "mars",
            json!({"n": 1}),
            "f0018818df9b3193fa9fd8770fc7e72b51dbaa47ad12255cc3e95a9d4b4092bf",
        ),
        (
            "D16, as 1.0",
            "mars",
            json!({"n": 1.0}),
            "f0018818df9b3193fa9fd8770fc7e72b51dbaa47ad12255cc3e95a9d4b4092bf",
        ),
        (
            "D17",
            "mars",
            json!({"n": 255}),
            "f7d8767d98c00acd53065e241d013a48a3278782dfaa24ccddbb465c16ede997",
        ),
    ];
    for (id, event, filter, hex) in rows {
        check(id, "https://a/", event, &filter, None, hex);
    }
}

/// D18 to D21: the keys of the original's kill fuzz.
#[test]
fn the_vectors_d18_to_d21_are_reproduced() {
    let hexes = [
        "2bac14bde6b396881e1db340e7d31c7c28ec18ab72600ba7d5215df5221fb77f",
        "8b6ddadc304dca6ef2d5c50d2f40deb3e440fafbe2d8937ad2cdf4ec1b1c4575",
        "798fab7c87d5e556c983bb14e1562a15e5160136010240136b1c4399501a287f",
        "1121fb13674c2c243eb7835b35a51bbb6df9d7648a92b7f54b0d0982f7422e06",
    ];
    for (child, hex) in hexes.into_iter().enumerate() {
        let id = format!("D{}", 18 + child);
        check(&id, "https://kill-fuzz/", "mars", &json!({"child": child}), None, hex);
    }
}

/// D22 and D23: two spellings of one URL each.
#[test]
fn the_vectors_d22_and_d23_are_reproduced() {
    let d22 = "2797e87c3f69fc4b7763f13df18869dcc15465c651bb25968b36c28b4cdb3061";
    for url in ["HTTPS://Aviso.Example/", "https://user:pass@aviso.example:443/"] {
        check("D22", url, "mars", &json!({}), None, d22);
    }
    let d23 = "907b670afab09e93ce45afd1eb9ee94c00c1a71fe9c7d0b3c3a28c5245f2afa1";
    for url in ["https://[::1]/", "https://[0:0:0:0:0:0:0:1]/"] {
        check("D23", url, "mars", &json!({}), None, d23);
    }
}

/// The digest of a name: docs/format/state-file.md, "Keys".
#[test]
fn the_key_named_orders_has_the_documented_digest() {
    let key = ResumeKey::named("orders").unwrap();
    let hex = "5d59bae544f97751009f9e806e837a39074d650c59127d005ee862f82818681c";
    assert_eq!(key.hex(), hex);
    assert_eq!(key.name(), Some("orders"));
    assert_eq!(key.format_version(), 1);
}
