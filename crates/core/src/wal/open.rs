//! Opening a log: its directory, its lock, what it is found to hold.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use tidemark_storage::{File, FileSystem, LockMode, Site, Storage};

use super::engine::WalEngine;
use super::handle::{Instance, Wal, WalRecovery};
use super::index::LogIndex;
use super::metrics::WalMetrics;
use super::op::{Entries, HardState};
use super::options::{RecoveryMode, Visibility, WalOptions};
use super::preparation::Preparation;
use super::publication::{Publication, is_new};
use super::read_only::Trailer;
use super::reader::Reader;
use super::replay::Found;
use super::source::Source;
use super::staging::Batch;
use super::syncs::Syncs;
use super::view::{Look, Read, View};
use crate::checkpoint::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Events, Observer};
use crate::group_commit::{GroupCommit, Limits};
use crate::latch::Latch;
use crate::path::{self, RealDirectory};
use crate::poison::Poison;
use crate::registry::Registry;
use crate::segment::{Io, Log, LogOptions, Opened};

/// What the headers of a log's segments say that it is.
const KIND: [u8; 8] = *b"wal\0\0\0\0\0";
/// Files that a purge gives up and that are kept for later segments.
const SPARES_MAX: usize = 4;
/// Bytes in one group: what is waited for by whoever comes next.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// An open log of this process, as the registry knows it.
#[derive(Debug)]
pub(super) struct WalInstance(Arc<Instance>);

/// The open logs of a process: those that it writes to, and those that it only reads.
#[derive(Debug, Default)]
pub struct WalRegistry {
    writers: Registry<WalInstance>,
    readers: Registry<WalInstance>,
}

/// What a log is made of, without threads: for simulations, and for [`Wal`].
#[derive(Debug)]
pub struct WalParts {
    /// Commits groups; one commit at a time. It has the log's lock.
    pub engine: WalEngine,
    reader: Reader,
    recovery: WalRecovery,
    durability: Durability,
    file_system: FileSystem,
    poison: Poison,
    events: Events,
    metrics: Arc<WalMetrics>,
}

/// A log that is only read, without the thread that follows its writer: for simulations.
#[derive(Debug)]
pub struct WalTrail {
    /// What readers have of it.
    pub handle: Wal,
    source: Arc<Source>,
}

/// Held by the commit thread: dropped after the engine, and so after the log's lock.
struct Tenure {
    instance: Arc<Instance>,
    _registered: Arc<WalInstance>,
}

impl Drop for Tenure {
    fn drop(&mut self) {
        // After a panic nobody else has told those who wait.
        let reason = self.instance.poison.check().err().unwrap_or_else(Error::closed);
        self.instance.reader.view().end_for_good(reason);
        self.instance.io.end();
        self.instance.reader.release();
        self.instance.ended.set();
    }
}

impl Wal {
    /// Opens a log, and makes it if its parent directory exists. A second open in this process
    /// shares the first one's instance. Blocks.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` for options or a path that no log can have; `TIDEMARK_LOCKED`
    /// while another process writes to it; `TIDEMARK_CONFLICT` if it is open here with other
    /// options, or the directory is another kind of store's; `TIDEMARK_POISONED` if it is open
    /// here and has given up; `TIDEMARK_CORRUPT` for damage below what is proven, and for a torn
    /// tail in strict mode; `TIDEMARK_UNSUPPORTED_FILE_VERSION`; `TIDEMARK_UNSUPPORTED` on a
    /// network file system, and for mapped segments where the system cannot map them;
    /// `TIDEMARK_NO_SPACE`, `TIDEMARK_IO`.
    pub fn open(
        registry: &WalRegistry,
        storage: &Arc<dyn Storage>,
        path: &Path,
        options: WalOptions,
    ) -> Result<Self> {
        options.check()?;
        check_maps(storage.as_ref(), path, options)?;
        let real = RealDirectory::resolve(storage.as_ref(), path, !options.read_only)?;
        if options.read_only {
            return open_to_read(registry, storage, &real, options);
        }
        let share = |open: &Arc<WalInstance>| attach(&open.0, options);
        registry.writers.open(real.id.clone(), share, || {
            let parts = WalParts::open(storage, &real, options, true)?;
            parts.start(storage, &real, options)
        })
    }
}

/// Refuses to map segments where a page that the medium does not give would end the process.
fn check_maps(storage: &dyn Storage, path: &Path, options: WalOptions) -> Result<()> {
    if options.io == Io::Positional || storage.maps_large_files() {
        return Ok(());
    }
    let message = "segments cannot be mapped safely on this system; open the log with io: 'pwrite'";
    Err(Error::new(ErrorKind::Unsupported, message).at(path))
}

