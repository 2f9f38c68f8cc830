//! The open stores of a process, so that a store opened twice is one instance.
//!
//! A value, not a static: a simulation holds several processes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tidemark_storage::FileId;

use crate::error::Result;

/// What makes a store the same one: the directory that holds it, and its name there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreId {
    /// The directory, whatever path led to it.
    pub directory: FileId,
    /// The name within it; the same for all names that the system takes for one.
    pub name: OsString,
}

type Slot<I> = Arc<Mutex<Weak<I>>>;

/// The open instances of one kind of store.
#[derive(Debug)]
pub struct Registry<I> {
    slots: Mutex<HashMap<StoreId, Slot<I>>>,
}

impl<I> Default for Registry<I> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<I> Registry<I> {
    /// Uses the open instance, if there is one and `attach` accepts it.
    ///
    /// # Errors
    /// Whatever `attach` answers.
    pub fn find<H>(
        &self,
        id: &StoreId,
        attach: impl FnOnce(&Arc<I>) -> Result<Option<H>>,
    ) -> Result<Option<H>> {
        let slot = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(id).map(Arc::clone)
        };
        let Some(slot) = slot else { return Ok(None) };
        let open = slot.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        open.map_or(Ok(None), |open| attach(&open))
    }

    /// Uses the open instance if `attach` accepts it, else makes one. Two callers for the same
    /// store take turns; callers for different ones do not wait for each other.
    ///
    /// # Errors
    /// Whatever `attach` or `make` answer.
    pub fn open<H>(
        &self,
        id: StoreId,
        attach: impl FnOnce(&Arc<I>) -> Result<Option<H>>,
        make: impl FnOnce() -> Result<(Arc<I>, H)>,
    ) -> Result<H> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            // A slot that nobody else has, of an instance that is gone, is of no use.
            slots.retain(|_, slot| {
                Arc::strong_count(slot) > 1
                    || slot.try_lock().is_ok_and(|instance| instance.strong_count() > 0)
            });
            Arc::clone(slots.entry(id).or_default())
        };
        let mut instance = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = instance.upgrade()
            && let Some(handle) = attach(&open)?
        {
            return Ok(handle);
        }
        let (new, handle) = make()?;
        *instance = Arc::downgrade(&new);
        Ok(handle)
    }
}
