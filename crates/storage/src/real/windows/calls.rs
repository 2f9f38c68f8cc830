//! The calls that the standard library has no safe way for. All unsafe code of this system is here
//! and in [`super::view`].
//!
//! Not promised: that an answer means what the caller needs; each says what Windows does.
#![expect(unsafe_code, reason = "these calls have no safe wrapper")]

use std::fs::File;
use std::io::{self, Error};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Security::Cryptography::{
    BCRYPT_USE_SYSTEM_PREFERRED_RNG, BCryptGenRandom,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_TAG_INFO, FILE_BASIC_INFO, FILE_ID_INFO, FILE_INFO_BY_HANDLE_CLASS,
    FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_STANDARD_INFO, FILE_TYPE_DISK,
    FileAttributeTagInfo, FileBasicInfo, FileIdInfo, FileStandardInfo, GetDriveTypeW,
    GetFileInformationByHandle, GetFileInformationByHandleEx, GetFileType, GetVolumeInformationW,
    GetVolumePathNameW, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx,
    MOVEFILE_REPLACE_EXISTING, MOVEFILE_WRITE_THROUGH, MoveFileExW, ReOpenFile, UnlockFileEx,
};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};

use crate::LockMode;

/// The longest name of a file system, and of a volume's root, in UTF-16.
const NAME_SIZE: u32 = 1024;

/// A text that Windows takes: UTF-16, ended by its only NUL.
pub(super) type Wide = Vec<u16>;

/// What `GetFileInformationByHandleEx` fills for one of its classes.
pub(super) trait Information: Default {
    /// The class that asks for it.
    const CLASS: FILE_INFO_BY_HANDLE_CLASS;
}

impl Information for FILE_BASIC_INFO {
    const CLASS: FILE_INFO_BY_HANDLE_CLASS = FileBasicInfo;
}

impl Information for FILE_STANDARD_INFO {
    const CLASS: FILE_INFO_BY_HANDLE_CLASS = FileStandardInfo;
}

impl Information for FILE_ATTRIBUTE_TAG_INFO {
    const CLASS: FILE_INFO_BY_HANDLE_CLASS = FileAttributeTagInfo;
}

impl Information for FILE_ID_INFO {
    const CLASS: FILE_INFO_BY_HANDLE_CLASS = FileIdInfo;
}

/// Whether a call said that it did what it was asked.
fn done(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Asks for one description of an open file.
pub(super) fn information<I: Information>(file: &File) -> io::Result<I> {
    let mut into = I::default();
    let size = u32::try_from(size_of::<I>()).unwrap_or_default();
    let place = (&raw mut into).cast();
    // SAFETY: the class is the one that fills a value of this type, and this many bytes are there.
    done(unsafe { GetFileInformationByHandleEx(file.as_raw_handle(), I::CLASS, place, size) })?;
    Ok(into)
}

/// The volume's number and the file's number in it, as every file system has them.
pub(super) fn short_id(file: &File) -> io::Result<(u32, u64)> {
    let mut into = windows_sys::Win32::Storage::FileSystem::BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and there is room for the answer.
    done(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut into) })?;
    let index = u64::from(into.nFileIndexHigh) << u32::BITS | u64::from(into.nFileIndexLow);
    Ok((into.dwVolumeSerialNumber, index))
}

/// Whether an open file lies on a disk: it is no pipe, console or device.
pub(super) fn is_on_a_disk(file: &File) -> bool {
    // SAFETY: the handle is open.
    unsafe { GetFileType(file.as_raw_handle()) == FILE_TYPE_DISK }
}

fn overlapped(offset: u64) -> OVERLAPPED {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of an offset")]
    let halves = OVERLAPPED_0_0 { Offset: offset as u32, OffsetHigh: (offset >> u32::BITS) as u32 };
    OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: halves }, ..OVERLAPPED::default() }
}

/// Locks one byte; waits for it if told to.
pub(super) fn lock(file: &File, offset: u64, mode: LockMode, waits: bool) -> io::Result<()> {
    let mut place = overlapped(offset);
    let exclusive = if mode == LockMode::Exclusive { LOCKFILE_EXCLUSIVE_LOCK } else { 0 };
    let how = exclusive | if waits { 0 } else { LOCKFILE_FAIL_IMMEDIATELY };
    // SAFETY: the handle is open and synchronous, so that the call returns when it is done with
    // `place`.
    done(unsafe { LockFileEx(file.as_raw_handle(), how, 0, 1, 0, &raw mut place) })
}

/// Frees one byte.
pub(super) fn unlock(file: &File, offset: u64) -> io::Result<()> {
    let mut place = overlapped(offset);
    // SAFETY: as for `lock`.
    done(unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut place) })
}

/// Opens an open file once more, to be written to: the very same one, whatever its name leads to.
pub(super) fn open_to_write(file: &File) -> io::Result<File> {
    let (access, share) =
        (GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE);
    // SAFETY: the handle is open, the rest are flags.
    let opened = unsafe { ReOpenFile(file.as_raw_handle(), access, share, 0) };
    if opened == INVALID_HANDLE_VALUE || opened.is_null() {
        return Err(Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else has it.
    Ok(File::from(unsafe { OwnedHandle::from_raw_handle(opened) }))
}

/// Gives a file another name, replacing what has it, and asks that this be on the medium.
pub(super) fn rename(from: &Wide, to: &Wide) -> io::Result<()> {
    let how = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
    // SAFETY: both texts end with a NUL.
    done(unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), how) })
}

/// Fills a buffer with random bytes.
pub(super) fn random(into: &mut [u8]) -> bool {
    into.chunks_mut(1 << 20).all(|part| {
        let size = u32::try_from(part.len()).unwrap_or_default();
        let how = BCRYPT_USE_SYSTEM_PREFERRED_RNG;
        // SAFETY: no algorithm is named, as the flag asks, and the buffer has this size.
        unsafe { BCryptGenRandom(ptr::null_mut(), part.as_mut_ptr(), size, how) == 0 }
    })
}

/// The root of the volume that a path leads into.
pub(super) fn volume_of(path: &Wide) -> io::Result<Wide> {
    let mut root = vec![0; NAME_SIZE as usize];
    // SAFETY: the text ends with a NUL, and there is as much room as is said.
    done(unsafe { GetVolumePathNameW(path.as_ptr(), root.as_mut_ptr(), NAME_SIZE) })?;
    Ok(root)
}

/// What kind of drive a volume is on.
pub(super) fn drive_type(root: &Wide) -> u32 {
    // SAFETY: the text ends with a NUL.
    unsafe { GetDriveTypeW(root.as_ptr()) }
}

/// The name of a volume's file system, and its flags.
pub(super) fn volume(root: &Wide) -> io::Result<(String, u32)> {
    let (mut name, mut flags) = (vec![0; NAME_SIZE as usize], 0);
    let (none, nothing) = (ptr::null_mut(), ptr::null_mut());
    let (into, there) = (name.as_mut_ptr(), &raw mut flags);
    // SAFETY: the text ends with a NUL, what is not wanted is null, and there is as much room for
    // the name as is said.
    done(unsafe {
        GetVolumeInformationW(root.as_ptr(), none, 0, nothing, nothing, there, into, NAME_SIZE)
    })?;
    let name: Vec<u16> = name.into_iter().take_while(|unit| *unit != 0).collect();
    Ok((String::from_utf16_lossy(&name), flags))
}
