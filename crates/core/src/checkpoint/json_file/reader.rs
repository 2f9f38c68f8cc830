//! Reading the JSON file, and knowing which content this process has seen.
//!
//! The last file that was read or written is kept open, so that its inode cannot be given to
//! another one; device, inode, size, mtime and ctime together tell whether the path still leads to
//! the same bytes. Where an open file may not be replaced, nothing is kept open and nothing can be
//! told from that: there the file is read each time.
//!
//! Whoever shows a file that somebody else wrote syncs it and its directory first (JF-3): its
//! writer may have died between the rename and the sync, and a power cut could take back what a
//! reader has already acted on.

use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_storage::{File, FileId, FileKind, Open, OsError, Site, Stat, Storage, Timestamp};

use super::format;
use super::metrics::JsonMetrics;
use crate::checkpoint::view::{Content, View};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Events};
use crate::poison::Poison;

/// The largest file that is read or written.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 30;
/// Memory to have at hand for each byte of a file. Opening one with half a million small
/// checkpoints was measured to take 3.1 of them, its own bytes among them; a put encodes all of it
/// once more, perhaps while another process's version is read.
const MEMORY_PER_FILE_BYTE: usize = 6;

/// How often a refresh starts again because the view changed under it.
const REFRESH_ATTEMPTS_MAX: usize = 8;

/// What identifies a state of the file while the file is kept open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    id: FileId,
    size_bytes: u64,
    modified: Timestamp,
    changed: Timestamp,
}

impl Identity {
    pub(super) const fn of(stat: &Stat) -> Self {
        let Stat { id, size_bytes, modified, changed, .. } = *stat;
        Self { id, size_bytes, modified, changed }
    }

    /// Of a file that was written, then renamed, which moves its ctime. Whoever has edited it in
    /// place in between has moved its mtime or size as well: then this is the identity that it had
    /// before the rename, which no file has any more, so that it will be read again.
    pub(super) fn of_renamed(before: &Stat, after: &Stat) -> Self {
        let untouched = (before.size_bytes, before.modified) == (after.size_bytes, after.modified);
        Self::of(if untouched { after } else { before })
    }
}

/// The file whose content the view holds.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) identity: Identity,
    /// Kept open for as long as the identity is compared. Without it, the identity may be another
    /// file's by now, and tells nothing.
    pub(super) file: Option<Box<dyn File>>,
}

impl Known {
    /// Closes the file where an open one may not be replaced.
    pub(super) fn make_way(&mut self, storage: &dyn Storage) {
        if !storage.replaces_open_files() {
            self.file = None;
        }
    }
}

/// A file that was read and may not be shown yet.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) known: Known,
    pub(super) content: Content,
}

/// What the path leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// The file whose content the view holds.
    Same,
    /// Another one.
    Other(Box<Loaded>),
    /// One that cannot be decoded.
    Undecodable(Box<Undecodable>),
    /// Nothing.
    Missing,
}

/// A file that was read and could not be decoded.
#[derive(Debug)]
pub(super) struct Undecodable {
    pub(super) error: Error,
    pub(super) identity: Identity,
    /// Kept open, so that its inode cannot be given to another file.
    _file: Box<dyn File>,
}

/// Reads the file; shared by the commit thread, the I/O thread and blocking callers.
#[derive(Debug)]
pub struct JsonFileReader {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) path: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) view: Arc<View>,
    pub(super) events: Events,
    pub(super) poison: Poison,
    pub(super) metrics: JsonMetrics,
    state: Mutex<State>,
}

/// What the commit thread is doing, for who refreshes meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Commit {
    /// Nothing that concerns the view.
    #[default]
    None,
    /// It judges on the view, which nobody else may change meanwhile.
    OnView,
    /// It judges on a file that somebody else wrote, and will replace the whole view.
    OnDisk {
        /// Its own file, once it is about to have the path.
        own: Option<FileId>,
    },
}

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// Grows with each change of the view.
    epoch: u64,
    commit: Commit,
    /// The store has ended: no file is kept open any more.
    ended: bool,
}

