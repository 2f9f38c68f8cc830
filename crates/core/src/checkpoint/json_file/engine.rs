//! One commit of the JSON store: lock, read, judge, replace, publish.
//!
//! Straight-line code over the storage seam. The steps and the invariants JF-1 to JF-10 are in
//! `docs/format/state-file.md`.

use std::path::PathBuf;
use std::sync::Arc;

use tidemark_storage::{File, LockMode, Site, Stat};

use super::format;
use super::quarantine::Quarantine;
use super::reader::{Commit, FILE_BYTES_MAX, Found, Identity, JsonFileReader, Known, Loaded};
use super::{Recover, SharedOptions};
use crate::checkpoint::ResumeKey;
use crate::checkpoint::merge::{Op, Outcome, Overlay, judge};
use crate::checkpoint::view::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::file_lock::LockFile;
use crate::group_commit::{Engine, LockWait, Outbox, Pending, Receipt};
use crate::temporary::{self, Temporary};

/// Names in a directory that a write may list for nothing; a larger one is listed less often.
const SWEEP_NAMES_PER_WRITE: usize = 1024;

/// Bugs that tests plant to see that they are caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The temporary is not synced before the rename.
    NoFileSync,
    /// The directory is not synced after the rename.
    NoDirectorySync,
    /// The state file is written in place.
    InPlace,
    /// The lock is not taken.
    NoLock,
    /// A granted lock is not compared with the path.
    NoLockRecheck,
    /// Callers hear of success before anything is synced.
    AcknowledgeBeforeSync,
    /// Readers see a value before it is synced.
    PublishBeforeSync,
}

/// Commits groups to a JSON file.
#[derive(Debug)]
pub struct JsonFileEngine {
    reader: Arc<JsonFileReader>,
    lock: LockFile,
    options: SharedOptions,
    quarantine: Quarantine,
    /// Writes left before the directory is listed again for strays.
    writes_until_sweep: usize,
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
        Self { reader, lock, options, quarantine, writes_until_sweep: 0, bug: None }
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

    /// Whether this bug is planted; never so in a published build.
    fn has(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.bug == Some(bug)
    }

