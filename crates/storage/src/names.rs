//! Names of files where the system reads several as one ([`crate::Storage::folds_names`]).
//!
//! A file that exists tells its own name ([`crate::Storage::real_path`]). What is here is for a
//! file that does not exist yet. It errs towards telling names apart: to take two files for one is
//! worse than to take one for two, which the lock file beside it still brings together.

use std::ffi::{OsStr, OsString};

/// Characters of a short name before its dot, and after it.
const STEM_MAX: usize = 8;
const EXTENSION_MAX: usize = 3;

/// The same text for names that differ in nothing but case. Only characters that have one partner
/// count, as in the tables of NTFS: one sharp s is not two of the other kind.
#[must_use]
pub fn folded(name: &OsStr) -> OsString {
    let Some(text) = name.to_str() else { return name.to_owned() };
    text.chars().map(upper).collect::<String>().into()
}

fn upper(c: char) -> char {
    only(c.to_uppercase()).filter(|upper| only(upper.to_lowercase()) == Some(c)).unwrap_or(c)
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().xor(chars.next())
}

/// Whether the system may have made this name, in 8 + 3 characters, for a file with a longer one:
/// `STATE~1.JSO`.
#[must_use]
pub fn is_short(name: &OsStr) -> bool {
    let Some(text) = name.to_str() else { return false };
    let (stem, extension) = text.split_once('.').unwrap_or((text, ""));
    let number = stem.rsplit_once('~').map_or("", |(_, number)| number);
    let fits = stem.chars().count() <= STEM_MAX && extension.chars().count() <= EXTENSION_MAX;
    fits && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_alone_are_one_and_no_others() {
        let same = |one: &str, other: &str| folded(OsStr::new(one)) == folded(OsStr::new(other));
        assert!(same("State.json", "sTATE.JSON") && same("\u{e4}\u{434}", "\u{c4}\u{414}"));
        for (one, other) in
            [("a", "b"), ("\u{df}", "ss"), ("\u{131}", "I"), ("\u{17f}", "S"), ("a", "a ")]
        {
            assert!(!same(one, other), "{one} {other}");
        }
        assert_eq!(folded(OsStr::new("a-1~\u{df}")), "A-1~\u{df}");
    }

    #[test]
    fn a_short_name_has_a_number_and_fits() {
        for name in ["STATE~1.JSO", "state~1.jso", "ABCDEF~1", "A~123456.X", "ST1A2B~2.JSO"] {
            assert!(is_short(OsStr::new(name)), "{name}");
        }
        for name in ["state.json", "state~1.json", "a~.x", "~a", "a~1b", "abcdefg~1", "a.b~1"] {
            assert!(!is_short(OsStr::new(name)), "{name}");
        }
    }
}
