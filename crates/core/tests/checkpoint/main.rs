//! Checkpoint stores through their public API, on the real disk, looked at from outside.

#![expect(clippy::disallowed_methods, reason = "tests look at the disk from outside")]

#[cfg(test)]
mod bad_directory;
#[cfg(test)]
mod bad_places;
#[cfg(test)]
mod edge_cases;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod grouping;
#[cfg(test)]
mod intruder;
#[cfg(test)]
mod json_file;
#[cfg(test)]
mod like_windows;
#[cfg(test)]
mod lock_file;
#[cfg(test)]
mod lock_wait;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod model;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod resume_key;
#[cfg(test)]
mod resume_key_vectors;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod strays;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod visibility;
