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

/// Runs rounds with a planted bug until one convicts: of something that the bug may do, and with
/// `store`, and all that was told, still there.
pub(crate) fn convicts<T, K: Debug + PartialEq>(
    bug: &dyn Debug,
    of: &[K],
    store: &Path,
    round: impl FnMut(u64) -> Result<T, Conviction<K>>,
) {
    let (seed, mut round) = (first_seed(), round);
    let found = (seed..seed + ROUNDS_MAX)
        .find_map(|seed| round(seed).err())
        .unwrap_or_else(|| panic!("SEED={seed}: {bug:?} was not found"));
    assert!(of.contains(&found.violation.kind), "found something else: {found}");
    let journal = std::fs::read_to_string(found.kept.join("journal.txt")).expect("it is kept");
    assert!(journal.contains("\nok "), "nobody was told anything: {journal}");
    assert!(found.kept.join(store).exists(), "{} is kept", store.display());
    std::fs::remove_dir_all(&found.kept).expect("it is ours");
}
