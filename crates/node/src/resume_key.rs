//! Making resume keys.

use napi::Either;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use tidemark_core::Error;
use tidemark_core::checkpoint::ResumeKey;

use crate::failure::Failure;

fn digest(key: Result<ResumeKey, Error>) -> Either<Uint8Array, Failure> {
    match key {
        Ok(key) => Either::A(Uint8Array::from(key.digest().to_vec())),
        Err(error) => Either::B(Failure::from(error)),
    }
}

/// The digest of a name's key.
#[napi(catch_unwind)]
#[must_use]
pub fn resume_key_named(name: String) -> Either<Uint8Array, Failure> {
    digest(ResumeKey::named(&name))
}

/// The digest that hex digits stand for.
#[napi(catch_unwind)]
#[must_use]
pub fn resume_key_from_hex(hex: String) -> Either<Uint8Array, Failure> {
    digest(ResumeKey::from_hex(&hex))
}

/// The digest of what a client watches; `filter` is JSON text.
#[napi(catch_unwind)]
#[must_use]
pub fn resume_key_derive(
    base_url: String,
    event_type: String,
    filter: String,
    schema_fingerprint: Option<String>,
) -> Either<Uint8Array, Failure> {
    let filter = serde_json::from_str(&filter).map_err(|error| {
        Error::invalid_argument(format!("the filter is not JSON: {error}")).caused_by(error)
    });
    digest(filter.and_then(|filter| {
        ResumeKey::derive(&base_url, &event_type, &filter, schema_fingerprint.as_deref())
    }))
}
