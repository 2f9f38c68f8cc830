//! Reading a log: its ends, its entries, its hard state.
//!
//! Entries come back as `[LSN of the first, bytes, where each ends]`.

use std::sync::Arc;

use napi::bindgen_prelude::{Array, BigInt, Either3, External, Null, Uint8Array};
use napi::{Either, Env, Result};
use napi_derive::napi;
use tidemark_core::wal::Visibility;

use crate::failure::Failure;
use crate::payload::Payload;
use crate::wal::{WalHandle, lsn};

pub(crate) const fn visibility(written: bool) -> Visibility {
    if written { Visibility::Written } else { Visibility::Durable }
}

/// Entries from memory, or undefined if they are not all there.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind, ts_return_type = "Array<unknown> | undefined | Failure")]
pub fn wal_read_hot<'env>(
    env: &'env Env,
    wal: &External<WalHandle>,
    from: BigInt,
    to: BigInt,
    max_bytes: u32,
    written: bool,
) -> Result<Either3<Array<'env>, (), Failure>> {
    let bytes_max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    match wal.wal().read_hot(lsn(&from)?, lsn(&to)?, bytes_max, visibility(written)) {
        Ok(Some(entries)) => Ok(Either3::A(Payload::LogEntries(entries).into_js(env, wal.hub())?)),
        Ok(None) => Ok(Either3::B(())),
        Err(error) => Ok(Either3::C(Failure::from(error))),
    }
}

/// Entries from wherever they are, through the log's I/O thread.
///
/// # Errors
/// If the environment is going away.
#[napi(catch_unwind)]
pub fn wal_read(
    env: &Env,
    wal: &External<WalHandle>,
    ticket: u32,
    from: BigInt,
    to: BigInt,
    max_bytes: u32,
    written: bool,
) -> Result<()> {
    let (from, to) = (lsn(&from)?, lsn(&to)?);
    let bytes_max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let log = Arc::clone(wal.wal());
    let job = move || log.read(from, to, bytes_max, visibility(written)).map(Payload::LogEntries);
    wal.hub().run_on(env, ticket, job, |job| wal.wal().run_io(job))
}

/// The first LSN.
#[napi(catch_unwind)]
pub fn wal_first_lsn(wal: &External<WalHandle>) -> Either<BigInt, Failure> {
    number(wal.wal().first_lsn())
}

/// The last LSN that is durable, or written.
#[napi(catch_unwind)]
pub fn wal_last_lsn(wal: &External<WalHandle>, written: bool) -> Either<BigInt, Failure> {
    number(wal.wal().last_lsn(visibility(written)))
}

fn number(lsn: tidemark_core::Result<u64>) -> Either<BigInt, Failure> {
    match lsn {
        Ok(lsn) => Either::A(BigInt::from(lsn)),
        Err(error) => Either::B(Failure::from(error)),
    }
}

/// The hard state.
#[napi(catch_unwind)]
pub fn wal_hard_state(wal: &External<WalHandle>) -> Either3<Uint8Array, Null, Failure> {
    match wal.wal().hard_state() {
        Ok(Some(state)) => Either3::A(Uint8Array::from(&*state)),
        Ok(None) => Either3::B(Null),
        Err(error) => Either3::C(Failure::from(error)),
    }
}