/// Reads beside this process's own writer if it has one, else from the files.
fn open_to_read(
    registry: &WalRegistry,
    storage: &Arc<dyn Storage>,
    real: &RealDirectory,
    options: WalOptions,
) -> Result<Wal> {
    let beside = |open: &Arc<WalInstance>| Ok(open.0.attach_reader());
    let own = registry.writers.find(&real.id, beside)?;
    if let Some(own) = own {
        return Ok(own);
    }
    let share = |open: &Arc<WalInstance>| Ok(open.0.attach_reader());
    registry.readers.open(real.id.clone(), share, || {
        let (durability, file_system) =
            path::durability(storage.as_ref(), &real.path, options.allow_network_fs)?;
        let trailer = Trailer::open(storage, &real.path, log_options(options, &file_system))?;
        let instance = Arc::new(Instance::reading(trailer, options, durability, &real.path));
        let registered = Arc::new(WalInstance(Arc::clone(&instance)));
        let handle = instance.attach_reader().ok_or_else(Error::closed)?;
        let owner: Arc<dyn Any + Send + Sync> = Arc::clone(&registered) as _;
        instance.start_trailing(owner)?;
        Ok((registered, handle))
    })
}

impl WalTrail {
    /// Opens a log to read, as a process of its own would.
    ///
    /// # Errors
    /// As for [`Wal::open`].
    pub fn open_inline(
        storage: &Arc<dyn Storage>,
        path: &Path,
        options: WalOptions,
    ) -> Result<Self> {
        options.check()?;
        let real = RealDirectory::resolve(storage.as_ref(), path, false)?;
        let (durability, file_system) =
            path::durability(storage.as_ref(), &real.path, options.allow_network_fs)?;
        let trailer = Trailer::open(storage, &real.path, log_options(options, &file_system))?;
        let instance = Arc::new(Instance::reading(trailer, options, durability, &real.path));
        let handle = instance.attach_reader().ok_or_else(Error::closed)?;
        let source = instance.trailing.as_ref().map(|trailing| Arc::clone(&trailing.source));
        Ok(Self { handle, source: source.ok_or_else(Error::closed)? })
    }

    /// Shows what the writer announced since the last time, as the thread does when it is woken.
    ///
    /// # Errors
    /// `TIDEMARK_CORRUPT`, `TIDEMARK_IO`: nothing more can be shown.
    pub fn advance(&mut self) -> Result<()> {
        self.source.advance()
    }
}

/// Shares an open log, unless it is ending; then waits for its end.
fn attach(open: &Arc<Instance>, options: WalOptions) -> Result<Option<Wal>> {
    let Some(commit) = &open.commit else { return Ok(None) };
    let handle = || Wal::new(Arc::clone(open), options.read_only);
    if options.read_only || open.options == options {
        if commit.attach().is_some() {
            return Ok(Some(handle()));
        }
    } else if commit.is_used() {
        let message = "the log is open in this process with other options; close it first, or use \
                       the same options";
        return Err(Error::new(ErrorKind::Conflict, message).at(&open.path));
    }
    if commit.is_used() {
        // Poisoned; its handles keep the lock until they are closed.
        open.poison.check()?;
    }
    open.ended.wait();
    Ok(None)
}

impl WalParts {
    /// Opens a log without threads and without the registry, for simulations.
    ///
    /// # Errors
    /// As for [`Wal::open`].
    pub fn open_inline(
        storage: &Arc<dyn Storage>,
        path: &Path,
        options: WalOptions,
    ) -> Result<Self> {
        options.check()?;
        let real = RealDirectory::resolve(storage.as_ref(), path, true)?;
        Self::open(storage, &real, options, false)
    }

    /// All entries that a reader of this kind sees.
    ///
    /// # Errors
    /// As for [`Wal::read`].
    pub fn entries(&self, visibility: Visibility) -> Result<Vec<Entries>> {
        let mut from = self.reader.view().ends().first;
        let mut chunks = Vec::new();
        loop {
            let look = Look { from, to: u64::MAX, bytes_max: usize::MAX, visibility, epoch: None };
            let Some((chunk, _)) = self.reader.find(&look)? else { return Ok(chunks) };
            from += chunk.records.len() as u64;
            chunks.push(chunk);
        }
    }

    /// The first LSN, and the one after the last that a reader of this kind sees.
    #[must_use]
    pub fn ends(&self, visibility: Visibility) -> (u64, u64) {
        let ends = self.reader.view().ends();
        (ends.first, ends.next(visibility))
    }

