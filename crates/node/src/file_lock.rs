//! Locks on files.
//!
//! A lock that can be had at once is taken on the environment's I/O thread; one that must be
//! waited for is waited for by the one thread of its path.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::{Array, External};
use napi::{Either, Env, Result};
use napi_derive::napi;
use tidemark_core::LockMode;
use tidemark_core::file_lock::{FileLock, LockRequests};
use tidemark_core::group_commit::{Settled, Sink};

use crate::channel::Channel;
use crate::failure::Failure;
use crate::hub::Hub;
use crate::payload::{Message, Payload};
use crate::process::PROCESS;

/// A lock in the hands of its environment. Collected as garbage, it is freed.
pub struct LockHandle(Mutex<Option<FileLock>>);

impl LockHandle {
    pub(crate) const fn new(lock: FileLock) -> Self {
        Self(Mutex::new(Some(lock)))
    }
}

/// Where one request for a lock is.
enum Wait {
    /// On its way to the I/O thread, or being tried there.
    Trying,
    /// In the queue of its path.
    Queued { requests: LockRequests, sink: Arc<dyn Sink<FileLock>> },
    /// Taken back while it was being tried.
    Withdrawn,
}

/// The requests of one environment that were not answered yet, by ticket.
#[derive(Default)]
pub(crate) struct LockWaits(Mutex<HashMap<u32, Wait>>);

impl LockWaits {
    fn with<R>(&self, act: impl FnOnce(&mut HashMap<u32, Wait>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes everything back; the environment is going away.
    pub(crate) fn abandon(&self) {
        for (ticket, wait) in self.with(std::mem::take) {
            if let Wait::Queued { requests, sink } = wait {
                let _granted_meanwhile = requests.withdraw(u64::from(ticket), &sink);
            }
        }
    }

    /// Takes one request back: true if its answer will not come.
    fn withdraw(&self, ticket: u32) -> bool {
        // One step: the I/O thread must find either the entry that was or the mark.
        let queued = self.with(|waits| match waits.remove(&ticket) {
            Some(Wait::Queued { requests, sink }) => Ok((requests, sink)),
            Some(Wait::Trying | Wait::Withdrawn) => {
                waits.insert(ticket, Wait::Withdrawn);
                Err(true)
            }
            None => Err(false),
        });
        match queued {
            Ok((requests, sink)) => requests.withdraw(u64::from(ticket), &sink),
            Err(withdrawn) => withdrawn,
        }
    }
}

/// Brings a granted lock to its environment.
struct LockSink {
    channel: Arc<Channel>,
    waits: Arc<LockWaits>,
}

impl Sink<FileLock> for LockSink {
    fn deliver(&self, settled: Vec<Settled<FileLock>>) {
        for Settled { ticket, result } in settled {
            let ticket = u32::try_from(ticket).unwrap_or(u32::MAX);
            drop(self.waits.with(|waits| waits.remove(&ticket)));
            let result = result.map(|lock| Payload::Lock(Some(lock)));
            self.channel.send(vec![Message::Settled { ticket, result }]);
        }
    }
}

/// One request, on the I/O thread.
struct Request {
    ticket: u32,
    path: PathBuf,
    mode: LockMode,
    /// When to give up, in the machine's monotonic time.
    deadline: Duration,
    allow_network_fs: bool,
    channel: Arc<Channel>,
    waits: Arc<LockWaits>,
}

impl Request {
    fn run(self) {
        let (channel, waits, ticket) =
            (Arc::clone(&self.channel), Arc::clone(&self.waits), self.ticket);
        let answer = match self.try_or_queue() {
            Ok(None) => return,
            Ok(Some(lock)) => Ok(Payload::Lock(Some(lock))),
            Err(error) => Err(error),
        };
        let wait = waits.with(|waits| waits.remove(&ticket));
        if !matches!(wait, Some(Wait::Withdrawn)) {
            channel.send(vec![Message::Settled { ticket, result: answer }]);
        }
    }

    /// The lock, or nothing if it is being waited for.
    fn try_or_queue(self) -> tidemark_core::Result<Option<FileLock>> {
        let storage = &PROCESS.storage;
        let tried = FileLock::try_acquire(storage, &self.path, self.mode, self.allow_network_fs)?;
        if tried.is_some() {
            return Ok(tried);
        }
        let requests =
            LockRequests::open(&PROCESS.locks, storage, &self.path, self.allow_network_fs)?;
        let sink: Arc<dyn Sink<FileLock>> =
            Arc::new(LockSink { channel: self.channel, waits: Arc::clone(&self.waits) });
        // Under the mutex, so that an answer which comes at once finds its entry.
        self.waits.with(|waits| {
            if matches!(waits.get(&self.ticket), Some(Wait::Trying)) {
                let rest = self.deadline.saturating_sub(storage.monotonic());
                requests.enqueue(self.mode, rest, u64::from(self.ticket), &sink)?;
                waits.insert(self.ticket, Wait::Queued { requests, sink });
            } else {
                waits.remove(&self.ticket);
            }
            Ok(None)
        })
    }
}

fn mode_of(shared: bool) -> LockMode {
    if shared { LockMode::Shared } else { LockMode::Exclusive }
}

/// Asks for a lock; it comes back under the ticket.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn file_lock_acquire(
    env: &Env,
    hub: &Hub,
    ticket: u32,
    path: String,
    shared: bool,
    timeout_ms: u32,
    allow_network_fs: bool,
) -> Result<()> {
    let hub = &hub.inner;
    let request = Request {
        ticket,
        path: PathBuf::from(path),
        mode: mode_of(shared),
        deadline: PROCESS.storage.monotonic() + Duration::from_millis(u64::from(timeout_ms)),
        allow_network_fs,
        channel: Arc::clone(&hub.channel),
        waits: Arc::clone(&hub.lock_waits),
    };
    hub.lock_waits.with(|waits| waits.insert(ticket, Wait::Trying));
    hub.pending.add(env, &hub.channel)?;
    if let Err(error) = hub.io.run(move || request.run()) {
        hub.channel.send(vec![Message::Settled { ticket, result: Err(error) }]);
    }
    Ok(())
}

/// Takes a request back; false if its answer is on its way.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn file_lock_withdraw(env: &Env, hub: &Hub, ticket: u32) -> Result<bool> {
    let withdrawn = hub.inner.lock_waits.withdraw(ticket);
    if withdrawn {
        hub.inner.pending.remove(env, &hub.inner.channel, 1)?;
    }
    Ok(withdrawn)
}

/// Takes a lock if nobody has to be waited for: `[lock]`, or `[]`.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind, ts_return_type = "Array<unknown> | Failure")]
pub fn file_lock_try_acquire<'env>(
    env: &'env Env,
    hub: &Hub,
    path: String,
    shared: bool,
    allow_network_fs: bool,
) -> Result<Either<Array<'env>, Failure>> {
    let (path, mode) = (Path::new(&path), mode_of(shared));
    match FileLock::try_acquire(&PROCESS.storage, path, mode, allow_network_fs) {
        Ok(lock) => Ok(Either::A(Payload::Lock(lock).into_js(env, &hub.inner)?)),
        Err(error) => Ok(Either::B(Failure::from(error))),
    }
}

/// Frees a lock; freeing it twice does nothing more.
#[napi(catch_unwind)]
pub fn file_lock_release(lock: &External<LockHandle>) {
    drop(lock.0.lock().unwrap_or_else(PoisonError::into_inner).take());
}
