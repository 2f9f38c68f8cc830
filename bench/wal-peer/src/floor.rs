//! One write of a block and one `fdatasync`, with nothing around them.
//!
//! In a file whose blocks were written and synced before, a sync has nothing to do but to bring the
//! block to the disk and flush the disk's cache. At the end of a file that grows, the file system
//! has to commit its journal as well; that one shows that the counters of the bench count.

#![expect(clippy::disallowed_methods, reason = "the floor lies below the storage seam")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::jobs::{Subject, timed};
use crate::{Result, SEGMENT_BYTES};

const BLOCK: [u8; 4096] = [0x5a; 4096];

/// A file, and the block to write next.
pub(crate) struct Floor {
    file: File,
    next: u64,
    /// Where to begin again; a file that grows never does.
    end: Option<u64>,
}

fn create(path: &str) -> Result<File> {
    Ok(OpenOptions::new().write(true).create_new(true).open(path)?)
}

impl Floor {
    /// As large as a segment, written and synced.
    pub(crate) fn written(path: &str) -> Result<Self> {
        let file = create(path)?;
        let end = u64::from(SEGMENT_BYTES);
        for offset in (0..end).step_by(BLOCK.len()) {
            file.write_all_at(&[0; BLOCK.len()], offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, next: 0, end: Some(end) })
    }

    /// Empty.
    pub(crate) fn growing(path: &str) -> Result<Self> {
        let file = create(path)?;
        file.sync_all()?;
        Ok(Self { file, next: 0, end: None })
    }
}

impl Subject for Floor {
    fn single(&mut self) -> Result<Duration> {
        let at = self.next;
        let after = at + BLOCK.len() as u64;
        self.next = if self.end == Some(after) { 0 } else { after };
        timed(|| {
            self.file.write_all_at(&BLOCK, at)?;
            Ok(self.file.sync_data()?)
        })
    }
}
