//! Resume keys: whose checkpoint it is.
//!
//! A key is a SHA-256 digest and the version of the recipe that made it. Version 1, which the
//! `aviso` client (crates.io, 2.x) uses as well, hashes:
//!
//! ```text
//! u32 LE  1                      the version
//! u64 LE  length | base URL      scheme "://" host port path, as the WHATWG parser serialises them
//! u64 LE  length | event type    verbatim
//! u64 LE  length | filter        canonical JSON (RFC 8785)
//! 00                             no schema fingerprint, or
//! 01  u64 LE  length | schema fingerprint
//! ```
//!
//! User, password, query and fragment of the URL are not part of it. Every number of a filter is a
//! double there, so `1` and `1.0` are one key, and integers beyond 2^53 may share one.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// The version of the recipe that makes keys.
pub const KEY_FORMAT_VERSION: u32 = 1;

/// The longest name of [`ResumeKey::named`], in bytes of UTF-8.
const NAME_BYTES_MAX: usize = 1024;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// Whose checkpoint it is. Equal if digest and version are; the name is for people.
#[derive(Clone)]
pub struct ResumeKey {
    digest: Digest,
    format_version: u32,
    name: Option<Arc<str>>,
}

impl ResumeKey {
    /// A key from its digest and version.
    #[must_use]
    pub const fn from_parts(digest: Digest, format_version: u32) -> Self {
        Self { digest, format_version, name: None }
    }

    /// The key of what a client watches, as the original's client makes it: the URL's path gets a
    /// trailing slash if it has none.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` for a URL that does not parse or is not http or https.
    pub fn derive(
        base_url: &str,
        event_type: &str,
        filter: &Value,
        schema_fingerprint: Option<&str>,
    ) -> Result<Self> {
        let mut url = parse_url(base_url)?;
        if !matches!(url.scheme(), "http" | "https") {
            let message = format!("the base URL must be http or https, not {}:", url.scheme());
            return Err(Error::invalid_argument(message));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Self::hash(&url, event_type, filter, schema_fingerprint)
    }

    /// The key of these inputs as they are, as the original's key type makes it: any scheme, and
    /// a trailing slash counts.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` for a URL that does not parse.
    pub fn derive_exact(
        base_url: &str,
        event_type: &str,
        filter: &Value,
        schema_fingerprint: Option<&str>,
    ) -> Result<Self> {
        Self::hash(&parse_url(base_url)?, event_type, filter, schema_fingerprint)
    }

    fn hash(
        url: &Url,
        event_type: &str,
        filter: &Value,
        fingerprint: Option<&str>,
    ) -> Result<Self> {
        let filter = serde_jcs::to_vec(filter).map_err(|error| {
            Error::invalid_argument(format!("the filter has no canonical JSON: {error}"))
                .caused_by(error)
        })?;
        let mut hasher = Sha256::new();
        hasher.update(KEY_FORMAT_VERSION.to_le_bytes());
        hash_field(&mut hasher, normalize(url).as_bytes());
        hash_field(&mut hasher, event_type.as_bytes());
        hash_field(&mut hasher, &filter);
        match fingerprint {
            None => hasher.update([0]),
            Some(fingerprint) => {
                hasher.update([1]);
                hash_field(&mut hasher, fingerprint.as_bytes());
            }
        }
        Ok(Self::from_parts(hasher.finalize().into(), KEY_FORMAT_VERSION))
    }

    /// The key of a name: SHA-256 of `tidemark:named:1`, a zero byte, and the name.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` unless the name has 1 to 1,024 bytes.
    pub fn named(name: &str) -> Result<Self> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let message = format!(
                "a key's name has 1 to {NAME_BYTES_MAX} bytes of UTF-8, this one has {}",
                name.len()
            );
            return Err(Error::invalid_argument(message));
        }
        let digest =
            Sha256::new().chain_update(b"tidemark:named:1\0").chain_update(name).finalize();
        let name = Some(Arc::from(name));
        Ok(Self { digest: digest.into(), format_version: KEY_FORMAT_VERSION, name })
    }

    /// The key with this digest, in hex of either case.
    ///
    /// # Errors
    /// `TIDEMARK_INVALID_ARGUMENT` unless it is 64 hex digits.
    pub fn from_hex(hex: &str) -> Result<Self> {
        decode_hex(hex).map_or_else(
            || Err(Error::invalid_argument("a key's hex form is exactly 64 hex digits")),
            |digest| Ok(Self::from_parts(digest, KEY_FORMAT_VERSION)),
        )
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The digest as 64 lower-case hex digits.
    #[must_use]
    pub fn hex(&self) -> String {
        encode_hex(&self.digest)
    }

    /// The version of the recipe that made it.
    #[must_use]
    pub const fn format_version(&self) -> u32 {
        self.format_version
    }

    /// The name that it was made from, if it was.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Refuses a key that a file of this version cannot hold.
    pub(crate) fn check_format_version(&self) -> Result<()> {
        if self.format_version == KEY_FORMAT_VERSION {
            return Ok(());
        }
        let message = format!(
            "the key has format version {}; this build uses {KEY_FORMAT_VERSION}",
            self.format_version
        );
        Err(Error::new(ErrorKind::UnsupportedKeyFormatVersion, message))
    }
}

impl PartialEq for ResumeKey {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.format_version == other.format_version
    }
}

impl Eq for ResumeKey {}

impl Hash for ResumeKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
        self.format_version.hash(state);
    }
}

impl PartialOrd for ResumeKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResumeKey {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.digest, self.format_version).cmp(&(other.digest, other.format_version))
    }
}

impl fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResumeKey({}, v{})", self.hex(), self.format_version)
    }
}

fn parse_url(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| {
        Error::invalid_argument(format!("the base URL does not parse: {error}")).caused_by(error)
    })
}

/// Scheme, host, port that is not the scheme's own, and path.
fn normalize(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if url.path().is_empty() { "/" } else { url.path() };
    format!("{}://{host}{port}{path}", url.scheme())
}

fn hash_field(hasher: &mut Sha256, field: &[u8]) {
    hasher.update((field.len() as u64).to_le_bytes());
    hasher.update(field);
}

/// A digest in lower-case hex.
pub(crate) fn encode_hex(digest: &Digest) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'));
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The digest that 64 hex digits of either case stand for.
pub(crate) fn decode_hex(hex: &str) -> Option<Digest> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
    if hex.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(digest)
}
