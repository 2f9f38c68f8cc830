//! Names, and what is done to them.
//!
//! - Windows reads some names as another file's: it drops dots and spaces at the end, takes `con`
//!   and its like for devices wherever they are, and `:` for a stream within a file. A path that
//!   begins with `\\?\` is taken as it is. [`is_plain`] says which names mean the same either way.
//! - Whoever has a file open without sharing it, a virus scanner or an indexer, is in the way of a
//!   rename, a removal and a sync for a moment: they are tried again, for half a second in all.
//! - A rename asks to be written through, but for the way of POSIX, which cannot ask. The sync of
//!   the directory that follows covers both, as far as the file system knows one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{self, Component, Path, PathBuf, Prefix};
use std::thread;
use std::time::Duration;

use super::calls::{self, Wide};
use super::errno::{EACCES, SHARING_VIOLATION, at};
use crate::{OsError, Result};

/// What is taken without the prefix by every call, with the longest name that a store appends.
const SHORT_PATH: usize = 180;
/// What `MoveFileExW` takes without the prefix, with room to spare.
const PLAIN_PATH: usize = 240;
const VERBATIM: &str = r"\\?\";
const VERBATIM_UNC: &str = r"\\?\UNC\";

/// The first pause; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(1);
const ATTEMPTS_MAX: u32 = 9;

/// Names that mean a device, whatever follows their first dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
/// The same with a digit after them.
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Whether a name means this very file to every program.
#[must_use]
pub fn is_plain(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return true };
    let forbidden = |c: char| c < ' ' || r#"<>:"/\|?*"#.contains(c);
    !name.is_empty() && !name.ends_with(['.', ' ']) && !name.contains(forbidden) && !is_device(name)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    // Digits that are written above the line count as well.
    let is_digit = |c: char| c.is_ascii_digit() || "\u{b9}\u{b2}\u{b3}".contains(c);
    let is_numbered = |device: &str| {
        let rest = stem.strip_prefix(device).map(str::chars);
        rest.is_some_and(|mut rest| rest.next().is_some_and(is_digit) && rest.next().is_none())
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.into_iter().any(is_numbered)
}

/// The path without links, as people write it wherever it means the same then.
pub(super) fn real_path(path: &Path) -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "this is what Storage::real_path is made of")]
    let real = fs::canonicalize(path).map_err(at("GetFinalPathNameByHandleW"))?;
    Ok(as_written(&real).unwrap_or(real))
}

/// `\\?\C:\directory` as `C:\directory`; nothing where that would mean something else.
fn as_written(real: &Path) -> Option<PathBuf> {
    let mut components = real.components();
    let Some(Component::Prefix(prefix)) = components.next() else { return None };
    let Prefix::VerbatimDisk(_) = prefix.kind() else { return None };
    let plain = components.all(|component| match component {
        Component::RootDir => true,
        Component::Normal(name) => name.to_str().is_some() && is_plain(name),
        _ => false,
    });
    let text = real.to_str()?.strip_prefix(VERBATIM)?;
    (plain && text.len() <= SHORT_PATH).then(|| PathBuf::from(text))
}

/// A path as the calls take it, however long it is.
pub(super) fn wide(path: &Path) -> Result<Wide> {
    let invalid = || OsError::new(OsError::EINVAL, "CreateFileW");
    let plain: Wide = path.as_os_str().encode_wide().collect();
    let mut units = match path.components().next() {
        Some(Component::Prefix(prefix)) if prefix.kind().is_verbatim() => plain,
        _ if plain.len() <= PLAIN_PATH => plain,
        _ => {
            let absolute = path::absolute(path).map_err(at("GetFullPathNameW"))?;
            let absolute: Wide = absolute.as_os_str().encode_wide().collect();
            let unc: Wide = r"\\".encode_utf16().collect();
            match absolute.strip_prefix(unc.as_slice()) {
                Some(rest) => VERBATIM_UNC.encode_utf16().chain(rest.iter().copied()).collect(),
                None => VERBATIM.encode_utf16().chain(absolute).collect(),
            }
        }
    };
    if units.contains(&0) {
        return Err(invalid());
    }
    units.push(0);
    Ok(units)
}