    fn commit_group(
        &mut self,
        ops: &[Op],
        acknowledge: &mut dyn FnMut(Vec<Outcome>),
    ) -> Result<()> {
        self.sweep();
        let base = self.load()?;
        let regressed = match &base {
            Base::Other(loaded) => self.reader.regressions(&loaded.content),
            Base::Same | Base::Missing => Vec::new(),
        };
        let Judged { outcomes, overlay, json } = self.judge(&base, ops)?;
        if self.has(Bug::AcknowledgeBeforeSync) {
            acknowledge(outcomes.clone());
        }
        if self.has(Bug::PublishBeforeSync) {
            let early = overlay.clone();
            self.reader.publish(None, |content| content.apply(early));
        }
        let known = match (&base, json) {
            (Base::Missing, Some(json)) => {
                if !self.quarantine.files(&self.reader)?.is_empty() {
                    self.reader.prove_missing()?;
                }
                Some(self.replace(&json)?)
            }
            (Base::Missing, None) => {
                self.reader.prove_missing()?;
                None
            }
            (_, Some(json)) => Some(self.replace(&json)?),
            (Base::Other(loaded), None) => {
                self.reader.prove(&loaded.known)?;
                None
            }
            (Base::Same, None) => None,
        };
        self.publish(base, known, overlay);
        self.reader.tell(&regressed);
        acknowledge(outcomes);
        Ok(())
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
    fn load(&mut self) -> Result<Base> {
        loop {
            let (epoch, _) = self.reader.epoch_and_commit();
            let (base, commit) = self.look()?;
            // A refresh that had begun before may have changed the view under that look.
            if self.reader.commit_if(epoch, commit) {
                return Ok(base);
            }
        }
    }

    /// What the disk holds; a file that cannot be decoded moves aside if that was asked for.
    fn look(&mut self) -> Result<(Base, Commit)> {
        let may_repair = self.options.get().recover == Recover::Quarantine;
        let found = match self.reader.find() {
            Err(error) if may_repair && Quarantine::is_for(&error) => {
                self.quarantine.move_aside(&self.reader)?;
                Found::Missing
            }
            found => found?,
        };
        Ok(match found {
            Found::Same => (Base::Same, Commit::OnView),
            Found::Other(loaded) => (Base::Other(loaded), Commit::OnDisk { own: None }),
            Found::Missing => (Base::Missing, Commit::OnView),
        })
    }

    /// Judges the group, and encodes what the file will hold if that changes.
    fn judge(&self, base: &Base, ops: &[Op]) -> Result<Judged> {
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
        if json.as_ref().is_some_and(|json| json.len() as u64 > FILE_BYTES_MAX) {
            let message = format!("the state file would exceed {FILE_BYTES_MAX} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message).at(&self.reader.path));
        }
        Ok(Judged { outcomes, overlay, json })
    }

    /// Puts new content in the place of the file, durably (JF-1, JF-7).
    fn replace(&self, json: &[u8]) -> Result<Known> {
        let reader = &self.reader;
        let replaced = match reader.storage.stat_link(Site::JsonStat, &reader.path) {
            Ok(stat) => Some(stat),
            Err(os) if os.is_not_found() => None,
            Err(os) => return Err(Error::os("look at", &reader.path, os)),
        };
        if self.has(Bug::InPlace) {
            return self.write_in_place(json);
        }
        let directory = reader.open_dir()?;
        let temporary =
            Temporary::create(&reader.storage, &reader.directory, self.options.get().mode)?;
        if let Some(replaced) = &replaced {
            temporary.take_after(replaced)?;
        }
        temporary.write(json)?;
        let began = reader.storage.monotonic();
        if !self.has(Bug::NoFileSync) {
            temporary.sync(Site::JsonSync)?;
            reader.metrics.file_syncs.add(1);
        }
        let written = temporary.stat(Site::JsonStat)?;
        reader.commit_renames(written.id);
        let file = temporary.rename(Site::JsonRename, &reader.path)?;
        // From here on the disk has changed: whatever fails leaves the outcome unknown.
        let known = self.sync_name(directory.as_ref(), &written, file)?;
        let took = reader.storage.monotonic().saturating_sub(began);
        reader.metrics.sync_us.record(took);
        if took.as_secs() >= 1 {
            reader.tell(&[Event::SlowSync { duration: took }]);
        }
        reader.metrics.replaces.add(1);
        reader.metrics.written_bytes.add(json.len() as u64);
        Ok(known)
    }

    /// Makes the rename durable, and remembers the file by what it is from now on.
    fn sync_name(
        &self,
        directory: &dyn File,
        written: &Stat,
        file: Box<dyn File>,
    ) -> Result<Known> {
        let reader = &self.reader;
        if !self.has(Bug::NoDirectorySync) {
            let sync =
                || reader.sync_dir(directory, Site::JsonSyncDir).map_err(Error::indeterminate);
            reader.sync_or_poison(sync).map_err(Error::indeterminate)?;
            reader.metrics.directory_syncs.add(1);
        }
        let named = file.stat(Site::JsonStat).map_err(|os| {
            let error = Error::os("look at", &reader.path, os).indeterminate();
            reader.poison.set(&error);
            error
        })?;
        Ok(Known { identity: Identity::of_renamed(written, &named), file })
    }

    /// The planted bug [`Bug::InPlace`].
    fn write_in_place(&self, json: &[u8]) -> Result<Known> {
        use tidemark_storage::Open;
        let reader = &self.reader;
        let failed = |os| Error::os("write", &reader.path, os);
        let how = |exists| {
            if exists { Open::READ_WRITE } else { Open::new_file(self.options.get().mode) }
        };
        let exists = reader.storage.stat(Site::JsonStat, &reader.path).is_ok();
        let file =
            reader.storage.open(Site::JsonOpen, &reader.path, how(exists)).map_err(failed)?;
        file.set_len(Site::TempWrite, 0).map_err(failed)?;
        file.write_all(Site::TempWrite, json, 0).map_err(failed)?;
        file.sync_all(Site::JsonSync).map_err(failed)?;
        let written = file.stat(Site::JsonStat).map_err(failed)?;
        self.sync_name(reader.open_dir()?.as_ref(), &written, file)
    }

    /// Shows the readers of this process what is durable now.
    fn publish(&self, base: Base, replaced: Option<Known>, overlay: Overlay) {
        match base {
            Base::Same | Base::Missing => {
                self.reader.publish(replaced, |content| content.apply(overlay));
            }
            Base::Other(loaded) => {
                let Loaded { known, content: disk } = *loaded;
                self.reader.publish(Some(replaced.unwrap_or(known)), |content| {
                    *content = disk;
                    content.apply(overlay);
                });
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

    fn commit(&mut self, group: Vec<Pending<Op, Outcome>>, outbox: &mut Outbox<Outcome>) {
        let (ops, receipts): (Vec<Op>, Vec<Receipt<Outcome>>) =
            group.into_iter().map(|pending| (pending.op, pending.receipt)).unzip();
        let mut receipts = receipts.into_iter();
        let early = self.has(Bug::AcknowledgeBeforeSync);
        let committed = self.commit_group(&ops, &mut |outcomes| {
            for (receipt, outcome) in receipts.by_ref().zip(outcomes) {
                outbox.settle(receipt, Ok(outcome));
            }
            if early {
                // Acknowledged too early is only wrong if it is heard early.
                outbox.send();
            }
        });
        self.reader.commit_ends();
        if let Err(error) = committed {
            for receipt in receipts {
                outbox.settle(receipt, Err(error.clone()));
            }
        }
    }

    fn release(&mut self) {
        self.lock.release();
    }
}
