//! A store that no longer knows what is on the medium says so, for good.
//!
//! After a failed sync the kernel may have dropped the pages and marked them clean: a second sync
//! that succeeds proves nothing (Rebello et al., "Can Applications Recover from fsync Failures?",
//! USENIX ATC 2020). So nothing is retried on the same handle; opening again reads what is there.

use std::sync::{Arc, OnceLock};

use crate::error::{Error, ErrorKind};
use crate::event::{Event, Events};

/// Set once, never cleared; shared by everybody who works on one open store.
#[derive(Clone, Debug)]
pub struct Poison {
    cause: Arc<OnceLock<Error>>,
    events: Events,
}

impl Poison {
    /// A store that is well. Its observers are told if that changes.
    #[must_use]
    pub fn new(events: Events) -> Self {
        Self { cause: Arc::default(), events }
    }

    /// Poisons the store, unless it is already; the first cause stays.
    pub fn set(&self, cause: &Error) {
        if self.cause.set(cause.clone()).is_ok() {
            self.events.emit(&Event::Poisoned { error: cause.clone() });
        }
    }

    /// Whether the store is poisoned.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.cause.get().is_some()
    }

    /// Refuses what comes after the poison.
    ///
    /// # Errors
    /// `TIDEMARK_POISONED`, with the first failure as its cause.
    pub fn check(&self) -> Result<(), Error> {
        self.cause.get().map_or(Ok(()), |cause| {
            let message = format!(
                "an earlier failure left the outcome of a write unknown ({cause}); \
                 close this store and open it again"
            );
            Err(Error::new(ErrorKind::Poisoned, message).caused_by(cause.clone()))
        })
    }
}
