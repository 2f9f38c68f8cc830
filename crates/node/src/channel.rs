//! The one channel of an environment through which everything comes back (N-5).
//!
//! Invariants
//! - CH-1 Nothing is sent after the environment's clean-up hook has closed the channel: a sender
//!   holds the lock while it sends.
//! - CH-2 The event loop is kept alive while operations are pending, and only then. Pending
//!   operations are counted on the environment's thread alone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{PoisonError, RwLock};

use napi::bindgen_prelude::{BigUint64Array, Function, JsValue as _};
use napi::{Env, Error, Result, Status};

use crate::hub::HubInner;
use crate::payload::Message;
use crate::threadsafe_function::{Call, Receive, ThreadsafeFunction};

/// The end that any thread sends into.
#[derive(Default)]
pub(crate) struct Channel {
    function: RwLock<Option<ThreadsafeFunction<Vec<Message>>>>,
}

impl Channel {
    /// Opens the channel to a JavaScript function.
    pub(crate) fn open(&self, env: &Env, to: &Function<'_>, hub: Rc<HubInner>) -> Result<()> {
        let function = ThreadsafeFunction::new(env, to, Receiver { hub })?;
        *self.function.write().unwrap_or_else(PoisonError::into_inner) = Some(function);
        Ok(())
    }

    /// Sends messages, in one call; dropped once the environment is going away.
    pub(crate) fn send(&self, messages: Vec<Message>) {
        let function = self.function.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = &*function {
            function.call(messages);
        }
    }

    /// Closes the channel (CH-1). Called by the clean-up hook.
    pub(crate) fn close(&self) {
        *self.function.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn keep_alive(&self, env: &Env, alive: bool) -> Result<()> {
        let function = self.function.read().unwrap_or_else(PoisonError::into_inner);
        function.as_ref().map_or(Ok(()), |function| function.keep_alive(env, alive))
    }
}

/// How many operations of this environment are pending (CH-2).
#[derive(Default)]
pub(crate) struct PendingCount(Cell<usize>);

impl PendingCount {
    /// Counts one more.
    pub(crate) fn add(&self, env: &Env, channel: &Channel) -> Result<()> {
        let count = self.0.get();
        self.0.set(count + 1);
        if count == 0 { channel.keep_alive(env, true) } else { Ok(()) }
    }

    /// Counts some fewer.
    pub(crate) fn remove(&self, env: &Env, channel: &Channel, ended: usize) -> Result<()> {
        let count = self.0.get();
        let left = count.saturating_sub(ended);
        self.0.set(left);
        if count > 0 && left == 0 { channel.keep_alive(env, false) } else { Ok(()) }
    }
}

/// The end in JavaScript.
struct Receiver {
    hub: Rc<HubInner>,
}

impl Receive<Vec<Message>> for Receiver {
    fn receive(&self, env: &Env, messages: Vec<Message>, call: Call<'_>) -> Result<()> {
        self.hub.received(env, &messages)?;
        let mut others = Vec::new();
        for message in messages {
            match message {
                Message::Appended(results) => self.hub.results.tell(env, &results, call)?,
                message => others.push(message),
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        let mut batch = env.create_array(0)?;
        for message in others {
            batch.insert(message.into_js(env, &self.hub)?)?;
        }
        call(batch.raw())
    }
}

/// What operations of a log came to, on its way to JavaScript: ticket, first and last LSN.
pub(crate) type Appended = (u32, [u64; 2]);

/// Memory that is shared with JavaScript: results are left in it, and only how many is told. A
/// result is nothing to collect then, and the caller of a lone append hears of it soonest.
///
/// ```text
/// ticket f64 | first LSN u64 | last LSN u64, for each
/// ```
pub(crate) struct Results(RefCell<BigUint64Array>);

impl Results {
    pub(crate) const fn new(shared: BigUint64Array) -> Self {
        Self(RefCell::new(shared))
    }

    /// Calls with the number of results that lie there, as often as it takes.
    fn tell(&self, env: &Env, results: &[Appended], call: Call<'_>) -> Result<()> {
        let mut results = results.iter();
        while results.len() > 0 {
            let mut shared = self.0.borrow_mut();
            // SAFETY: this is the environment's thread, and no JavaScript runs while it is written.
            // The hub keeps the array to itself: nobody detaches it.
            let words = unsafe { shared.as_mut() };
            let mut count = 0_u32;
            for (words, (ticket, lsns)) in words.as_chunks_mut().0.iter_mut().zip(&mut results) {
                *words = [f64::from(*ticket).to_bits(), lsns[0], lsns[1]];
                count += 1;
            }
            drop(shared);
            if count == 0 {
                let what = "the memory for results has no room".to_owned();
                return Err(Error::new(Status::InvalidArg, what));
            }
            call(env.create_uint32(count)?.raw())?;
        }
        Ok(())
    }
}
