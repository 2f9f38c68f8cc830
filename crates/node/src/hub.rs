//! The state of one environment: its channel, its stores, its I/O thread, and its end.
//!
//! The facade makes one hub per environment. It lives until the environment's clean-up hook, which
//! finishes what was accepted (within each store's bound), closes the stores and then the channel,
//! so that nothing is sent into an environment that is gone.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::{BigUint64Array, Function, retain_current_module_for_unload_safety};
use napi::{Either, Env, Result};
use napi_derive::napi;
use tidemark_core::group_commit::Enqueued;
use tidemark_core::io_thread::{IoThread, caught};

use crate::channel::{Channel, PendingCount, Results};
use crate::drain::Drain;
use crate::failure::Failure;
use crate::file_lock::LockWaits;
use crate::payload::{Message, Payload};
use crate::process::PROCESS;

/// How long the end of an environment waits for jobs that belong to no store.
const IO_DRAIN: Duration = Duration::from_secs(1);

/// A store that must not lose what it accepted when the environment ends.
struct OpenStore {
    store: Arc<dyn Drain>,
    exit_drain: Duration,
    /// Whether it took longer than that.
    late: Cell<bool>,
}

/// What the parts of one environment share, on its thread.
pub(crate) struct HubInner {
    pub(crate) channel: Arc<Channel>,
    pub(crate) pending: PendingCount,
    pub(crate) results: Results,
    pub(crate) io: IoThread,
    pub(crate) lock_waits: Arc<LockWaits>,
    /// Jobs given to the I/O thread that have not begun, by ticket.
    queued: Arc<Mutex<HashSet<u32>>>,
    stores: RefCell<Vec<OpenStore>>,
    /// Stores that were handed something since the last `wake`.
    asleep: RefCell<Vec<Arc<dyn Drain>>>,
    /// How often a store was full since it last told of room.
    refused: RefCell<HashMap<u32, usize>>,
}

impl HubInner {
    /// Sees to it that what the store accepts is finished at the end.
    pub(crate) fn register(&self, store: Arc<dyn Drain>, exit_drain: Duration) {
        let mut stores = self.stores.borrow_mut();
        stores.push(OpenStore { store, exit_drain, late: Cell::default() });
    }

    /// Accounts for an operation that a store, `id`, was handed: true if it was accepted, false if
    /// there is no room.
    pub(crate) fn enqueued(
        &self,
        env: &Env,
        id: u32,
        store: &Arc<impl Drain + 'static>,
        became: tidemark_core::Result<Enqueued>,
    ) -> Result<Either<bool, Failure>> {
        match became {
            Ok(Enqueued::Accepted) => {
                self.wake_later(store);
                self.pending.add(env, &self.channel)?;
                Ok(Either::A(true))
            }
            Ok(Enqueued::Full) => {
                *self.refused.borrow_mut().entry(id).or_default() += 1;
                self.pending.add(env, &self.channel)?;
                Ok(Either::A(false))
            }
            Err(error) => Ok(Either::B(Failure::from(error))),
        }
    }

    /// Remembers to wake a store.
    fn wake_later(&self, store: &Arc<impl Drain + 'static>) {
        let mut asleep = self.asleep.borrow_mut();
        if !asleep.iter().any(|known| Arc::as_ptr(known).addr() == Arc::as_ptr(store).addr()) {
            asleep.push(Arc::clone(store) as Arc<dyn Drain>);
        }
    }

    /// Lets go of the stores that are closed, and of the memory that they hold.
    pub(crate) fn forget_finished(&self) {
        self.stores.borrow_mut().retain(|open| !open.store.is_finished());
    }

    /// Accounts for messages that are about to be received.
    pub(crate) fn received(&self, env: &Env, messages: &[Message]) -> Result<()> {
        self.forget_finished();
        let ended = messages
            .iter()
            .map(|message| match message {
                Message::Settled { .. } => 1,
                Message::Credit { store } => {
                    self.refused.borrow_mut().remove(store).unwrap_or_default()
                }
                Message::Appended(results) => results.len(),
                Message::Event { .. } => 0,
            })
            .sum();
        self.pending.remove(env, &self.channel, ended)
    }

