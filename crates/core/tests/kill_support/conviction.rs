//! What a round is convicted of, and what is kept of it to look into.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};

use super::first_seed;

/// Rounds in which a planted bug must show. One is enough, nearly always.
const ROUNDS_MAX: u64 = 20;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation<K> {
    pub(crate) kind: K,
    pub(crate) what: String,
}

impl<K> Violation<K> {
    pub(crate) fn new(kind: K, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl<K: Debug> fmt::Display for Violation<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// What is wrong, and where all that was there and was told is kept.
#[derive(Debug)]
pub(crate) struct Conviction<K> {
    pub(crate) violation: Violation<K>,
    pub(crate) kept: PathBuf,
}

impl<K: Debug> fmt::Display for Conviction<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nkept: {}", self.violation, self.kept.display())
    }
}

/// Runs rounds with a planted bug until one convicts after somebody was told something: of what
/// the bug may do, and with `store`, and all that was told, still there. What is found before there
/// is anything to tell is judged all the same, and the bug looked for further.
pub(crate) fn convicts<T, K: Debug + PartialEq>(
    bug: &dyn Debug,
    of: &[K],
    store: &Path,
    mut round: impl FnMut(u64) -> Result<T, Conviction<K>>,
) {
    let seed = first_seed();
    let told = (seed..seed + ROUNDS_MAX)
        .filter_map(|seed| round(seed).err())
        .any(|found| was_told(&found, of, store));
    assert!(told, "SEED={seed}: {bug:?} was not found once somebody was told something");
}

/// Judges what was found and removes it; whether anything was acknowledged before it.
fn was_told<K: Debug + PartialEq>(found: &Conviction<K>, of: &[K], store: &Path) -> bool {
    assert!(of.contains(&found.violation.kind), "found something else: {found}");
    let journal = std::fs::read_to_string(found.kept.join("journal.txt")).expect("it is kept");
    assert!(journal.contains("try "), "what was tried is kept: {journal}");
    assert!(found.kept.join(store).exists(), "{} is kept", store.display());
    std::fs::remove_dir_all(&found.kept).expect("it is ours");
    journal.contains("\nok ")
}
