//! One open file of this machine.

use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{self, FileType, FlockOperation, Gid, OFlags, Uid};
use rustix::io::{self, Errno, retry_on_intr};

use super::allocate::{Blocks, allocate};
use super::map::RealMap;
use super::write::write_at;
use super::{at, mount, system};
use crate::{File, FileId, FileKind, LockMode, Map, Pages, Result, Site, Stat, Timestamp};

/// An owned descriptor; closing it (dropping this and its maps) frees its lock.
#[derive(Debug)]
pub(super) struct RealFile {
    descriptor: Arc<OwnedFd>,
}

impl RealFile {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self { descriptor: Arc::new(descriptor) }
    }
}

impl File for RealFile {
    fn read_at(&self, _site: Site, into: &mut [u8], offset: u64) -> Result<usize> {
        retry_on_intr(|| io::pread(&self.descriptor, &mut *into, offset)).map_err(at("pread"))
    }

    fn write_at(&self, _site: Site, from: &[u8], offset: u64) -> Result<usize> {
        write_at(&self.descriptor, from, offset)
    }

    fn set_len(&self, _site: Site, size_bytes: u64) -> Result<()> {
        retry_on_intr(|| fs::ftruncate(&self.descriptor, size_bytes)).map_err(at("ftruncate"))
    }

    fn allocate(&self, _site: Site, offset: u64, size_bytes: u64, pages: Pages) -> Result<()> {
        allocate(&self.descriptor, offset, size_bytes, Blocks::Written(pages))
    }

    fn reserve(&self, _site: Site, offset: u64, size_bytes: u64) -> Result<()> {
        allocate(&self.descriptor, offset, size_bytes, Blocks::Reserved)
    }

    fn sync_data(&self, _site: Site) -> Result<()> {
        // Not retried, not even after EINTR: whether the pages are still dirty is then unknown.
        system::sync_data(&self.descriptor).map_err(at("fdatasync"))
    }

    fn sync_all(&self, _site: Site) -> Result<()> {
        system::sync_all(&self.descriptor).map_err(at("fsync"))
    }

    fn stat(&self, _site: Site) -> Result<Stat> {
        fs::fstat(&self.descriptor).map(|stat| stat_from(&stat)).map_err(at("fstat"))
    }

    fn set_mode(&self, _site: Site, mode: u32) -> Result<()> {
        fs::fchmod(&self.descriptor, system::mode(mode)).map_err(at("fchmod"))
    }

    fn set_owner(&self, _site: Site, user_id: u32, group_id: u32) -> Result<()> {
        let (user, group) = (Uid::from_raw(user_id), Gid::from_raw(group_id));
        fs::fchown(&self.descriptor, Some(user), Some(group)).map_err(at("fchown"))
    }

    fn lock(&self, _site: Site, mode: LockMode) -> Result<()> {
        let operation = match mode {
            LockMode::Shared => FlockOperation::LockShared,
            LockMode::Exclusive => FlockOperation::LockExclusive,
        };
        retry_on_intr(|| fs::flock(&self.descriptor, operation)).map_err(at("flock"))
    }

    fn try_lock(&self, _site: Site, mode: LockMode) -> Result<bool> {
        let operation = match mode {
            LockMode::Shared => FlockOperation::NonBlockingLockShared,
            LockMode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match retry_on_intr(|| fs::flock(&self.descriptor, operation)) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(at("flock")(errno)),
        }
    }

    fn unlock(&self, _site: Site) -> Result<()> {
        retry_on_intr(|| fs::flock(&self.descriptor, FlockOperation::Unlock)).map_err(at("flock"))
    }

    fn lock_holder(&self, site: Site) -> Option<u32> {
        mount::lock_holder(self.stat(site).ok()?.id)
    }

    fn map(&self, _site: Site, size_bytes: usize) -> Result<Box<dyn Map>> {
        RealMap::new(&self.descriptor, size_bytes).map(|map| Box::new(map) as Box<dyn Map>)
    }
}

/// Whether the file was opened to be written to.
pub(super) fn writes(descriptor: &OwnedFd) -> Result<bool> {
    let flags = fs::fcntl_getfl(descriptor).map_err(at("fcntl"))?;
    Ok(flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Translates the kernel's description.
#[expect(
    clippy::unnecessary_cast,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the widths of these fields differ by architecture; none of them is negative"
)]
pub(super) fn stat_from(stat: &fs::Stat) -> Stat {
    Stat {
        id: FileId { device: stat.st_dev as u64, inode: stat.st_ino as u64 },
        kind: match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::Regular,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Special,
        },
        link_count: stat.st_nlink as u64,
        size_bytes: stat.st_size as u64,
        mode: stat.st_mode as u32 & 0o7777,
        user_id: stat.st_uid,
        group_id: stat.st_gid,
        modified: Timestamp {
            seconds: stat.st_mtime as i64,
            nanoseconds: stat.st_mtime_nsec as u32,
        },
        changed: Timestamp {
            seconds: stat.st_ctime as i64,
            nanoseconds: stat.st_ctime_nsec as u32,
        },
    }
}
