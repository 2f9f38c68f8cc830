//! An addon with one fault, planted: it reads memory that it has freed, if it is asked to. Built
//! and loaded as the addon under AddressSanitizer is, it shows that a report would come.

use std::ffi::c_void;

/// What Node calls when it has loaded an addon. The handles are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn napi_register_module_v1(_env: *mut c_void, exports: *mut c_void) -> *mut c_void {
    let asked = std::env::var_os("TIDEMARK_PLANTED").is_some();
    let freed = Box::into_raw(Box::new(1_u64));
    // SAFETY: it came from a box, and nobody else has it.
    drop(unsafe { Box::from_raw(freed) });
    if asked {
        // SAFETY: none. This is the fault.
        let read = unsafe { freed.read_volatile() };
        eprintln!("read {read} from freed memory, and nobody minded");
    }
    exports
}
