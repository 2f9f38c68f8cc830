//! One commit of the JSON store: lock, read, judge, replace, publish.
//!
//! Straight-line code over the storage seam. The steps and the invariants JF-1 to JF-12 are in
//! `docs/format/state-file.md`.

use std::path::PathBuf;
use std::sync::Arc;

use tidemark_storage::LockMode;

use super::format;
use super::quarantine::Quarantine;
use super::reader::{Commit, FILE_BYTES_MAX, Found, Identity, JsonFileReader, Known, Loaded};
use super::{Recover, SharedOptions};
use crate::checkpoint::ResumeKey;
use crate::checkpoint::merge::{Op, Outcome, Overlay, judge};
use crate::checkpoint::view::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::file_lock::LockFile;
use crate::group_commit::{Engine, LockWait, Outbox, Pending};
use crate::temporary;

/// Names in a directory that a write may list for nothing; a larger one is listed less often.
const SWEEP_NAMES_PER_WRITE: usize = 1024;

/// How often in a row a group starts again because its lock does not count any more, before
/// somebody must be doing it on purpose.
const RESTARTS_MAX: usize = 100;

/// Bugs that tests plant to see that they are caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The temporary is not synced before the rename.
    NoFileSync,
    /// The directory is not synced after the rename.
    NoDirectorySync,
    /// The state file is written in place.
    InPlace,
    /// The lock is not taken, and nobody looks again before the rename.
    NoLock,
    /// A granted lock is not compared with the path, neither then nor before the rename.
    NoLockRecheck,
    /// Nobody looks again, right before the rename, whether the lock still counts.
    NoLastLook,
    /// Callers hear of success before anything is synced.
    AcknowledgeBeforeSync,
    /// Readers see a value before it is synced.
    PublishBeforeSync,
}

/// Commits groups to a JSON file.
#[derive(Debug)]
pub struct JsonFileEngine {
    pub(super) reader: Arc<JsonFileReader>,
    lock: LockFile,
    pub(super) options: SharedOptions,
    quarantine: Quarantine,
    /// Writes left before the directory is listed again for strays.
    writes_until_sweep: usize,
    /// How often in a row a group started again.
    restarts: usize,
    /// The largest file that is written.
    file_bytes_max: u64,
    bug: Option<Bug>,
}

/// The content that a group is judged on.
enum Base {
    /// What the view holds, and the disk as well.
    Same,
    /// What the disk holds, and the view does not.
    Other(Box<Loaded>),
    /// What the view holds, and the disk has lost.
    Missing,
}

/// What a group came to that did not fail.
enum Committed {
    /// It is durable, and so is what its results rest on.
    Done {
        /// The file that was known before. Closing it takes time: it frees the blocks of a file
        /// that has no name any more.
        replaced: Option<Known>,
    },
    /// Somebody else may have been let in. Nothing was written; all of it must start again.
    Overtaken,
    /// The file would become too large. Nothing was written.
    TooLarge,
}

/// A group that was judged.
struct Judged {
    outcomes: Vec<Outcome>,
    overlay: Overlay,
    /// The file's new content, where it changes.
    json: Option<Vec<u8>>,
}

impl JsonFileEngine {
    pub(super) fn new(
        reader: &Arc<JsonFileReader>,
        lock_path: PathBuf,
        options: SharedOptions,
        quarantine: Quarantine,
    ) -> Self {
        // Its owner must be able to open it again, whatever mode the state file is to have.
        let lock_mode = options.get().mode | 0o600;
        let lock = LockFile::new(&reader.storage, lock_path, lock_mode);
        let reader = Arc::clone(reader);
        Self {
            reader,
            lock,
            options,
            quarantine,
            writes_until_sweep: 0,
            restarts: 0,
            file_bytes_max: FILE_BYTES_MAX,
            bug: None,
        }
    }

    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn with(mut self, bug: Bug) -> Self {
        if bug == Bug::NoLockRecheck {
            self.lock.without_verification();
        }
        self.bug = Some(bug);
        self
    }