    /// Runs a job on the environment's I/O thread; its result comes back under the ticket.
    pub(crate) fn run_io(
        &self,
        env: &Env,
        ticket: u32,
        job: impl FnOnce() -> tidemark_core::Result<Payload> + Send + 'static,
    ) -> Result<()> {
        let channel = Arc::clone(&self.channel);
        let queued = Arc::clone(&self.queued);
        queued.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket);
        self.pending.add(env, &self.channel)?;
        let given = self.io.run(move || {
            if queued.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket) {
                channel.send(vec![Message::Settled { ticket, result: caught(job) }]);
            }
        });
        if let Err(error) = given {
            self.channel.send(vec![Message::Settled { ticket, result: Err(error) }]);
        }
        Ok(())
    }

    /// Runs a job on a thread of its own, so that a file system that hangs holds up nobody else;
    /// its result comes back under the ticket.
    pub(crate) fn run_once(
        &self,
        env: &Env,
        ticket: u32,
        job: impl FnOnce() -> tidemark_core::Result<Payload> + Send + 'static,
    ) -> Result<()> {
        self.run_on(env, ticket, job, |job| IoThread::default().run(job))
    }

    /// Gives a job to a thread; its result comes back under the ticket.
    pub(crate) fn run_on(
        &self,
        env: &Env,
        ticket: u32,
        job: impl FnOnce() -> tidemark_core::Result<Payload> + Send + 'static,
        give: impl FnOnce(Box<dyn FnOnce() + Send>) -> tidemark_core::Result<()>,
    ) -> Result<()> {
        let channel = Arc::clone(&self.channel);
        self.pending.add(env, &self.channel)?;
        let given = give(Box::new(move || {
            channel.send(vec![Message::Settled { ticket, result: caught(job) }]);
        }));
        if let Err(error) = given {
            self.channel.send(vec![Message::Settled { ticket, result: Err(error) }]);
        }
        Ok(())
    }

    /// Takes a job back that has not begun.
    fn withdraw_io(&self, env: &Env, ticket: u32) -> Result<bool> {
        let taken = self.queued.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket);
        if taken {
            self.pending.remove(env, &self.channel, 1)?;
        }
        Ok(taken)
    }

    /// Finishes what was accepted, each store within its bound. A store that took longer is not
    /// waited for again. Blocks.
    fn drain(&self) {
        let began = PROCESS.storage.monotonic();
        let spent = || PROCESS.storage.monotonic().saturating_sub(began);
        let stores = self.stores.borrow();
        // All of them begin now, so that a slow one takes no time from the others.
        for open in stores.iter() {
            open.store.wake();
        }
        for open in stores.iter().filter(|open| !open.late.get()) {
            let in_time = open.store.drain(open.exit_drain.saturating_sub(spent()));
            open.late.set(!in_time);
        }
        let _in_time = self.io.drain(IO_DRAIN.saturating_sub(spent()));
    }

    /// The end of the environment: finishes what was accepted, then closes the stores, within
    /// their bounds. A process that ends by itself leaves nothing to mend.
    fn end(&self) {
        let began = PROCESS.storage.monotonic();
        self.drain();
        let (tell, closed) = channel();
        let mut waits = Vec::new();
        for open in self.stores.borrow_mut().drain(..) {
            if open.late.get() {
                open.store.close(Box::new(|| ()));
                continue;
            }
            let tell = tell.clone();
            open.store.close(Box::new(move || {
                let _nobody_waits_any_longer = tell.send(());
            }));
            waits.push(open.exit_drain);
        }
        waits.sort_unstable();
        for bound in waits {
            let spent = PROCESS.storage.monotonic().saturating_sub(began);
            let _in_time = closed.recv_timeout(bound.saturating_sub(spent));
        }
        self.lock_waits.abandon();
    }
}

/// The native side of one JavaScript environment.
#[napi]
pub struct Hub {
    pub(crate) inner: Rc<HubInner>,
}

impl Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

#[napi]
impl Hub {
    /// Opens the channel: `receive` is called with an array of messages, or with the number of
    /// results that lie in the memory that is shared, 3 words each.
    ///
    /// # Errors
    /// If the environment refuses a threadsafe function or a clean-up hook.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "(told: number | Array<Array<unknown>>) => void")] receive: Function<
            '_,
        >,
        results: BigUint64Array,
    ) -> Result<Self> {
        // Threads, and where there are maps a handler of signals, point into the image from now
        // on. Where no linker can be told that it stays (build.rs), this holds it.
        retain_current_module_for_unload_safety();
        let inner = Rc::new(HubInner {
            channel: Arc::default(),
            pending: PendingCount::default(),
            results: Results::new(results),
            io: IoThread::default(),
            lock_waits: Arc::default(),
            queued: Arc::default(),
            stores: RefCell::default(),
            asleep: RefCell::default(),
            refused: RefCell::default(),
        });
        inner.channel.open(&env, &receive, Rc::clone(&inner))?;
        // Hooks run in reverse: this one, added after the function, runs before Node ends that.
        env.add_env_cleanup_hook(Rc::clone(&inner), |inner| {
            drop(catch_unwind(AssertUnwindSafe(|| inner.end())));
            // Whatever that came to: what is sent after this hook would end the process (CH-1).
            inner.channel.close();
        })?;
        Ok(Self { inner })
    }

    /// Finishes what was accepted, each store within its `exitDrainMs`. Blocks: for
    /// `process.on('exit')`.
    #[napi(catch_unwind)]
    pub fn drain(&self) {
        self.inner.drain();
    }

    /// Has the stores begin with what was handed to them. The facade calls it once per tick, so
    /// that what a program puts in one go is one group.
    #[napi(catch_unwind)]
    pub fn wake(&self) {
        for store in self.inner.asleep.borrow_mut().drain(..) {
            store.wake();
        }
    }

    /// Takes a job back that has not begun; false if it has.
    ///
    /// # Errors
    /// If the environment is going away.
    #[napi(catch_unwind)]
    pub fn withdraw(&self, env: Env, ticket: u32) -> Result<bool> {
        self.inner.withdraw_io(&env, ticket)
    }
}
