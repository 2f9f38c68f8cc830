//! The checkpoint store in one readable JSON file, shared by processes and languages.
//!
//! ```text
//! state.json                    every checkpoint; replaced, never written in place
//! state.json.lock               locked by the writer, empty
//! .tidemark-<32 hex>.tmp        the next state.json, locked by its writer
//! state.json.corrupt-<millis>   quarantine
//! ```
//!
//! Format, protocol and the invariants JF-1 to JF-12: `docs/format/state-file.md`.
//!
//! Recovery: none needed. A kill leaves the old file or the new one, and perhaps a temporary that
//! the next write sweeps.
//!
//! Not promised: speed beyond some thousands of keys (each commit rewrites the file); exclusion of
//! programs that write the file without the lock.

mod engine;
mod format;
mod metrics;
mod quarantine;
mod reader;
mod replace;

#[cfg(test)]
mod format_tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemark_storage::{File, Storage};

pub use self::engine::{Bug, JsonFileEngine};
use self::quarantine::Quarantine;
pub use self::reader::JsonFileReader;
use super::merge::Op;
use super::store::{Backing, Durability, Instance, Parts, RecoveryReport, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::metrics::Metrics;
use crate::path::{self, RealPath};
use crate::registry::Registry;

/// What to do with a file that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recover {
    /// Refuse: opening and writing fail, the file stays as it is.
    #[default]
    Refuse,
    /// Move it aside under the lock, and go on with what this process knows.
    Quarantine,
}

/// How to open a JSON store. All handles on one store in a process have the same options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonFileOptions {
    /// How long an operation waits for the lock.
    pub lock_timeout: Duration,
    /// Permission bits of files that are made; a state file that exists keeps its own.
    pub mode: u32,
    /// What to do with a file that cannot be decoded.
    pub recover: Recover,
    /// Whether to open on a file system whose locks and syncs may not reach the disk.
    pub allow_network_fs: bool,
}

impl Default for JsonFileOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(10),
            mode: 0o600,
            recover: Recover::Refuse,
            allow_network_fs: false,
        }
    }
}

/// An open JSON store of this process.
#[derive(Debug)]
pub struct JsonFileInstance {
    store: Arc<Instance>,
    reader: Arc<JsonFileReader>,
    options: SharedOptions,
    /// Kept open for as long as the registry knows this instance by it: if it is removed, its inode
    /// is not given to another directory, whose store would be taken for this one.
    _directory: Box<dyn File>,
}

/// The options, as handles and engine share them: an instance whose last handle was closed while
/// its thread waits for a lock may be opened again with other ones.
#[derive(Clone, Debug)]
pub(super) struct SharedOptions(Arc<Mutex<JsonFileOptions>>);

impl SharedOptions {
    pub(super) fn new(options: JsonFileOptions) -> Self {
        Self(Arc::new(Mutex::new(options)))
    }

    pub(super) fn get(&self) -> JsonFileOptions {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, options: JsonFileOptions) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }
}

/// The open JSON stores of a process.
pub type JsonFileRegistry = Registry<JsonFileInstance>;

/// What a JSON store is made of, without threads: for simulations, and for [`JsonFileStore`].
#[derive(Debug)]
pub struct JsonFileParts {
    /// Commits groups; one commit at a time.
    pub engine: JsonFileEngine,
    /// Reads the file and holds what readers see.
    pub reader: Arc<JsonFileReader>,
    backing: JsonFileBacking,
    options: SharedOptions,
}

/// Opens checkpoint stores in JSON files.
#[derive(Clone, Copy, Debug)]
pub struct JsonFileStore;

impl JsonFileStore {
    /// Opens the store in a file, which need not exist: only a write makes it. A second open of
    /// the same file in this process shares the first one's instance. Blocks.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` for a path that cannot be a regular file's; `TIDEMARK_CONFLICT`
    /// if it is open with other options; `TIDEMARK_UNSUPPORTED` on a network file system;
    /// `TIDEMARK_IO`; what the file's content deserves, unless it may be moved into quarantine;
    /// then `TIDEMARK_LOCK_TIMEOUT`, and `TIDEMARK_DECODE` once quarantine is full.
    pub fn open(
        registry: &JsonFileRegistry,
        storage: &Arc<dyn Storage>,
        path: &Path,
        options: JsonFileOptions,
    ) -> Result<Store> {
        let (store, damage) = Self::attach(registry, storage, path, options)?;
        if damage.is_some() {
            store.call(&Self::repair())?;
        }
        Ok(store)
    }

