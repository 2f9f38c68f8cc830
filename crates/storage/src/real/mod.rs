//! The machine itself. What Unix and Windows share is here; the rest of each stands in a directory
//! of its own, with an implementation of [`crate::Storage`] and of [`crate::File`].

mod clock;
mod words;

#[cfg(unix)]
#[path = "unix/mod.rs"]
mod system;
#[cfg(windows)]
#[path = "windows/mod.rs"]
mod system;

pub use self::system::is_plain;
pub(crate) use self::system::{errno, wake_all};

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!(
    "tidemark-storage knows Linux, macOS and Windows; another system needs files of its own here"
);

/// The file systems, the clock and the randomness of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealStorage;
