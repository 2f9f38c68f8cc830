//! Moving aside a file that cannot be decoded (JF-10), for stores opened with `recover:
//! 'quarantine'`.
//!
//! ```text
//! state.json -> state.json.corrupt-<milliseconds since 1970>
//! ```
//!
//! The caller holds the lock. A file of a later format version is not damaged, and stays.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tidemark_storage::Site;

use super::reader::{JsonFileReader, Undecodable};
use crate::checkpoint::store::RecoveryReport;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;

/// Files that quarantine takes; whoever lets more accumulate has another problem.
const FILES_MAX: usize = 16;

/// Where damaged files go, and the record of them.
#[derive(Debug)]
pub(super) struct Quarantine {
    /// The state file's name with `.corrupt-`.
    prefix: PathBuf,
    report: Arc<Mutex<RecoveryReport>>,
}

impl Quarantine {
    pub(super) const fn new(prefix: PathBuf, report: Arc<Mutex<RecoveryReport>>) -> Self {
        Self { prefix, report }
    }

    /// Whether an error says that the bytes are damaged.
    pub(super) fn is_for(error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::Decode | ErrorKind::InvalidResumeKey)
    }

    /// Moves the file aside, durably, before anything takes its place. False: the caller is not
    /// `alone` with it any more, or another file has taken its place; nothing was moved (JF-11).
    pub(super) fn move_aside(
        &self,
        reader: &JsonFileReader,
        found: &Undecodable,
        alone: impl FnOnce() -> Result<bool>,
    ) -> Result<bool> {
        let target = self.free_name(reader)?;
        let directory = reader.open_dir()?;
        if !alone()? {
            return Ok(false);
        }
        reader.storage.rename(Site::JsonQuarantine, &reader.path, &target).map_err(|os| {
            let error = Error::os("move into quarantine", &reader.path, os);
            // A rename is one step: while the file is there, nothing was done.
            if reader.recheck().is_ok_and(|now| now == Some(found.identity)) {
                return error;
            }
            let error = error.indeterminate();
            reader.poison.set(&error);
            error
        })?;
        reader.sync_or_poison(|| reader.sync_dir(directory.as_ref(), Site::JsonQuarantine))?;
        self.report.lock().unwrap_or_else(PoisonError::into_inner).quarantined.push(target.clone());
        let path = reader.path.clone();
        reader.tell(&[Event::Quarantined { path, quarantine: target }]);
        Ok(true)
    }

    /// The names of what lies in quarantine.
    pub(super) fn files(&self, reader: &JsonFileReader) -> Result<Vec<OsString>> {
        let prefix = self.prefix.file_name().unwrap_or_default().as_encoded_bytes();
        let mut names = reader
            .storage
            .read_dir(Site::JsonQuarantine, &reader.directory)
            .map_err(|os| Error::os("list", &reader.directory, os))?;
        names.retain(|name| name.as_encoded_bytes().starts_with(prefix));
        Ok(names)
    }

    /// A name that is not taken, if there is room.
    fn free_name(&self, reader: &JsonFileReader) -> Result<PathBuf> {
        let names = self.files(reader)?;
        if names.len() >= FILES_MAX {
            let message = format!(
                "{} cannot be decoded, and quarantine is full: look at the {} files {}*, and \
                 remove what you do not need",
                reader.path.display(),
                names.len(),
                self.prefix.display()
            );
            return Err(Error::new(ErrorKind::Decode, message).at(&reader.path));
        }
        let now = u64::try_from(reader.storage.unix_time().as_millis()).unwrap_or(u64::MAX);
        let name = |millis: u64| {
            let mut name = self.prefix.clone().into_os_string();
            name.push(millis.to_string());
            PathBuf::from(name)
        };
        let taken =
            |path: &Path| names.iter().any(|name| Some(name.as_os_str()) == path.file_name());
        let mut names = (0..=FILES_MAX as u64).map(|later| name(now.saturating_add(later)));
        names
            .find(|path| !taken(path))
            .ok_or_else(|| Error::new(ErrorKind::Internal, "quarantine has no free name"))
    }
}
