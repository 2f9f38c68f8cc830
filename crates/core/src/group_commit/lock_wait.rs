//! What an engine wraps around a call that may wait long (GC-6): tickets time out meanwhile.

use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Tells the watchdog that the commit thread waits for a lock.
pub(super) trait WaitPort: Send + Sync {
    /// The wait begins, if tickets can time out meanwhile; `timeout` makes the error of one whose
    /// deadline passes.
    fn begin(&self, timeout: Arc<dyn Fn() -> Error + Send + Sync>) -> Result<()>;
    /// The wait is over.
    fn end(&self);
}

/// What an engine wraps around a call that may wait for a lock.
pub struct LockWait(pub(super) Arc<dyn WaitPort>);

impl LockWait {
    /// Runs `block` while tickets may time out with the error that `timeout` makes (GC-6).
    ///
    /// # Errors
    /// `TIDEMARK_IO` if the system gives no thread to see to that; `block` was not run.
    pub fn during<R>(
        &self,
        timeout: impl Fn() -> Error + Send + Sync + 'static,
        block: impl FnOnce() -> R,
    ) -> Result<R> {
        self.0.begin(Arc::new(timeout))?;
        let result = block();
        self.0.end();
        Ok(result)
    }
}

impl Debug for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockWait")
    }
}