    /// The hard state, as it is on the medium.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.reader.view().hard_state()
    }

    /// What opening found and mended.
    #[must_use]
    pub const fn recovery(&self) -> &WalRecovery {
        &self.recovery
    }

    /// Tells an observer of this log's events, for as long as somebody else keeps it.
    pub fn subscribe(&self, observer: &Arc<dyn Observer>) {
        self.events.subscribe(observer);
    }

    fn open(
        storage: &Arc<dyn Storage>,
        real: &RealDirectory,
        options: WalOptions,
        in_background: bool,
    ) -> Result<Self> {
        let (durability, file_system) =
            path::durability(storage.as_ref(), &real.path, options.allow_network_fs)?;
        let directory = lock(storage.as_ref(), &real.path)?;
        if is_new(storage.as_ref(), &real.path)? {
            // Whoever made the directory may have ended before its name was durable.
            real.sync_name(storage.as_ref())?;
        }
        let log_options = log_options(options, &file_system);
        let mut found = Found::new(&real.path);
        let Opened { log, mut writer, report } =
            Log::open(storage, &real.path, &log_options, &mut found)?;
        found.check()?;
        writer.prove_tail()?;
        // What a purge made superfluous and a kill left behind (W-2): all that is here is proven.
        let oldest = found.index.oldest();
        let needed = found.index.drop_before(found.state.first);
        let publication = Publication::open(storage, &real.path, writer.written())?;
        let active =
            found.index.active().cloned().ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a log without a segment was opened")
            })?;
        let (events, metrics) = (Events::default(), Arc::<WalMetrics>::default());
        writer.watch_syncs(Arc::new(Syncs {
            storage: Arc::clone(storage),
            metrics: Arc::clone(&metrics),
            events: events.clone(),
        }));
        let poison = Poison::new(events.clone());
        let mut active_index = LogIndex::default();
        active_index.push(active);
        let (state, index, end) = (found.state.clone(), found.index, writer.written());
        let view = Arc::new(View::new(Read { state, index, log: log.clone(), end }));
        let reader = Reader::new(Arc::clone(&view), Arc::clone(&metrics), None);
        let engine = WalEngine {
            storage: Arc::clone(storage),
            options,
            preparation: Preparation::new(log, Arc::clone(&metrics), in_background),
            writer,
            view,
            publication,
            poison: poison.clone(),
            events: events.clone(),
            metrics: Arc::clone(&metrics),
            state: found.state,
            index: active_index,
            batch: Batch::default(),
            updates: Vec::new(),
            unsynced_since: None,
            removal: None,
            full: false,
            directory,
            bug: None,
        };
        if let Some(needed) = needed.filter(|_| needed != oldest) {
            engine.preparation.remove_before(needed);
        }
        let recovery = WalRecovery::from(report);
        Ok(Self { engine, reader, recovery, durability, file_system, poison, events, metrics })
    }

    /// Starts the threads.
    fn start(
        self,
        storage: &Arc<dyn Storage>,
        real: &RealDirectory,
        options: WalOptions,
    ) -> Result<(Arc<WalInstance>, Wal)> {
        let limits = Limits {
            in_flight_bytes_max: options.in_flight_bytes_max,
            group_bytes_max: GROUP_BYTES_MAX,
            ..Limits::default()
        };
        let FileSystem { name, reason, .. } = &self.file_system;
        let weakness =
            (self.durability == Durability::Unproven).then(|| format!("{name}: {reason}"));
        let instance = Arc::new(Instance {
            commit: Some(GroupCommit::new(limits, self.poison.clone(), Arc::clone(storage))),
            reader: self.reader,
            io: Arc::default(),
            options,
            poison: self.poison,
            events: self.events,
            metrics: self.metrics,
            durability: self.durability,
            weakness,
            recovery: self.recovery,
            path: real.path.clone(),
            ended: Latch::default(),
            trailing: None,
        });
        let registered = Arc::new(WalInstance(Arc::clone(&instance)));
        let tenure =
            Tenure { instance: Arc::clone(&instance), _registered: Arc::clone(&registered) };
        let owner: Arc<dyn Any + Send + Sync> = Arc::new(tenure);
        instance.reader.view().start_waker();
        if let Some(commit) = &instance.commit {
            commit.start_direct(self.engine, owner)?;
        }
        Ok((registered, Wal::new(instance, false)))
    }
}

fn log_options(options: WalOptions, file_system: &FileSystem) -> LogOptions {
    LogOptions {
        io: options.io,
        strict: options.recovery == RecoveryMode::Strict,
        spares_max: SPARES_MAX,
        prefill: file_system.overwrites_in_place,
        ..LogOptions::new(KIND, options.segment_bytes)
    }
}

/// Locks the directory against every other writer (C11), and sees that it is still the one that
/// the path leads to.
fn lock(storage: &dyn Storage, path: &Path) -> Result<Box<dyn File>> {
    let failed = |os| Error::os("lock", path, os);
    let directory = storage.open_dir(Site::LockOpen, path).map_err(failed)?;
    if !directory.try_lock(Site::LockAcquire, LockMode::Exclusive).map_err(failed)? {
        let holder = directory.lock_holder(Site::LockAcquire);
        let who = holder.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        let message = format!(
            "another process{who} writes to {}; only one can: open it with readOnly, or wait \
             until that one has closed it or ended",
            path.display()
        );
        return Err(Error::new(ErrorKind::Locked, message).at(path).held_by(holder));
    }
    let locked = directory.stat(Site::LockVerify).map_err(failed)?.id;
    if storage.stat(Site::LockVerify, path).map_err(failed)?.id != locked {
        let message = format!("{} was replaced while it was opened; open it again", path.display());
        return Err(Error::new(ErrorKind::Locked, message).at(path));
    }
    Ok(directory)
}
