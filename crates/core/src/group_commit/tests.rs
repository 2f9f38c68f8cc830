//! The commit path with a toy engine whose every step the test decides. The invariants GC-1 to
//! GC-9 are in `docs/commit-path.md`.

mod closing;
mod credits;
mod direct;
mod groups;
mod inline;
mod lock_wait;
mod panics;
mod settling;
mod toy;
