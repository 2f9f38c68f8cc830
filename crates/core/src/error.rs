//! One error type with a stable code per kind.
//!
//! A kind exists where a caller would act differently. Codes are API; messages are not: they say
//! what happened and what to do. `docs/errors.md` has a heading per code.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_storage::OsError;

/// The result of a store's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Declares the kinds once, with their codes and the list of all of them.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal),* $(,)?) => {
        /// What went wrong, as far as a caller would act on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $kind),* }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The stable code of this kind.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$kind => $code),* }
            }
        }
    };
}

kinds! {
    /// An argument is not what the documentation asks for; nothing was touched.
    InvalidArgument = "TIDEMARK_INVALID_ARGUMENT",
    /// Another process has the store open.
    Locked = "TIDEMARK_LOCKED",
    /// The lock was not granted in time; nothing was touched.
    LockTimeout = "TIDEMARK_LOCK_TIMEOUT",
    /// The store, lock or iterator is closed.
    Closed = "TIDEMARK_CLOSED",
    /// Bytes on the medium fail their checksum.
    Corrupt = "TIDEMARK_CORRUPT",
    /// A file is not what its format asks for.
    Decode = "TIDEMARK_DECODE",
    /// A file has a format version that this build does not know.
    UnsupportedFileVersion = "TIDEMARK_UNSUPPORTED_FILE_VERSION",
    /// Keys are in a format version that this build does not know.
    UnsupportedKeyFormatVersion = "TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION",
    /// A file holds a key that is not 64 hex digits.
    InvalidResumeKey = "TIDEMARK_INVALID_RESUME_KEY",
    /// Something exceeds a limit of its format.
    TooLarge = "TIDEMARK_TOO_LARGE",
    /// The device or the quota is full.
    NoSpace = "TIDEMARK_NO_SPACE",
    /// The operating system answered with an error.
    Io = "TIDEMARK_IO",
    /// An earlier failure left the outcome of a write unknown; open the store again.
    Poisoned = "TIDEMARK_POISONED",
    /// What was asked for was purged.
    Expired = "TIDEMARK_EXPIRED",
    /// The request contradicts what is there.
    Conflict = "TIDEMARK_CONFLICT",
    /// Nothing is there.
    NotFound = "TIDEMARK_NOT_FOUND",
    /// This store or system cannot do that.
    Unsupported = "TIDEMARK_UNSUPPORTED",
    /// A bug in Tidemark: a panic was caught.
    Internal = "TIDEMARK_INTERNAL",
}

/// A failed operation: its kind, a message that says what to do, and where it happened.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    context: Box<Context>,
}

/// What is known about a failure beside its kind.
#[derive(Clone, Debug, Default)]
struct Context {
    path: Option<PathBuf>,
    offset: Option<u64>,
    sequence: Option<u64>,
    os: Option<OsError>,
    holder: Option<u32>,
    indeterminate: bool,
    /// Where in the message begins what it says to do.
    advice_at: Option<usize>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind, with a message for people.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Box::default() }
    }

    /// Bad input, refused before anything was touched.
    #[must_use]
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// A use after close.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "it is closed; open it again")
    }

    /// A failed system call on a path.
    #[must_use]
    pub fn os(doing: &str, path: &Path, os: OsError) -> Self {
        let (kind, advice) = match os.errno {
            OsError::ENOSPC | OsError::EDQUOT => {
                (ErrorKind::NoSpace, "; free some space and try again")
            }
            _ => (ErrorKind::Io, ""),
        };
        let message = format!("could not {doing} {}: {os}", path.display());
        let mut error = Self::new(kind, message).advising(advice).at(path);
        error.context.os = Some(os);
        error.context.source = Some(Arc::new(os));
        error
    }

    /// Adds the path.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.context.path = Some(path.to_owned());
        self
    }

    /// Adds the offset in the file, in bytes.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.context.offset = Some(offset);
        self
    }

    /// Adds the sequence.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.context.sequence = Some(sequence);
        self
    }

    /// Adds the process that holds the lock.
    #[must_use]
    pub fn held_by(mut self, process: Option<u32>) -> Self {
        self.context.holder = process;
        self
    }

    /// Adds the error behind this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.context.source = Some(Arc::new(source));
        self
    }

    /// Says what to do, instead of what was said before.
    #[must_use]
    pub(crate) fn advising(mut self, advice: &str) -> Self {
        let at = self.context.advice_at.unwrap_or(self.message.len());
        self.message.truncate(at);
        self.message.push_str(advice);
        self.context.advice_at = Some(at);
        self
    }

    /// Says that the outcome is unknown: it may or may not have reached the medium.
    #[must_use]
    pub fn indeterminate(mut self) -> Self {
        self.context.indeterminate = true;
        self
    }

    /// Says that what was asked for was certainly not done, whatever else may have been.
    #[must_use]
    pub(crate) fn definite(mut self) -> Self {
        self.context.indeterminate = false;
        self
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened and what to do, for people; not API.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The path that it happened on.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.context.path.as_deref()
    }

    /// The offset in the file, in bytes.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.context.offset
    }

    /// The sequence that it is about.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.context.sequence
    }

    /// The system call that failed.
    #[must_use]
    pub fn os_error(&self) -> Option<OsError> {
        self.context.os
    }

    /// The process that holds the lock, where the system tells.
    #[must_use]
    pub fn holder(&self) -> Option<u32> {
        self.context.holder
    }

    /// Whether the outcome is unknown.
    #[must_use]
    pub fn is_indeterminate(&self) -> bool {
        self.context.indeterminate
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.message)?;
        if self.context.indeterminate { f.write_str(" (indeterminate)") } else { Ok(()) }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.context.source.as_ref().map(|source| {
            let source: &(dyn std::error::Error + 'static) = source.as_ref();
            source
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_api_and_never_change() {
        let codes: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        let expected = "INVALID_ARGUMENT LOCKED LOCK_TIMEOUT CLOSED CORRUPT DECODE \
            UNSUPPORTED_FILE_VERSION UNSUPPORTED_KEY_FORMAT_VERSION INVALID_RESUME_KEY TOO_LARGE \
            NO_SPACE IO POISONED EXPIRED CONFLICT NOT_FOUND UNSUPPORTED INTERNAL";
        let expected: Vec<String> =
            expected.split_whitespace().map(|code| format!("TIDEMARK_{code}")).collect();
        assert_eq!(codes, expected);
    }

    #[test]
    fn a_full_device_has_a_kind_of_its_own() {
        let os = OsError::new(OsError::ENOSPC, "pwrite");
        let error = Error::os("write", Path::new("/data/x"), os);
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert_eq!(error.os_error(), Some(os));
        assert!(!error.is_indeterminate());
    }
}
