//! What this process knows of a store: the content that its readers see.
//!
//! Readers take a read lock for the time of a look-up. Writers are the commit thread, which
//! applies what has become durable, and a refresh, which installs what it found durable on disk.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::value::RawValue;

use super::merge::Overlay;
use super::{Checkpoint, ResumeKey};

/// Members of a JSON object that this version does not know, in the order of the file.
pub(crate) type UnknownMembers = Vec<(String, Box<RawValue>)>;

/// The content of a store.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Checkpoints by key, in the order of their digests.
    pub(crate) entries: BTreeMap<ResumeKey, Entry>,
    /// What else the file says.
    pub(crate) unknown: UnknownMembers,
}

/// One checkpoint, and what else the file says about it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) unknown: UnknownMembers,
}

impl Content {
    /// The checkpoint of a key.
    pub(crate) fn get(&self, key: &ResumeKey) -> Option<&Checkpoint> {
        self.entries.get(key).map(|entry| &entry.checkpoint)
    }

    /// Whether the overlay changes anything here.
    pub(crate) fn is_changed_by(&self, overlay: &Overlay) -> bool {
        overlay.iter().any(|(key, change)| self.get(key) != change.as_ref())
    }

    /// Changes what the overlay changes; unknown members of an entry stay with it.
    pub(crate) fn apply(&mut self, overlay: Overlay) {
        for (key, change) in overlay {
            match change {
                None => drop(self.entries.remove(&key)),
                Some(checkpoint) => self.put(key, checkpoint),
            }
        }
    }

    fn put(&mut self, key: ResumeKey, checkpoint: Checkpoint) {
        let old = if key.name().is_some() {
            // The last name given wins, and a map keeps the key that it has.
            self.entries.remove_entry(&key).map(|(_, entry)| entry)
        } else {
            None
        };
        let unknown = old.map(|entry| entry.unknown).unwrap_or_default();
        self.entries
            .entry(key)
            .and_modify(|entry| entry.checkpoint = checkpoint.clone())
            .or_insert(Entry { checkpoint, unknown });
    }
}

/// The content as the readers of this process see it.
#[derive(Debug, Default)]
pub struct View {
    content: RwLock<Content>,
}

impl View {
    /// The checkpoint of a key.
    #[must_use]
    pub fn get(&self, key: &ResumeKey) -> Option<Checkpoint> {
        self.read().get(key).cloned()
    }

    /// Every checkpoint, sorted by digest.
    #[must_use]
    pub fn entries(&self) -> Vec<(ResumeKey, Checkpoint)> {
        let content = self.read();
        let copy = |(key, entry): (&ResumeKey, &Entry)| (key.clone(), entry.checkpoint.clone());
        content.entries.iter().map(copy).collect()
    }

    /// Number of checkpoints.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // No code panics while it holds the lock, so that the content is always whole.

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Content> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}
