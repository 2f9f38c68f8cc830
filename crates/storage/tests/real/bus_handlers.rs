//! What is not ours goes to whom it went before us (G4). Each test runs in a process of its own,
//! because a handler is everybody's.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use libc::{SA_NODEFER, SA_RESETHAND, SA_SIGINFO, SIG_DFL, SIG_IGN, SIGBUS, siginfo_t};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use tidemark_storage::{Map, OsError};

use super::support::{HERE, PAGE, Scratch, alone, fate_alone};

/// How often each handler below was called.
static ONE_ARGUMENT: AtomicUsize = AtomicUsize::new(0);
static THREE_ARGUMENTS: AtomicUsize = AtomicUsize::new(0);
/// The page of [`fault`], which the handlers repair.
static PAGE_AT: AtomicUsize = AtomicUsize::new(0);
/// Whom [`chains`] goes on to.
static BEFORE: AtomicUsize = AtomicUsize::new(SIG_DFL);
/// Whether SIGUSR1 was blocked in the handler.
static BLOCKED: AtomicUsize = AtomicUsize::new(0);

fn repair() {
    let page = ptr::with_exposed_provenance_mut(PAGE_AT.load(SeqCst));
    let flags = MapFlags::PRIVATE | MapFlags::FIXED;
    // SAFETY: the page is that of `fault`, which nobody has a reference to.
    let repaired = unsafe { mmap_anonymous(page, PAGE, ProtFlags::READ, flags) };
    assert!(repaired.is_ok());
}

extern "C" fn one_argument(signal: c_int) {
    assert_eq!(signal, SIGBUS);
    ONE_ARGUMENT.fetch_add(1, SeqCst);
    let mut mask = MaybeUninit::uninit();
    // SAFETY: asks only, and there is room for the answer.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr()) };
    // SAFETY: a call that succeeds has filled it.
    if unsafe { libc::sigismember(mask.as_ptr(), libc::SIGUSR1) } == 1 {
        BLOCKED.fetch_add(1, SeqCst);
    }
    repair();
}

extern "C" fn three_arguments(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    assert!(signal == SIGBUS && !context.is_null());
    THREE_ARGUMENTS.fetch_add(1, SeqCst);
    // SAFETY: the description is the kernel's.
    let info = unsafe { &*info };
    // SAFETY: it is of a fault.
    let address = unsafe { info.si_addr() };
    assert_eq!(address.addr(), PAGE_AT.load(SeqCst));
    repair();
}

extern "C" fn chains(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    THREE_ARGUMENTS.fetch_add(1, SeqCst);
    // SAFETY: what it found when it was installed takes three arguments.
    let before: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
        unsafe { std::mem::transmute(BEFORE.load(SeqCst)) };
    before(signal, info, context);
}

/// Installs a handler; answers what was there.
fn set(handler: usize, flags: c_int) -> usize {
    // SAFETY: all zeros is a whole action.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: a set of signals to be changed.
    unsafe { libc::sigaddset(&raw mut action.sa_mask, libc::SIGUSR1) };
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: one whole action, and room for another.
    assert_eq!(unsafe { libc::sigaction(SIGBUS, &raw const action, before.as_mut_ptr()) }, 0);
    // SAFETY: the call succeeded.
    unsafe { before.assume_init() }.sa_sigaction
}

/// Reads a page of a mapping that is not ours, behind the end of its file.
fn fault(scratch: &Scratch) {
    let file = std::fs::File::from(
        rustix::fs::open(
            scratch.path("foreign"),
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CREATE,
            rustix::fs::Mode::RWXU,
        )
        .unwrap(),
    );
    file.set_len(1).unwrap();
    // SAFETY: no address is asked for.
    let page = unsafe { mmap(ptr::null_mut(), PAGE, ProtFlags::READ, MapFlags::SHARED, &file, 0) };
    let page = page.unwrap();
    PAGE_AT.store(page.expose_provenance(), SeqCst);
    file.set_len(0).unwrap();
    // SAFETY: it is mapped; the fault is what is wanted.
    assert_eq!(unsafe { page.cast::<u8>().read_volatile() }, 0, "repaired by the handler");
}

fn send() {
    // SAFETY: takes a number.
    unsafe { libc::raise(SIGBUS) };
}

/// A map of ours, made now, with what is needed to cut it.
struct Own(Box<dyn tidemark_storage::File>, Box<dyn Map>);

impl Own {
    fn new(scratch: &Scratch, name: &str) -> Self {
        let file = scratch.file(name, &vec![0; PAGE]);
        let map = file.map(HERE, PAGE).unwrap();
        Self(file, map)
    }

    /// Cuts its file: the answer is an error.
    fn assert_guarded(self) {
        self.0.set_len(HERE, 0).unwrap();
        assert_eq!(self.1.load(HERE, 0).unwrap_err().errno, OsError::EIO);
    }
}

/// A handler with three arguments gets faults of others, and none of ours.
#[test]
fn a_handler_that_takes_a_description_gets_what_is_not_ours() {
    let name = "bus_handlers::a_handler_that_takes_a_description_gets_what_is_not_ours";
    alone(name, |scratch| {
        set(three_arguments as *const () as usize, SA_SIGINFO);
        let own = Own::new(scratch, "own");
        for count in 1..=3 {
            fault(scratch);
            assert_eq!(THREE_ARGUMENTS.load(SeqCst), count);
        }
        own.assert_guarded();
        fault(scratch);
        assert_eq!(THREE_ARGUMENTS.load(SeqCst), 4, "it is not called for ours");
    });
}