impl JsonFileReader {
    pub(super) fn new(
        storage: &Arc<dyn Storage>,
        path: PathBuf,
        directory: PathBuf,
        events: Events,
    ) -> Self {
        Self {
            storage: Arc::clone(storage),
            path,
            directory,
            view: Arc::default(),
            poison: Poison::new(events.clone()),
            events,
            metrics: JsonMetrics::default(),
            state: Mutex::default(),
        }
    }

    /// What this process knows.
    #[must_use]
    pub const fn view(&self) -> &Arc<View> {
        &self.view
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the view up to the file. A missing file changes nothing: only a write fills it again.
    ///
    /// # Durability
    /// What becomes visible is durable.
    ///
    /// # Errors
    /// `TIDEMARK_IO`, and whatever the content deserves; the view is as before then.
    pub fn refresh(&self) -> Result<()> {
        for _ in 0..REFRESH_ATTEMPTS_MAX {
            self.poison.check()?;
            let (epoch, commit) = self.epoch_and_commit();
            if commit == Commit::OnView {
                // This process holds the lock and found the view's content on disk: nobody else
                // has written since, and what the commit brings is not durable yet.
                return Ok(());
            }
            let loaded = match self.find()? {
                Found::Same | Found::Missing => return Ok(()),
                Found::Undecodable(found) => return Err(found.error),
                Found::Other(loaded) => loaded,
            };
            self.prove(&loaded.known)?;
            if self.install_if(epoch, *loaded)? {
                return Ok(());
            }
        }
        // Each time, a commit of this process published a state that it had read from the disk
        // under the lock, later than this call began: the view is as fresh as was asked for.
        Ok(())
    }

    /// Grows with each change of the view; and what a commit is doing.
    pub(super) fn epoch_and_commit(&self) -> (u64, Commit) {
        let state = self.state();
        (state.epoch, state.commit)
    }

    /// Says what the commit thread is doing, unless the view changed since the epoch.
    pub(super) fn commit_if(&self, epoch: u64, commit: Commit) -> bool {
        let mut state = self.state();
        let unchanged = state.epoch == epoch;
        if unchanged {
            state.commit = commit;
        }
        unchanged
    }

    /// Says that the commit is about to rename a file of its own over the path.
    pub(super) fn commit_renames(&self, own: FileId) {
        let mut state = self.state();
        if state.commit != Commit::OnView {
            state.commit = Commit::OnDisk { own: Some(own) };
        }
    }

    /// Says that the commit thread has changed the view, or failed.
    pub(super) fn commit_ends(&self) {
        self.state().commit = Commit::None;
    }

    /// Syncs; a failure poisons the store, and whoever syncs beside it and succeeds finds that: his
    /// success would prove nothing.
    pub(super) fn sync_or_poison(&self, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        self.poison.check()?;
        sync().inspect_err(|error| self.poison.set(error))?;
        self.poison.check()
    }

    /// Looks at the path, and reads the file if it is not the one that the view holds.
    pub(super) fn find(&self) -> Result<Found> {
        let failed = |os| Error::os("look at", &self.path, os);
        match self.storage.stat_link(Site::JsonStat, &self.path) {
            Ok(stat) if self.known() == Some(Identity::of(&stat)) => return Ok(Found::Same),
            // What is no file is not even opened: to open a device may do something.
            Ok(stat) if stat.kind != FileKind::Symlink => self.check_regular(&stat)?,
            // To open a link answers ELOOP, which says more.
            Ok(_) => {}
            Err(os) if os.is_not_found() => return self.missing(),
            Err(os) => return Err(failed(os)),
        }
        let file = match self.storage.open(Site::JsonOpen, &self.path, Open::READ) {
            Ok(file) => file,
            Err(os) if os.is_not_found() => return self.missing(),
            Err(os) => return Err(Error::os("open", &self.path, os)),
        };
        let stat = file.stat(Site::JsonOpen).map_err(failed)?;
        let bytes = self.read(file.as_ref(), &stat)?;
        self.metrics.file_reads.add(1);
        let identity = Identity::of(&stat);
        Ok(match format::decode(&bytes) {
            Ok(content) => {
                let known = Known { identity, file: Some(file) };
                Found::Other(Box::new(Loaded { known, content }))
            }
            Err(error) => {
                let error = error.at(&self.path);
                Found::Undecodable(Box::new(Undecodable { error, identity, _file: file }))
            }
        })
    }

    /// The file that the view holds, as far as it can be told from others: while it is open.
    pub(super) fn known(&self) -> Option<Identity> {
        let state = self.state();
        state.known.as_ref().filter(|known| known.file.is_some()).map(|known| known.identity)
    }

    /// The file that the path leads to now, to be compared with what was judged (JF-11).
    pub(super) fn recheck(&self) -> Result<Option<Identity>> {
        match self.storage.stat_link(Site::JsonRecheck, &self.path) {
            Ok(stat) => Ok(Some(Identity::of(&stat))),
            Err(os) if os.is_not_found() => Ok(None),
            Err(os) => Err(Error::os("look at", &self.path, os)),
        }
    }

    /// Closes the file that was kept open; the store has ended.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.ended = true;
        state.known = None;
    }

