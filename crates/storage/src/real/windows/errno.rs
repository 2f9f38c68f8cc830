//! The numbers of this system's errors, by the names that [`crate::OsError`] has for them.
//!
//! Windows has several numbers for some of them. [`common`] makes one of them, so that a caller
//! compares with one; every other number stays as it came.

use std::io;

use windows_sys::Win32::Foundation as win32;

use crate::OsError;

const fn number(code: u32) -> i32 {
    // They are below 16 bits.
    code.cast_signed()
}

pub(crate) const ENOENT: i32 = number(win32::ERROR_FILE_NOT_FOUND);
pub(crate) const EEXIST: i32 = number(win32::ERROR_FILE_EXISTS);
pub(crate) const EIO: i32 = number(win32::ERROR_IO_DEVICE);
pub(crate) const ENOSPC: i32 = number(win32::ERROR_DISK_FULL);
pub(crate) const EDQUOT: i32 = number(win32::ERROR_DISK_QUOTA_EXCEEDED);
pub(crate) const EFBIG: i32 = number(win32::ERROR_FILE_TOO_LARGE);
pub(crate) const ENOTDIR: i32 = number(win32::ERROR_DIRECTORY);
pub(crate) const EISDIR: i32 = number(win32::ERROR_DIRECTORY_NOT_SUPPORTED);
pub(crate) const ELOOP: i32 = number(win32::ERROR_CANT_RESOLVE_FILENAME);
pub(crate) const ENOMEM: i32 = number(win32::ERROR_NOT_ENOUGH_MEMORY);
pub(crate) const EACCES: i32 = number(win32::ERROR_ACCESS_DENIED);
pub(crate) const EPERM: i32 = number(win32::ERROR_PRIVILEGE_NOT_HELD);
pub(crate) const ENOTEMPTY: i32 = number(win32::ERROR_DIR_NOT_EMPTY);
pub(crate) const ENXIO: i32 = number(win32::ERROR_NO_SUCH_DEVICE);
pub(crate) const EINVAL: i32 = number(win32::ERROR_INVALID_PARAMETER);
pub(crate) const EROFS: i32 = number(win32::ERROR_WRITE_PROTECT);
pub(crate) const ENOSYS: i32 = number(win32::ERROR_CALL_NOT_IMPLEMENTED);

/// Someone has a file open in a way that forbids what was asked.
pub(super) const SHARING_VIOLATION: i32 = number(win32::ERROR_SHARING_VIOLATION);
/// Someone has a range locked.
pub(super) const LOCK_VIOLATION: i32 = number(win32::ERROR_LOCK_VIOLATION);
/// The file system does not know this call.
pub(super) const UNKNOWN: [i32; 3] =
    [number(win32::ERROR_INVALID_FUNCTION), number(win32::ERROR_NOT_SUPPORTED), ENOSYS];

/// The one number for each thing that has a name.
const fn common(code: i32) -> i32 {
    match code.cast_unsigned() {
        win32::ERROR_PATH_NOT_FOUND | win32::ERROR_INVALID_DRIVE | win32::ERROR_BAD_PATHNAME => {
            ENOENT
        }
        win32::ERROR_ALREADY_EXISTS => EEXIST,
        win32::ERROR_HANDLE_DISK_FULL => ENOSPC,
        win32::ERROR_STOPPED_ON_SYMLINK => ELOOP,
        win32::ERROR_OUTOFMEMORY
        | win32::ERROR_NO_SYSTEM_RESOURCES
        | win32::ERROR_WORKING_SET_QUOTA
        | win32::ERROR_COMMITMENT_LIMIT => ENOMEM,
        _ => code,
    }
}

/// Names the system call in an error of the standard library.
pub(super) fn at(syscall: &'static str) -> impl Fn(io::Error) -> OsError {
    move |error| OsError::new(common(error.raw_os_error().unwrap_or(EIO)), syscall)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever Windows calls a full disk is `TIDEMARK_NO_SPACE`, whatever it calls a missing file
    /// is missing.
    #[test]
    fn each_number_of_a_thing_becomes_the_one_that_is_compared() {
        let told = |code: u32| at("call")(io::Error::from_raw_os_error(number(code)));
        assert!(told(win32::ERROR_DISK_FULL).is_no_space());
        assert!(told(win32::ERROR_HANDLE_DISK_FULL).is_no_space());
        assert!(told(win32::ERROR_DISK_QUOTA_EXCEEDED).is_no_space());
        assert!(told(win32::ERROR_FILE_NOT_FOUND).is_not_found());
        assert!(told(win32::ERROR_PATH_NOT_FOUND).is_not_found());
        assert_eq!(told(win32::ERROR_ALREADY_EXISTS).errno, OsError::EEXIST);
        let other = told(win32::ERROR_CRC);
        assert_eq!(other, OsError::new(number(win32::ERROR_CRC), "call"));
    }
}
