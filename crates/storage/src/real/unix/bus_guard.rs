//! The guard that turns SIGBUS in one of our maps into a mark (`docs/adr/0005`).
//!
//! ```text
//! fault -> on_bus -> in the table? -- yes --> mark the region, put zeros in its place, go on
//!                        | no
//!                        +--> the handler that was there before, as the kernel would call it
//! ```
//!
//! - G1 What runs in the handler is safe in a signal handler: loads and stores of atomics, `mmap`,
//!   `sigaction`, `raise`. No lock, no memory from the heap, no thread-local storage.
//! - G2 A region is in the table only while it is mapped, so memory of others is never replaced. An
//!   entry is one word: it is never read half.
//! - G3 The mark is set before the memory is replaced. Who touched the region and then finds no
//!   mark, after a fence, has touched the file.
//! - G4 Whatever is not ours has the effect that it had without us.
//!
//! Not promised: a fault in a thread that blocks SIGBUS, and one after somebody else has put a
//! handler in front that does not go on to ours; the next map puts ours in front again.
#![expect(unsafe_code, reason = "signal handlers are raw")]

use std::ffi::{c_int, c_void};
use std::mem::{MaybeUninit, transmute};
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize};
use std::sync::{Mutex, PoisonError};

use libc::{
    SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTART, SA_SIGINFO, SIG_DFL, SIG_IGN, SIGBUS,
};
use libc::{sigaction, siginfo_t};
use rustix::mm::{self, MapFlags, ProtFlags};

use super::system::{LOST_PAGE, NO_FAULT};

/// How many regions can be mapped at once.
const REGION_COUNT_MAX: usize = 1024;
/// How often somebody may put a handler in front of ours.
const COPY_COUNT: usize = 8;
/// Regions begin and end at multiples of this: real pages are so large or a multiple (16 KiB and
/// 64 KiB on arm64).
const PAGE_SIZE: usize = 4096;
/// Bits of an entry that count pages; the others number the first one.
const COUNT_BITS: u32 = 24;

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// A place in the table.
#[derive(Debug)]
struct Slot {
    /// The number of the first page and the count of pages; 0 while the place is free.
    pages: AtomicU64,
    lost: AtomicBool,
}

static TABLE: [Slot; REGION_COUNT_MAX] =
    [const { Slot { pages: AtomicU64::new(0), lost: AtomicBool::new(false) } }; REGION_COUNT_MAX];

