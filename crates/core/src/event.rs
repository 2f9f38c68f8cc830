//! What a store tells without being asked.

use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::checkpoint::{Checkpoint, ResumeKey};
use crate::error::Error;

/// Something that a user of a store may want to know at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Another process deleted a checkpoint, or set it back, since this one last saw it.
    Regressed {
        /// Whose checkpoint.
        key: ResumeKey,
        /// What was known here.
        from: Checkpoint,
        /// What the disk holds now; nothing if it was deleted.
        to: Option<Checkpoint>,
    },
    /// Bytes that could not be decoded were moved aside.
    Quarantined {
        /// Where they were.
        path: PathBuf,
        /// Where they are.
        quarantine: PathBuf,
    },
    /// The outcome of a write is unknown; the store takes nothing more until opened again.
    Poisoned {
        /// What happened.
        error: Error,
    },
    /// There is no room for what was to be written; nothing is lost, and work goes on as soon as
    /// there is some.
    NoSpace {
        /// What happened.
        error: Error,
    },
    /// The medium took longer than a second to sync.
    SlowSync {
        /// How long it took.
        duration: Duration,
    },
}

/// Who wants to be told. Called on a store's own thread: it must return at once.
pub trait Observer: Send + Sync {
    /// Tells.
    fn notify(&self, event: &Event);
}

/// The observers of one store.
#[derive(Clone, Default)]
pub struct Events {
    observers: Arc<Mutex<Vec<Weak<dyn Observer>>>>,
}

impl Events {
    /// Tells an observer from now on, for as long as somebody else keeps it.
    pub fn subscribe(&self, observer: &Arc<dyn Observer>) {
        let mut observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner);
        observers.retain(|known| known.strong_count() > 0);
        observers.push(Arc::downgrade(observer));
    }

    /// Tells everybody.
    pub fn emit(&self, event: &Event) {
        let observers: Vec<_> = {
            let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner);
            observers.iter().filter_map(Weak::upgrade).collect()
        };
        for observer in observers {
            observer.notify(event);
        }
    }
}

impl Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