    /// Writes no larger file than this: a test does not fill a gigabyte.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub const fn with_file_bytes_max(mut self, file_bytes_max: u64) -> Self {
        self.file_bytes_max = file_bytes_max;
        self
    }

    /// Whether this bug is planted; never so in a published build.
    pub(super) fn has(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.bug == Some(bug)
    }

    /// Commits operations as one.
    fn commit_group(
        &mut self,
        ops: &[Op],
        acknowledge: &mut dyn FnMut(Vec<Outcome>),
    ) -> Result<Committed> {
        self.sweep();
        let Some(mut base) = self.load()? else { return Ok(Committed::Overtaken) };
        let regressed = match &base {
            Base::Other(loaded) => self.reader.regressions(&loaded.content),
            Base::Same | Base::Missing => Vec::new(),
        };
        let Judged { outcomes, overlay, json } = self.judge(&base, ops);
        if json.as_ref().is_some_and(|json| json.len() as u64 > self.file_bytes_max) {
            return Ok(Committed::TooLarge);
        }
        if self.has(Bug::AcknowledgeBeforeSync) {
            acknowledge(outcomes.clone());
        }
        if self.has(Bug::PublishBeforeSync) {
            let early = overlay.clone();
            let _nothing = self.reader.publish(None, |content| content.apply(early));
        }
        let written = if let Some(json) = json {
            let is_missing = matches!(base, Base::Missing);
            if is_missing && !self.quarantine.files(&self.reader)?.is_empty() {
                self.reader.prove_missing()?;
            }
            let judged = match &base {
                Base::Same => self.reader.known(),
                Base::Other(loaded) => Some(loaded.known.identity),
                Base::Missing => None,
            };
            if let Base::Other(loaded) = &mut base {
                loaded.known.make_way(self.reader.storage.as_ref());
            }
            let Some(written) = self.replace(judged, &json)? else {
                return Ok(Committed::Overtaken);
            };
            Some(written)
        } else {
            self.prove(&base)?;
            None
        };
        let replaced = self.publish(base, written, overlay);
        self.reader.tell(&regressed);
        acknowledge(outcomes);
        Ok(Committed::Done { replaced })
    }

    /// Makes sure that what is reported without a write is durable (JF-3).
    fn prove(&self, base: &Base) -> Result<()> {
        match base {
            Base::Same => Ok(()),
            Base::Other(loaded) => self.reader.prove(&loaded.known),
            Base::Missing => self.reader.prove_missing(),
        }
    }

    /// Removes the temporaries of dead writers, listing a large directory less often.
    fn sweep(&mut self) {
        if let Some(left) = self.writes_until_sweep.checked_sub(1) {
            self.writes_until_sweep = left;
            return;
        }
        let swept = temporary::sweep(self.reader.storage.as_ref(), &self.reader.directory);
        self.writes_until_sweep = swept.names / SWEEP_NAMES_PER_WRITE;
        self.reader.metrics.swept.add(swept.removed);
    }

    /// What the disk holds. From here on a refresh leaves the view alone, or brings it to the same.
    /// Nothing: somebody else may have been let in meanwhile.
    fn load(&self) -> Result<Option<Base>> {
        loop {
            let (epoch, _) = self.reader.epoch_and_commit();
            let Some((base, commit)) = self.look()? else { return Ok(None) };
            // A refresh that had begun before may have changed the view under that look.
            if self.reader.commit_if(epoch, commit) {
                return Ok(Some(base));
            }
        }
    }

    /// What the disk holds; a file that cannot be decoded moves aside if that was asked for.
    /// Nothing: somebody else may have been let in meanwhile.
    fn look(&self) -> Result<Option<(Base, Commit)>> {
        Ok(Some(match self.reader.find()? {
            Found::Same => (Base::Same, Commit::OnView),
            Found::Other(loaded) => (Base::Other(loaded), Commit::OnDisk { own: None }),
            Found::Missing => (Base::Missing, Commit::OnView),
            Found::Undecodable(found) => {
                let may_repair = self.options.get().recover == Recover::Quarantine;
                if !may_repair || !Quarantine::is_for(&found.error) {
                    return Err(found.error);
                }
                let alone = || self.is_still_alone(Some(found.identity));
                if !self.quarantine.move_aside(&self.reader, &found, alone)? {
                    return Ok(None);
                }
                (Base::Missing, Commit::OnView)
            }
        }))
    }

    /// The last look before a rename: whether the path still leads to what was judged, and the lock
    /// still counts. Whoever comes in by another lock file after this has what time there is until
    /// the rename, the very next call, to lock, read, write, sync and look in his turn (JF-11).
    pub(super) fn is_still_alone(&self, judged: Option<Identity>) -> Result<bool> {
        if [Bug::NoLastLook, Bug::NoLockRecheck, Bug::NoLock].into_iter().any(|bug| self.has(bug)) {
            return Ok(true);
        }
        Ok(self.reader.recheck()? == judged && self.lock.still_counts()?)
    }

    /// Judges the group, and encodes what the file will hold if that changes.
    fn judge(&self, base: &Base, ops: &[Op]) -> Judged {
        let view = self.reader.view.read();
        let content: &Content = match base {
            Base::Other(loaded) => &loaded.content,
            Base::Same | Base::Missing => &view,
        };
        let mut overlay = Overlay::new();
        let outcomes =
            ops.iter().map(|op| judge(op, |key| content.get(key), &mut overlay)).collect();
        // The file has no place for names.
        let overlay: Overlay = overlay
            .into_iter()
            .map(|(key, change)| {
                (ResumeKey::from_parts(*key.digest(), key.format_version()), change)
            })
            .collect();
        // A missing file is filled with all that is known; the absence of a file that was never
        // there is not a change.
        let lost = matches!(base, Base::Missing)
            && !(content.entries.is_empty() && content.unknown.is_empty());
        let changed = lost || content.is_changed_by(&overlay);
        let json = changed.then(|| format::encode(content, &overlay));
        Judged { outcomes, overlay, json }
    }

    fn too_large(&self) -> Error {
        let message = format!("the state file would exceed {} bytes", self.file_bytes_max);
        Error::new(ErrorKind::TooLarge, message).at(&self.reader.path)
    }

    /// What a group comes to that had to start again too often.
    fn interference(&self) -> Error {
        let message = format!(
            "{} or its lock file keeps being replaced by somebody who does not take the lock; \
             nothing was written",
            self.reader.path.display()
        );
        Error::new(ErrorKind::Io, message).at(&self.reader.path)
    }

    /// Shows the readers of this process what is durable now; the file that it replaces.
    fn publish(&self, base: Base, written: Option<Known>, overlay: Overlay) -> Option<Known> {
        match base {
            Base::Same | Base::Missing => {
                self.reader.publish(written, |content| content.apply(overlay))
            }
            Base::Other(loaded) => {
                let Loaded { known, content: disk } = *loaded;
                self.reader.publish(Some(written.unwrap_or(known)), |content| {
                    *content = disk;
                    content.apply(overlay);
                })
            }
        }
    }
}