    /// A file may be missing, its directory may not.
    fn missing(&self) -> Result<Found> {
        let in_directory = |os| Error::os("find the directory", &self.directory, os);
        match self.storage.stat(Site::JsonStat, &self.directory).map_err(in_directory)?.kind {
            FileKind::Directory => Ok(Found::Missing),
            _ => Err(in_directory(OsError::new(OsError::ENOTDIR, "stat"))),
        }
    }

    fn check_regular(&self, stat: &Stat) -> Result<()> {
        if stat.kind == FileKind::Regular {
            return Ok(());
        }
        let message = format!("{} is not a regular file any more", self.path.display());
        Err(Error::invalid_argument(message).at(&self.path))
    }

    /// Memory of this size. A process may have less than a file asks for; that must not end it.
    fn reserve(&self, size_bytes: usize) -> Result<Vec<u8>> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(size_bytes).map_err(|_| {
            Error::os("find memory for", &self.path, OsError::new(OsError::ENOMEM, "malloc"))
        })?;
        Ok(memory)
    }

    fn read(&self, file: &dyn File, stat: &Stat) -> Result<Vec<u8>> {
        self.check_regular(stat)?;
        let too_large = || {
            let message = format!(
                "{} has {} bytes; a state file has at most {FILE_BYTES_MAX}",
                self.path.display(),
                stat.size_bytes
            );
            Error::new(ErrorKind::TooLarge, message).at(&self.path)
        };
        if stat.size_bytes > FILE_BYTES_MAX {
            return Err(too_large());
        }
        let size = usize::try_from(stat.size_bytes).map_err(|_| too_large())?;
        let mut bytes = self.reserve(size)?;
        bytes.resize(size, 0);
        // What is decoded from them cannot be asked for like this; whether it can be had, can.
        drop(self.reserve(size.saturating_mul(MEMORY_PER_FILE_BYTE))?);
        let count = file
            .read_full(Site::JsonRead, &mut bytes, 0)
            .map_err(|os| Error::os("read", &self.path, os))?;
        // Shorter only if somebody cuts it in place meanwhile: then it does not decode, or it is
        // what the file holds now.
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Makes sure that a file which somebody else wrote survives a power cut under its name
    /// (JF-3). A failure poisons: a second sync that succeeds would prove nothing. What fails
    /// before the first one does not.
    pub(super) fn prove(&self, known: &Known) -> Result<()> {
        let failed = |os| Error::os("sync what another process wrote to", &self.path, os);
        let directory = self.open_dir()?;
        let file = known.file.as_deref().ok_or(OsError::new(OsError::EINVAL, "fsync"));
        let file = file.map_err(failed)?;
        file.prepare_sync(Site::SyncPrepare).map_err(failed)?;
        self.metrics.file_syncs.add(1);
        self.metrics.directory_syncs.add(1);
        self.sync_or_poison(|| {
            self.or_never_written(file.sync_all(Site::JsonTrust)).map_err(failed)?;
            self.or_never_written(directory.sync_all(Site::JsonTrustDir))
                .map_err(|os| Error::os("sync the directory", &self.directory, os))
        })
    }

    /// A sync, or its absence: a file system that is made once and only read after that (squashfs,
    /// erofs) has none, and answers `EINVAL`; what it holds is on the medium. Any other error, and
    /// this one where something may be written, proves nothing.
    fn or_never_written(&self, synced: Result<(), OsError>) -> Result<(), OsError> {
        match synced {
            Err(os) if os.errno == OsError::EINVAL => {
                let on = self.storage.file_system(Site::JsonTrust, &self.directory)?;
                if on.read_only { Ok(()) } else { Err(os) }
            }
            synced => synced,
        }
    }

    /// Opens the directory, to sync it. Who changes it opens it before that: without permission or
    /// descriptors that is a definite failure, and not one that poisons.
    pub(super) fn open_dir(&self) -> Result<Box<dyn File>> {
        let failed = |os| Error::os("open the directory", &self.directory, os);
        let directory =
            self.storage.open_dir(Site::DirectoryOpen, &self.directory).map_err(failed)?;
        directory.prepare_sync(Site::SyncPrepare).map_err(failed)?;
        Ok(directory)
    }

    pub(super) fn sync_dir(&self, directory: &dyn File, site: Site) -> Result<()> {
        directory.sync_all(site).map_err(|os| Error::os("sync the directory", &self.directory, os))
    }

    /// Makes sure that the file is missing on the medium too: before that is reported (JF-3), and
    /// before another one takes its place if there is a quarantine. Who moved a damaged file there
    /// may have died before that was durable, and the new one would come to lie over it (JF-10). A
    /// failure poisons, as in [`Self::prove`].
    pub(super) fn prove_missing(&self) -> Result<()> {
        let directory = self.open_dir()?;
        self.metrics.directory_syncs.add(1);
        self.sync_or_poison(|| self.sync_dir(directory.as_ref(), Site::JsonTrustDir))
    }

    /// Shows a proven file, unless the view changed since the epoch, or is about to.
    fn install_if(&self, epoch: u64, mut loaded: Loaded) -> Result<bool> {
        loaded.known.make_way(self.storage.as_ref());
        let mut state = self.state();
        self.poison.check()?;
        if state.epoch != epoch || state.commit == Commit::OnView {
            return Ok(false);
        }
        // What our own commit deletes is no regression; what others did, the commit tells.
        let own = state.commit == Commit::OnDisk { own: Some(loaded.known.identity.id) };
        let regressed = if own { Vec::new() } else { self.regressions(&loaded.content) };
        let before = std::mem::replace(&mut *self.view.write(), loaded.content);
        state.known = Some(loaded.known).filter(|_| !state.ended);
        state.epoch += 1;
        drop((state, before));
        self.tell(&regressed);
        Ok(true)
    }

    /// Shows what a commit has made durable: `change` brings the view there. Returns the
    /// file that was known before, if there is another one now.
    pub(super) fn publish(
        &self,
        mut known: Option<Known>,
        change: impl FnOnce(&mut Content),
    ) -> Option<Known> {
        if let Some(known) = &mut known {
            known.make_way(self.storage.as_ref());
        }
        let mut state = self.state();
        change(&mut self.view.write());
        state.epoch += 1;
        if known.is_some() { mem::replace(&mut state.known, known) } else { None }
    }

    /// What the disk holds less of than this process knows (JF-4).
    pub(super) fn regressions(&self, disk: &Content) -> Vec<Event> {
        let known = self.view.read();
        let regressed = known.entries.iter().filter_map(|(key, entry)| {
            let (from, to) = (&entry.checkpoint, disk.get(key));
            let stands =
                to.is_some_and(|to| to.last_committed_sequence >= from.last_committed_sequence);
            (!stands).then(|| Event::Regressed {
                key: key.clone(),
                from: from.clone(),
                to: to.cloned(),
            })
        });
        regressed.collect()
    }

    pub(super) fn tell(&self, events: &[Event]) {
        for event in events {
            self.events.emit(event);
        }
    }
}
