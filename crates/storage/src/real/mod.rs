//! The machine itself. What Unix and Windows share is here; the rest of each stands in a directory
//! of its own, with an implementation of [`crate::Storage`] and of [`crate::File`].

mod clock;
mod words;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as machine;
#[cfg(windows)]
use self::windows as machine;

pub use self::machine::is_plain;
pub(crate) use self::machine::{errno, wake_all};

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!(
    "tidemark-storage knows Linux, macOS and Windows; another system needs files of its own here"
);

/// The file systems, the clock and the randomness of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealStorage;
