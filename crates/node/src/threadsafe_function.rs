//! A threadsafe function, raw: napi-rs's own leaks what is queued when its environment goes.
//!
//! It calls one JavaScript function with what a batch holds, on the thread of its environment. The
//! batch is a `Box<B>` on its way; whoever receives it takes it back first, whatever happens next.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi::bindgen_prelude::{Function, JsValue as _, Object};
use napi::{Env, Error, Result, Status, sys};

/// Calls the function with one argument; fails if that throws.
pub(crate) type Call<'a> = &'a mut dyn FnMut(sys::napi_value) -> Result<()>;

/// What turns a batch into calls. Called on the environment's thread.
pub(crate) trait Receive<B>: 'static {
    /// Hands a batch over, in as many calls as it takes. The environment is alive.
    fn receive(&self, env: &Env, batch: B, call: Call<'_>) -> Result<()>;
}

/// The context of one function: who receives, for as long as the function may be called.
struct Context<R> {
    receiver: R,
}

/// A handle that any thread may call. Valid until the environment's clean-up hook has run: the
/// owner must not call it after that.
pub(crate) struct ThreadsafeFunction<B> {
    raw: sys::napi_threadsafe_function,
    batch: PhantomData<fn(B)>,
}

// SAFETY: Node-API documents napi_call_threadsafe_function as callable from any thread; the other
// methods are called on the environment's thread only, which their callers keep.
unsafe impl<B: Send> Send for ThreadsafeFunction<B> {}
// SAFETY: as above; the handle itself is never changed.
unsafe impl<B: Send> Sync for ThreadsafeFunction<B> {}

impl<B: Send + 'static> ThreadsafeFunction<B> {
    /// Makes one. It does not keep the environment's event loop alive until `keep_alive(true)`.
    pub(crate) fn new<R: Receive<B>>(
        env: &Env,
        function: &Function<'_>,
        receiver: R,
    ) -> Result<Self> {
        let name = env.create_string("tidemark")?;
        let object = Object::new(env)?;
        let context = Box::into_raw(Box::new(Context { receiver }));
        let mut raw = ptr::null_mut();
        // SAFETY: env, function, object and name are alive in this call; the context is freed by
        // `finalize`, which Node calls once, after the last call of `call_js`.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                function.raw(),
                object.raw(),
                name.raw(),
                0,
                1,
                ptr::null_mut(),
                Some(finalize::<R>),
                context.cast::<c_void>(),
                Some(call_js::<B, R>),
                &raw mut raw,
            )
        };
        check(status)?;
        let function = Self { raw, batch: PhantomData };
        function.keep_alive(env, false)?;
        Ok(function)
    }

    /// Sends a batch; dropped if the environment is going away. Any thread.
    pub(crate) fn call(&self, batch: B) {
        let batch = Box::into_raw(Box::new(batch));
        // SAFETY: the owner calls only while the environment's clean-up hook has not run; the
        // mode is non-blocking, so that a full queue could not stop the environment's teardown.
        let status = unsafe {
            sys::napi_call_threadsafe_function(
                self.raw,
                batch.cast::<c_void>(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: Node refused the pointer, so that it is still ours alone.
            drop(unsafe { Box::from_raw(batch) });
        }
    }

    /// Keeps the event loop alive, or no longer. A flag, not a count. The environment's thread.
    pub(crate) fn keep_alive(&self, env: &Env, alive: bool) -> Result<()> {
        let set = if alive {
            sys::napi_ref_threadsafe_function
        } else {
            sys::napi_unref_threadsafe_function
        };
        // SAFETY: called on the environment's thread while the environment is alive.
        let status = unsafe { set(env.raw(), self.raw) };
        check(status)
    }
}

/// Called by Node on the environment's thread, once per batch.
unsafe extern "C" fn call_js<B, R: Receive<B>>(
    env: sys::napi_env,
    function: sys::napi_value,
    context: *mut c_void,
    batch: *mut c_void,
) {
    // SAFETY: `call` made this pointer from a Box<B>, and Node hands each one over once.
    let batch = unsafe { Box::from_raw(batch.cast::<B>()) };
    if env.is_null() || function.is_null() {
        // The environment is going away.
        return;
    }
    // SAFETY: `new` made the context; `finalize` frees it after the last call.
    let context = unsafe { &*context.cast::<Context<R>>() };
    let mut call = |argument: sys::napi_value| {
        let (mut this, mut result) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the environment is alive and this is its thread.
        check(unsafe { sys::napi_get_undefined(env, &raw mut this) })?;
        // SAFETY: as above; an exception of the function stays pending, which Node reports.
        check(unsafe {
            sys::napi_call_function(env, this, function, 1, &raw const argument, &raw mut result)
        })
    };
    let receive = || context.receiver.receive(&Env::from_raw(env), *batch, &mut call);
    let _node_reports_what_is_thrown = catch_unwind(AssertUnwindSafe(receive));
}

/// Called by Node when the function will not be called again.
unsafe extern "C" fn finalize<R>(_env: sys::napi_env, _data: *mut c_void, context: *mut c_void) {
    // SAFETY: `new` made this pointer from a Box, and Node calls this once.
    let context = unsafe { Box::from_raw(context.cast::<Context<R>>()) };
    drop(catch_unwind(AssertUnwindSafe(|| drop(context))));
}

fn check(status: sys::napi_status) -> Result<()> {
    match Status::from(status) {
        Status::Ok => Ok(()),
        status => Err(Error::from_status(status)),
    }
}
