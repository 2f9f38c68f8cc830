//! Ends a wait of this process from within, on whatever word of whatever map it waits.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::real;

/// A flag that is raised once, and ends every wait that was given it ([`crate::Map::wait_or`]).
#[derive(Debug, Default)]
pub struct Interrupt(AtomicU32);

impl Interrupt {
    /// Ends the waits, and those that begin later.
    pub fn raise(&self) {
        self.0.store(1, Ordering::Release);
        real::wake_all(&self.0);
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.word().load(Ordering::Acquire) != 0
    }

    /// What a wait sleeps on: 0 until it is raised.
    pub(crate) const fn word(&self) -> &AtomicU32 {
        &self.0
    }
}
