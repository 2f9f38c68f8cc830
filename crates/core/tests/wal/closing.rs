//! What closing a log waits for, and when it says that it is done.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use tidemark_core::ErrorKind;
use tidemark_core::wal::{Visibility, WalOp, WalOptions};
use tidemark_storage::Site;

use super::rig::{Machine, metric, put, texts};
use super::support::{HANG, Hooked, Scratch, eventually};
use super::wal_support::{record, small};

/// Holds the thread that comes to a place until the test lets it go on, or has failed.
struct Gate {
    is_shut: AtomicBool,
    came: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl Gate {
    /// A gate that is open, what tells that somebody came, and what lets them go on.
    fn new() -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let ((came, arrival), (let_go, go_on)) = (channel(), channel());
        let is_shut = AtomicBool::new(false);
        let gate = Self { is_shut, came: Mutex::new(came), go_on: Mutex::new(go_on) };
        (Arc::new(gate), arrival, let_go)
    }

    /// Holds whoever comes next, once.
    fn shut(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    fn pass(&self) {
        if self.is_shut.swap(false, Ordering::SeqCst) {
            let _nobody_listens = self.came.lock().unwrap().send(());
            let _let_go = self.go_on.lock().unwrap().recv();
        }
    }
}

/// The names of the files in a log's directory that end so.
fn ending(log: &Path, end: &str) -> usize {
    let names = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(end)).count()
}

/// Whoever closes does not wait for the zeros of a segment that nobody needs any more.
#[test]
fn closing_gives_up_the_segment_that_is_half_made_and_leaves_nothing_of_it() {
    const MIB: usize = 1 << 20;
    let options = WalOptions { segment_bytes: 16 << 20, ..WalOptions::default() };
    let (scratch, (gate, arrival, let_go)) = (Scratch::new(), Gate::new());
    let log = scratch.path("log");
    let (filled, synced) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let is_closing = Arc::new(AtomicBool::new(false));
    let hook = {
        let (gate, filled, synced) = (Arc::clone(&gate), Arc::clone(&filled), Arc::clone(&synced));
        let (is_closing, let_go) = (Arc::clone(&is_closing), Mutex::new(let_go));
        move |site| {
            match site {
                Site::PrepareFill => {
                    filled.fetch_add(1, Ordering::SeqCst);
                    gate.pass();
                }
                Site::PrepareSync => {
                    synced.fetch_add(1, Ordering::SeqCst);
                }
                // The mark of the close: by then nothing more is to be prepared.
                Site::SegmentWrite if is_closing.swap(false, Ordering::SeqCst) => {
                    let _nobody_is_held = let_go.lock().unwrap().send(());
                }
                _ => {}
            }
            None
        }
    };
    let machine = Machine::on(Hooked::storage(hook));
    let wal = machine.try_open(&log, options).unwrap();
    let before = (filled.load(Ordering::SeqCst), synced.load(Ordering::SeqCst));
    gate.shut();
    for number in 1..=9 {
        put(&wal, record(number, MIB));
    }
    arrival.recv_timeout(HANG).expect("the next segment is begun");
    assert_eq!(ending(&log, ".tmp"), 1);
    let prepared = metric(&wal, "prepares");
    is_closing.store(true, Ordering::SeqCst);
    wal.close_blocking();
    let after = (filled.load(Ordering::SeqCst), synced.load(Ordering::SeqCst));
    assert_eq!(after.0 - before.0, 1, "the piece that was being filled, and no other");
    assert_eq!(after.1 - before.1, 0, "what is thrown away is not synced");
    assert_eq!((ending(&log, ".tmp"), ending(&log, ".segment")), (0, 1), "nothing is left of it");
    assert_eq!(metric(&wal, "prepares"), prepared, "only what was made counts");
    let again = machine.try_open(&log, options).unwrap();
    assert!(again.recovery().was_closed);
    assert_eq!(again.last_lsn(Visibility::Durable).unwrap(), 9);
    for number in 10..=20 {
        put(&again, record(number, MIB));
    }
    assert_eq!(metric(&again, "rolls"), 1, "it goes on as ever");
}

/// A sync cannot be given up: that of a large segment is done by pieces.
#[test]
fn a_large_segment_is_synced_by_pieces_while_it_is_made() {
    let synced = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&synced);
    let storage = Hooked::storage(move |site| {
        counted.fetch_add(usize::from(site == Site::PrepareSync), Ordering::SeqCst);
        None
    });
    let scratch = Scratch::new();
    let options = WalOptions { segment_bytes: 40 << 20, ..WalOptions::default() };
    let wal = Machine::on(storage).try_open(&scratch.path("log"), options).unwrap();
    assert_eq!(synced.load(Ordering::SeqCst), 3, "16 MiB, 16 MiB, and the rest with the header");
    put(&wal, "it is a segment like any other");
}

/// GC-8: after a panic in a blocking call, the lock is free when the close says that it is done,
/// for other processes too. E-3: nothing was written after it.
#[test]
fn closing_after_a_panic_in_a_blocking_call_leaves_the_log_unlocked() {
    for site in [Site::SegmentWrite, Site::SegmentSync] {
        let scratch = Scratch::new();
        let log = scratch.path("log");
        let panics = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&panics);
        let storage = Hooked::storage(move |now| {
            let planted = now == site && asked.swap(false, Ordering::SeqCst);
            assert!(!planted, "planted");
            None
        });
        let machine = Machine::on(storage);
        let wal = machine.open(&log);
        put(&wal, "acknowledged");
        panics.store(true, Ordering::SeqCst);
        let error = wal.call(&WalOp::append("in doubt")).unwrap_err();
        assert_eq!((error.kind(), error.is_indeterminate()), (ErrorKind::Internal, true));
        let later = wal.call(&WalOp::append("refused")).unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Poisoned);
        assert_eq!(texts(&wal), ["acknowledged"], "what is durable is read");
        wal.close_blocking();
        let other = Machine::new();
        let next = other.try_open(&log, small()).expect("nobody has it locked any more");
        let found = texts(&next);
        assert_eq!(found.first().map(String::as_str), Some("acknowledged"));
        assert!(found.len() <= 2, "{site:?}: {found:?}");
        next.close_blocking();
        eventually("this process opens it, too", || machine.try_open(&log, small()).is_ok());
    }
}