impl Engine for JsonFileEngine {
    type Op = Op;
    type Output = Outcome;
    type Claim = ();

    fn claim(_op: &Op) {}

    fn acquire(&mut self, (): (), wait: &LockWait) -> Result<()> {
        if self.has(Bug::NoLock) {
            return Ok(());
        }
        self.lock.acquire(LockMode::Exclusive, wait)
    }

    /// Commits the group as one; as several, in order, if the file would become too large: then
    /// only what is too large by itself is refused (JF-12).
    fn commit(
        &mut self,
        group: Vec<Pending<Op, Outcome>>,
        outbox: &mut Outbox<Outcome>,
    ) -> Vec<Pending<Op, Outcome>> {
        let (mut ops, places): (Vec<Op>, Vec<_>) = group.into_iter().map(Pending::split).unzip();
        let mut places = places.into_iter();
        let early = self.has(Bug::AcknowledgeBeforeSync);
        let mut count = ops.len();
        while !ops.is_empty() {
            count = count.min(ops.len());
            let part = ops.get(..count).unwrap_or_default();
            let committed = self.commit_group(part, &mut |outcomes| {
                for (outcome, place) in outcomes.into_iter().zip(places.by_ref()) {
                    outbox.settle(place.receipt, Ok(outcome));
                }
                if early {
                    // Acknowledged too early is only wrong if it is heard early.
                    outbox.send();
                }
            });
            self.reader.commit_ends();
            let (refused, error) = match committed {
                Ok(Committed::Done { replaced }) => {
                    self.restarts = 0;
                    outbox.drop_afterwards(replaced);
                    drop(ops.drain(..count));
                    count *= 2;
                    continue;
                }
                Ok(Committed::TooLarge) if count > 1 => {
                    count /= 2;
                    continue;
                }
                Ok(Committed::TooLarge) => (count, self.too_large()),
                Ok(Committed::Overtaken) if self.restarts + 1 < RESTARTS_MAX => {
                    self.restarts += 1;
                    break;
                }
                Ok(Committed::Overtaken) => (ops.len(), self.interference()),
                // What was not begun is not done, whatever became of the part before it.
                Err(error) if error.is_indeterminate() => (count, error),
                Err(error) => (ops.len(), error),
            };
            self.restarts = 0;
            drop(ops.drain(..refused));
            for place in places.by_ref().take(refused) {
                outbox.settle(place.receipt, Err(error.clone()));
            }
            if let Err(poisoned) = self.reader.poison.check() {
                drop(ops.drain(..));
                for place in places.by_ref() {
                    outbox.settle(place.receipt, Err(poisoned.clone()));
                }
            }
        }
        ops.into_iter().zip(places).map(|(op, place)| place.with(op)).collect()
    }

    fn release(&mut self) {
        self.lock.release();
    }
}