    /// As [`JsonFileStore::open`], but leaves a damaged file that may be moved into quarantine to
    /// the first operation, because that takes the lock: [`JsonFileStore::repair`] will do.
    ///
    /// # Errors
    /// As for [`JsonFileStore::open`].
    pub fn attach(
        registry: &JsonFileRegistry,
        storage: &Arc<dyn Storage>,
        path: &Path,
        options: JsonFileOptions,
    ) -> Result<(Store, Option<Error>)> {
        let real = RealPath::resolve(storage.as_ref(), path)?;
        let share = |open: &Arc<JsonFileInstance>| open.share(options);
        let (store, reader) = registry.open(real.id.clone(), share, || {
            let directory = real.open_directory(storage.as_ref())?;
            let parts = Self::parts(storage, real, options)?;
            let reader = parts.reader;
            let store = Store::new(Parts {
                backing: Box::new(parts.backing),
                view: Arc::clone(reader.view()),
                events: reader.events.clone(),
                poison: Some(reader.poison.clone()),
                lock_timeout: Some(options.lock_timeout),
                storage: Arc::clone(storage),
            });
            let instance = Arc::new(JsonFileInstance {
                store: Arc::clone(store.instance()),
                reader: Arc::clone(&reader),
                options: parts.options,
                _directory: directory,
            });
            let owner = Arc::clone(&instance);
            store.start(parts.engine, owner)?;
            Ok((instance, (store, reader)))
        })?;
        match reader.refresh() {
            Ok(()) => Ok((store, None)),
            Err(error) if options.recover == Recover::Quarantine && Quarantine::is_for(&error) => {
                Ok((store, Some(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// An operation that changes nothing, and has a damaged file moved aside on its way.
    #[must_use]
    pub const fn repair() -> Op {
        Op::Put(Vec::new())
    }

    /// Opens the store without threads and without the registry, for simulations. The view is
    /// empty until [`JsonFileReader::refresh`].
    ///
    /// # Errors
    /// As for [`JsonFileStore::open`].
    pub fn open_parts(
        storage: &Arc<dyn Storage>,
        path: &Path,
        options: JsonFileOptions,
    ) -> Result<JsonFileParts> {
        Self::parts(storage, RealPath::resolve(storage.as_ref(), path)?, options)
    }

    fn parts(
        storage: &Arc<dyn Storage>,
        real: RealPath,
        options: JsonFileOptions,
    ) -> Result<JsonFileParts> {
        let (durability, file_system) =
            path::durability(storage.as_ref(), &real.directory, options.allow_network_fs)?;
        let (lock_path, corrupt) = (real.beside(".lock"), real.beside(".corrupt-"));
        let reader = JsonFileReader::new(storage, real.file, real.directory, Events::default());
        let reader = Arc::new(reader);
        let report = Arc::<Mutex<RecoveryReport>>::default();
        let options = SharedOptions::new(options);
        let quarantine = Quarantine::new(corrupt, Arc::clone(&report));
        let engine = JsonFileEngine::new(&reader, lock_path, options.clone(), quarantine);
        let weakness = (durability == Durability::Unproven)
            .then(|| format!("{}: {}", file_system.name, file_system.reason));
        let backing = JsonFileBacking { reader: Arc::clone(&reader), durability, weakness, report };
        Ok(JsonFileParts { engine, reader, backing, options })
    }
}

impl JsonFileInstance {
    /// Shares this instance, unless it has ended.
    fn share(&self, options: JsonFileOptions) -> Result<Option<(Store, Arc<JsonFileReader>)>> {
        let Some((store, users)) = self.store.attach() else { return Ok(None) };
        if users == 1 {
            self.options.set(options);
            self.store.set_lock_timeout(Some(options.lock_timeout));
        } else if self.options.get() != options {
            let message = "the store is open in this process with other options; \
                           close it first, or use the same options";
            return Err(Error::new(ErrorKind::Conflict, message).at(&self.reader.path));
        }
        Ok(Some((store, Arc::clone(&self.reader))))
    }
}

/// The file behind the view.
#[derive(Debug)]
struct JsonFileBacking {
    reader: Arc<JsonFileReader>,
    durability: Durability,
    weakness: Option<String>,
    report: Arc<Mutex<RecoveryReport>>,
}

impl Backing for JsonFileBacking {
    fn refresh(&self) -> Result<()> {
        self.reader.poison.check()?;
        self.reader.refresh()
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }

    fn recovery(&self) -> RecoveryReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn metrics(&self) -> Metrics {
        self.reader.metrics.list()
    }

    fn release(&self) {
        self.reader.forget();
    }
}