/// What a copy of the handler found when it was installed.
struct Found {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static FOUND: [Found; COPY_COUNT] =
    [const { Found { handler: AtomicUsize::new(SIG_DFL), flags: AtomicI32::new(0) } }; COPY_COUNT];

/// One function for each copy, so that each knows what it goes on to, and no chain is a circle.
const COPIES: [Handler; COPY_COUNT] = [
    on_bus::<0>,
    on_bus::<1>,
    on_bus::<2>,
    on_bus::<3>,
    on_bus::<4>,
    on_bus::<5>,
    on_bus::<6>,
    on_bus::<7>,
];

/// How many copies are installed. Also held while an entry is made.
static INSTALLED: Mutex<usize> = Mutex::new(0);

/// A region that the guard knows. Dropping it makes the guard forget the region: before it is
/// unmapped (G2).
#[derive(Debug)]
pub(super) struct Guarded(&'static Slot);

impl Guarded {
    /// Whether the region has lost a page. Comes after a fence that orders it behind the access.
    pub(super) fn is_lost(&self) -> bool {
        self.0.lost.load(Acquire)
    }

    /// Marks the region, for a fault that a system call answered instead of raising it.
    pub(super) fn mark_lost(&self) {
        self.0.lost.store(true, SeqCst);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.pages.store(0, Release);
    }
}

/// Lets the guard know a region that is mapped already and not yet touched. Nothing if the table
/// or the chain of handlers is full.
pub(super) fn guard(start: usize, size: usize) -> Option<Guarded> {
    let pages = pack(start, size)?;
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !install(&mut installed) {
        return None;
    }
    // With who left the place: its last look at the mark comes before the mark is taken back.
    let slot = TABLE.iter().find(|slot| slot.pages.load(Acquire) == 0)?;
    slot.lost.store(false, Relaxed);
    slot.pages.store(pages, Release);
    Some(Guarded(slot))
}

/// A region as an entry; nothing if it does not fit in one.
fn pack(start: usize, size: usize) -> Option<u64> {
    let (first, count) = ((start / PAGE_SIZE) as u64, (size / PAGE_SIZE) as u64);
    let fits = first >> (u64::BITS - COUNT_BITS) == 0 && count >> COUNT_BITS == 0;
    fits.then_some((first << COUNT_BITS) | count)
}

/// The start and the size of an entry's region.
const fn unpack(pages: u64) -> (usize, usize) {
    let (first, count) =
        ((pages >> COUNT_BITS) as usize, (pages & ((1 << COUNT_BITS) - 1)) as usize);
    (first * PAGE_SIZE, count * PAGE_SIZE)
}

/// Puts our handler in front if it is not there. False if that was done too often.
fn install(installed: &mut usize) -> bool {
    let Some(found) = exchange(None) else { return false };
    if COPIES.iter().any(|copy| *copy as usize == found.sa_sigaction) {
        return true;
    }
    let (Some(place), Some(copy)) = (FOUND.get(*installed), COPIES.get(*installed)) else {
        return false;
    };
    // What a copy goes on to must be known before it can be called.
    place.remember(&found);
    let Some(replaced) = exchange(Some(&ours(*copy, &found))) else { return false };
    place.remember(&replaced);
    *installed += 1;
    true
}

/// Our handler, called with the same signals blocked, and interrupting the same calls, as the one
/// that it stands in front of.
fn ours(copy: Handler, found: &sigaction) -> sigaction {
    let mut ours = *found;
    ours.sa_sigaction = copy as usize;
    let kept = match found.sa_sigaction {
        SIG_DFL | SIG_IGN => SA_RESTART,
        _ => found.sa_flags & (SA_RESTART | SA_NODEFER),
    };
    ours.sa_flags = kept | SA_SIGINFO | SA_ONSTACK;
    ours
}

/// Asks for what is done about SIGBUS, and changes it if told to.
fn exchange(to: Option<&sigaction>) -> Option<sigaction> {
    let mut before = MaybeUninit::uninit();
    let to = to.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `to` is null or a whole action, `before` has room for one.
    let answer = unsafe { sigaction(SIGBUS, to, before.as_mut_ptr()) };
    // SAFETY: a call that succeeded has filled it.
    (answer == 0).then(|| unsafe { before.assume_init() })
}

/// The handler. Everything below runs in it (G1).
extern "C" fn on_bus<const COPY: usize>(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel, or who goes on to us, hands over a description that is whole.
    let about = unsafe { &*info };
    let code = about.si_code;
    if LOST_PAGE.contains(&code) {
        // SAFETY: the description of these faults has an address.
        let address = unsafe { about.si_addr() };
        if rescue(address.addr()) {
            return;
        }
    }
    // Above 0 is the kernel; an error of memory that nobody has touched yet is no fault.
    let is_fault = code > 0 && Some(code) != NO_FAULT;
    if let Some(found) = FOUND.get(COPY) {
        found.go_on(is_fault, signal, info, context);
    }
}

/// Marks and replaces the region that holds the address; false if none does.
fn rescue(address: usize) -> bool {
    for slot in &TABLE {
        let (start, size) = unpack(slot.pages.load(Acquire));
        if address.wrapping_sub(start) < size {
            slot.lost.store(true, SeqCst);
            let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
            let access = ProtFlags::READ | ProtFlags::WRITE;
            let start = ptr::with_exposed_provenance_mut(start);
            // SAFETY: the region is ours (G2) and borrowed by the access that faulted, so nobody
            // unmaps it meanwhile; its words are atomics, which may change at any time.
            let replaced = unsafe { mm::mmap_anonymous(start, size, access, flags) };
            return replaced.is_ok();
        }
    }
    false
}

impl Found {
    fn remember(&self, found: &sigaction) {
        self.flags.store(found.sa_flags, Relaxed);
        self.handler.store(found.sa_sigaction, Release);
    }

    /// Does what would have been done without us (G4).
    fn go_on(&self, is_fault: bool, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        let mut handler = self.handler.load(Acquire);
        let flags = self.flags.load(Relaxed);
        if flags & SA_RESETHAND != 0 && !matches!(handler, SIG_DFL | SIG_IGN) {
            // Once, whoever else comes here at the same time.
            handler = self.handler.swap(SIG_DFL, SeqCst);
        }
        match handler {
            SIG_IGN if !is_fault => {}
            // The kernel does not let a fault be ignored.
            SIG_DFL | SIG_IGN => die(is_fault),
            _ if flags & SA_SIGINFO != 0 => {
                // SAFETY: who installed it said that it takes three arguments.
                let handler = unsafe { transmute::<usize, Handler>(handler) };
                handler(signal, info, context);
            }
            _ => {
                // SAFETY: who installed it said that it takes one argument.
                let handler = unsafe { transmute::<usize, extern "C" fn(c_int)>(handler) };
                handler(signal);
            }
        }
    }
}

/// Takes the default action: at once for a signal that was sent, by the same access again for a
/// fault, so that what is left of the process shows where it was.
fn die(is_fault: bool) {
    // SAFETY: all zeros is a whole action, and the default one.
    let default = unsafe { MaybeUninit::<sigaction>::zeroed().assume_init() };
    exchange(Some(&default));
    if !is_fault {
        // SAFETY: takes a number, and is allowed in a handler.
        unsafe { libc::raise(SIGBUS) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G2, whatever a page is: an entry stands for the very bytes that are mapped.
    #[test]
    fn an_entry_is_its_region_with_pages_of_every_size() {
        for page_size in [4 << 10, 16 << 10, 64 << 10] {
            // From the lowest to the highest page of 48 bits of addresses, and of 52.
            for start in [page_size, 0x7FFF_0000_0000, (1 << 48) - page_size, (1 << 52) - page_size]
            {
                for count in [1, 3, 1024] {
                    let region = (start, count * page_size);
                    let entry = pack(region.0, region.1).expect("it fits");
                    assert_eq!(unpack(entry), region, "{page_size}");
                }
            }
        }
    }

    /// What does not fit is not mapped, rather than guarded in part.
    #[test]
    fn a_region_that_does_not_fit_in_an_entry_is_refused() {
        const LARGEST: usize = ((1 << COUNT_BITS) - 1) * PAGE_SIZE;
        assert!(pack(PAGE_SIZE, LARGEST).is_some());
        assert_eq!(pack(PAGE_SIZE, LARGEST + PAGE_SIZE), None);
        assert_eq!(pack(1 << 52, PAGE_SIZE), None);
    }
}
