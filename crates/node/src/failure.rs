//! A failed operation as a plain object; the facade makes the `Error` of it, at the `await`.

use std::error::Error as _;

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use tidemark_core::{Error, ErrorKind};

/// Why an operation failed. Which members are there depends on what is known.
#[napi(object)]
pub struct Failure {
    /// The stable code, `TIDEMARK_...`.
    pub code: String,
    /// What happened and what to do; not API.
    pub message: String,
    /// The path that it happened on.
    pub path: Option<String>,
    /// The offset in the file, in bytes.
    pub offset: Option<BigInt>,
    /// The sequence that it is about.
    pub sequence: Option<BigInt>,
    /// The number that the operating system answered with.
    pub errno: Option<i32>,
    /// The system call that failed.
    pub syscall: Option<String>,
    /// The process that holds the lock.
    pub holder: Option<u32>,
    /// True if the outcome is unknown; absent otherwise.
    pub indeterminate: Option<bool>,
    /// What the error behind this one says.
    pub cause: Option<String>,
}

/// Every code that the core knows, for the facade's tests.
#[napi(catch_unwind)]
#[must_use]
pub fn error_codes() -> Vec<String> {
    ErrorKind::ALL.iter().map(|kind| kind.code().to_owned()).collect()
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            code: error.kind().code().to_owned(),
            message: error.message().to_owned(),
            path: error.path().map(|path| path.to_string_lossy().into_owned()),
            offset: error.offset().map(BigInt::from),
            sequence: error.sequence().map(BigInt::from),
            errno: error.os_error().map(|os| os.errno),
            syscall: error.os_error().map(|os| os.syscall.to_owned()),
            holder: error.holder(),
            indeterminate: error.is_indeterminate().then_some(true),
            cause: error.source().map(ToString::to_string),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}
