//! The one channel of an environment through which everything comes back (N-5).
//!
//! Invariants
//! - CH-1 Nothing is sent after the environment's clean-up hook has closed the channel: a sender
//!   holds the lock while it sends.
//! - CH-2 The event loop is kept alive while operations are pending, and only then. Pending
//!   operations are counted on the environment's thread alone.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{PoisonError, RwLock};

use napi::bindgen_prelude::{Array, Function, ToNapiValue};
use napi::{Env, Result, sys};

use crate::hub::HubInner;
use crate::payload::Message;
use crate::threadsafe_function::{Receive, ThreadsafeFunction};

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
    fn receive(&self, env: &Env, messages: Vec<Message>) -> Result<sys::napi_value> {
        self.hub.received(env, &messages)?;
        let mut batch = env.create_array(0)?;
        for message in messages {
            batch.insert(message.into_js(env, &self.hub)?)?;
        }
        // SAFETY: the environment is alive, and this is its thread.
        unsafe { Array::to_napi_value(env.raw(), batch) }
    }
}