/// A handler with one argument too, with the signals blocked that it asked for.
#[test]
fn a_plain_handler_gets_what_is_not_ours() {
    alone("bus_handlers::a_plain_handler_gets_what_is_not_ours", |scratch| {
        set(one_argument as *const () as usize, SA_NODEFER);
        let own = Own::new(scratch, "own");
        fault(scratch);
        fault(scratch);
        assert_eq!((ONE_ARGUMENT.load(SeqCst), BLOCKED.load(SeqCst)), (2, 2));
        own.assert_guarded();
        send();
        assert_eq!(ONE_ARGUMENT.load(SeqCst), 3, "a signal that was sent is not ours either");
    });
}

/// `SA_RESETHAND`: once, and then the default action.
#[test]
fn a_handler_for_one_time_is_called_once() {
    let name = "bus_handlers::a_handler_for_one_time_is_called_once";
    let fate = fate_alone(name, |scratch| {
        set(one_argument as *const () as usize, SA_RESETHAND);
        Own::new(scratch, "own").assert_guarded();
        fault(scratch);
        assert_eq!(ONE_ARGUMENT.load(SeqCst), 1);
        println!("once");
        fault(scratch);
    });
    if let Some((signal, output)) = fate {
        assert_eq!(signal, Some(SIGBUS), "{output}");
        assert!(output.contains("once"), "{output}");
    }
}

/// The default action kills as it did before, for a fault and for a signal that was sent.
#[test]
fn the_default_action_kills() {
    let name = "bus_handlers::the_default_action_kills";
    for (way, act) in [("fault", fault as fn(&Scratch)), ("send", |_| send())] {
        let fate = fate_alone(&format!("{name} {way}"), |scratch| {
            set(SIG_DFL, 0);
            Own::new(scratch, "own").assert_guarded();
            println!("alive until then");
            act(scratch);
        });
        if let Some((signal, output)) = fate {
            assert_eq!(signal, Some(SIGBUS), "{way}: {output}");
            assert!(output.contains("alive until then"), "{way}: {output}");
        }
    }
}

/// A process that ignores SIGBUS goes on ignoring what is sent; a fault kills it, as the kernel
/// would have.
#[test]
fn ignoring_holds_for_what_was_sent_and_not_for_faults() {
    let name = "bus_handlers::ignoring_holds_for_what_was_sent_and_not_for_faults";
    let fate = fate_alone(name, |scratch| {
        set(SIG_IGN, 0);
        let own = Own::new(scratch, "own");
        send();
        own.assert_guarded();
        println!("ignored");
        fault(scratch);
    });
    if let Some((signal, output)) = fate {
        assert_eq!(signal, Some(SIGBUS), "{output}");
        assert!(output.contains("ignored"), "{output}");
    }
}

/// A handler that is installed after ours and goes on to it makes no circle with the next map.
#[test]
fn a_later_handler_that_chains_makes_no_circle() {
    alone("bus_handlers::a_later_handler_that_chains_makes_no_circle", |scratch| {
        set(one_argument as *const () as usize, 0);
        let early = Own::new(scratch, "early");
        BEFORE.store(set(chains as *const () as usize, SA_SIGINFO), SeqCst);
        Own::new(scratch, "before the next map").assert_guarded();
        early.assert_guarded();
        assert_eq!(THREE_ARGUMENTS.load(SeqCst), 0, "ours is in front again");
        fault(scratch);
        assert_eq!((THREE_ARGUMENTS.load(SeqCst), ONE_ARGUMENT.load(SeqCst)), (1, 1));
    });
}

/// A handler that is installed after ours and does not go on to it: the next map puts ours back
/// in front, as often as there are copies; then nothing is mapped any more.
#[test]
fn a_later_handler_is_overtaken_by_the_next_map() {
    alone("bus_handlers::a_later_handler_is_overtaken_by_the_next_map", |scratch| {
        for count in 0..8 {
            set(SIG_DFL, 0);
            Own::new(scratch, &format!("{count}")).assert_guarded();
            Own::new(scratch, &format!("{count} again")).assert_guarded();
        }
        set(SIG_DFL, 0);
        let file = scratch.file("too many", &vec![0; PAGE]);
        let refused = file.map(HERE, PAGE).unwrap_err();
        assert_eq!(refused, OsError::new(OsError::ENOMEM, "mmap"));
    });
}

/// A child of `fork` has the maps, the table and the handler.
#[test]
fn a_forked_child_is_guarded_and_its_parent_unharmed() {
    alone("bus_handlers::a_forked_child_is_guarded_and_its_parent_unharmed", |scratch| {
        let Own(file, map) = Own::new(scratch, "own");
        file.set_len(HERE, 0).unwrap();
        // SAFETY: the child touches the map and ends, nothing else.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let lost = map.load(HERE, 0).is_err_and(|error| error.errno == OsError::EIO);
            // SAFETY: ends the child.
            unsafe { libc::_exit(if lost { 42 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: the child is ours, and there is room for its status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(libc::WEXITSTATUS(status), 42, "{status:#x}");
        file.set_len(HERE, PAGE as u64).unwrap();
        assert_eq!(map.load(HERE, 0).unwrap(), 0, "the parent has not touched the lost page");
    });
}

/// A thread with an alternative stack of its own is rescued on it.
#[test]
fn the_alternative_stack_is_used_where_there_is_one() {
    alone("bus_handlers::the_alternative_stack_is_used_where_there_is_one", |scratch| {
        // Threads of Rust programs have one: the handler that the runtime installs needs it.
        let mut stack = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: asks only, and there is room for the answer.
        assert_eq!(unsafe { libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) }, 0);
        // SAFETY: the call succeeded.
        let stack = unsafe { stack.assume_init() };
        assert_eq!(stack.ss_flags & libc::SS_DISABLE, 0);
        Own::new(scratch, "own").assert_guarded();
    });
}
