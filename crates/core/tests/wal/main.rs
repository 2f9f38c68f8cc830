//! The write-ahead log through its public API: on the real disk, looked at from outside, and on
//! the simulated one, where calls fail and processes die.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod defects_crash;
#[cfg(test)]
mod defects_read;
#[cfg(test)]
mod defects_write;
#[cfg(test)]
mod elsewhere;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod levels;
#[cfg(test)]
mod like_windows;
#[cfg(test)]
mod mended;
#[cfg(test)]
mod model;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod recovering;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod sim;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod trailing;
#[cfg(test)]
mod waiting;
#[cfg(test)]
#[path = "../wal_support/mod.rs"]
mod wal_support;