/// Gives a file another name, replacing what has it.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    let (old, new) = (wide(from)?, wide(to)?);
    let once = || match calls::rename(&old, &new) {
        // The target is open, or may not be written to: that is no obstacle in the way of POSIX,
        // which the standard library goes where the file system knows it.
        Err(error) if error.raw_os_error() == Some(EACCES) =>
        {
            #[expect(clippy::disallowed_methods, reason = "Storage::rename is made of this")]
            fs::rename(from, to)
        }
        renamed => renamed,
    };
    patiently(once).map_err(at("MoveFileExW"))
}

/// Removes a name that is not a directory's.
pub(super) fn remove(path: &Path) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "this is what Storage::remove is made of")]
    patiently(|| fs::remove_file(path)).map_err(at("DeleteFileW"))
}

/// Does something once more while somebody is in the way of it who may be gone soon.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS_MAX {
        match attempt() {
            Err(error) if is_transient(&error) => {}
            answer => return answer,
        }
        #[expect(clippy::disallowed_methods, reason = "nobody tells when a file is closed")]
        thread::sleep(pause);
        pause *= 2;
    }
    attempt()
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EACCES | SHARING_VIOLATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_reads_as_others_are_not_plain() {
        for name in ["state.json", ".x", "a b", "com", "com10", "console", "lpt", "nul1", "x.con"] {
            assert!(is_plain(OsStr::new(name)), "{name}");
        }
        for name in [
            "",
            ".",
            "state.json.",
            "state ",
            "a:b",
            "state.json::$DATA",
            "a/b",
            r"a\b",
            "a*",
            "a?",
            "a|b",
            "a\"",
            "<",
            "a\tb",
            "con",
            "NUL",
            "nul.json",
            "Com1",
            "lpt9.tar.gz",
            "aux .x",
            "COM\u{b9}",
            "conin$",
        ] {
            assert!(!is_plain(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_real_path_is_shown_as_people_write_it_where_that_means_the_same() {
        let shown = |path: &str| as_written(Path::new(path));
        assert_eq!(shown(r"\\?\C:\a b\c"), Some(PathBuf::from(r"C:\a b\c")));
        assert_eq!(shown(r"\\?\C:\"), Some(PathBuf::from(r"C:\")));
        for other in [r"\\?\C:\nul", r"\\?\C:\a.\b", r"\\?\UNC\server\share\a", r"C:\a"] {
            assert_eq!(shown(other), None, "{other}");
        }
        let long = format!(r"\\?\C:\{}", "a".repeat(SHORT_PATH));
        assert_eq!(shown(&long), None);
    }

    #[test]
    fn a_long_path_is_taken_as_it_is_and_no_path_has_a_nul() {
        let text = |path: &str| String::from_utf16(&wide(Path::new(path)).unwrap()).unwrap();
        assert_eq!(text(r"C:\a"), "C:\\a\0");
        let long = "a".repeat(PLAIN_PATH);
        assert_eq!(text(&format!(r"C:\x\..\{long}")), format!("\\\\?\\C:\\{long}\0"));
        assert_eq!(text(&format!(r"\\s\d\{long}")), format!("\\\\?\\UNC\\s\\d\\{long}\0"));
        assert_eq!(text(&format!(r"\\?\C:\{long}")), format!("\\\\?\\C:\\{long}\0"));
        assert_eq!(wide(Path::new("a\0b")).unwrap_err().errno, OsError::EINVAL);
    }

    /// Defect row 20 of the checkpoint file: a scanner that has the file open fails no write.
    #[test]
    fn what_is_in_the_way_for_a_moment_is_waited_for_and_what_stays_is_told() {
        let busy = || io::Error::from_raw_os_error(SHARING_VIOLATION);
        let mut left = 3;
        let answer = patiently(|| {
            left -= 1;
            if left > 0 { Err(busy()) } else { Ok(()) }
        });
        assert!(answer.is_ok() && left == 0);
        let mut count = 0;
        let answer = patiently(|| {
            count += 1;
            Err::<(), _>(busy())
        });
        assert_eq!(answer.unwrap_err().raw_os_error(), Some(SHARING_VIOLATION));
        assert_eq!(count, ATTEMPTS_MAX);
        let mut count = 0;
        let missing = patiently(|| {
            count += 1;
            Err::<(), _>(io::Error::from_raw_os_error(OsError::ENOENT))
        });
        assert!(missing.is_err() && count == 1, "what no patience changes is told at once");
    }
}
