//! The primitives under the stores, on the real disk: file locks and atomic writes.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

#[cfg(test)]
mod atomic_write;
#[cfg(test)]
mod file_lock;
#[cfg(test)]
mod lock_requests;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
