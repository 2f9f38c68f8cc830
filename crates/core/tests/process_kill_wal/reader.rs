//! A reader: a process that follows the log whatever becomes of its writers, and tells what it
//! sees. It begins again where it must, and never ends by itself.

use std::convert::Infallible;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::channel;

use tidemark_core::wal::{Visibility, Wal, WalOptions, WalRegistry};
use tidemark_core::{Error, ErrorKind, Result};

use super::kill_support::Journal;
use super::look::runs;
use super::plan::options;
use super::record::tag;
use super::support::real;
use super::writer::complaint;

/// The reader's name in the journal.
pub(crate) const READER: usize = 1;
/// Taken at once.
const CHUNK_BYTES: usize = 8192;
/// Writers that come and go while a reader opens the log, before somebody must be doing it on
/// purpose.
const ATTEMPTS_MAX: usize = 100;

/// Is a reader: of the log in the first argument, as the seed in the second one says.
pub(crate) fn start(args: &[String]) -> ExitCode {
    let round = args[1].parse().expect("a number");
    let options = WalOptions { read_only: true, ..options(round) };
    let journal = Journal::of_this_process(READER);
    let why = match catch_unwind(|| follow(Path::new(&args[0]), options, &journal)) {
        Ok(Err(error)) => complaint(&error),
        Err(_told_on_standard_error) => "it panicked".to_owned(),
    };
    journal.tell(&format!("err {READER} {why}"));
    ExitCode::FAILURE
}

fn open(log: &Path, options: WalOptions) -> Result<(Wal, WalRegistry)> {
    let mut left = ATTEMPTS_MAX;
    loop {
        let registry = WalRegistry::default();
        match Wal::open(&registry, &real(), log, options) {
            Ok(wal) => return Ok((wal, registry)),
            Err(error) if error.kind() == ErrorKind::Locked && left > 0 => left -= 1,
            Err(error) => return Err(error),
        }
    }
}

fn follow(log: &Path, options: WalOptions, journal: &Journal) -> Result<Infallible> {
    let (wal, _registry) = open(log, options)?;
    loop {
        // Where it begins may be purged before it has begun.
        let from = wal.first_lsn()?;
        journal.tell(&format!("again {READER} {from}"));
        let error = tell_all(&wal, from, journal)?;
        if ![ErrorKind::Conflict, ErrorKind::Expired].contains(&error.kind()) {
            return Err(error);
        }
        journal.tell(&format!("told {READER} {}", error.kind().code()));
    }
}

/// Tells what comes, until an error says that it goes on elsewhere.
fn tell_all(wal: &Wal, from: u64, journal: &Journal) -> Result<Error> {
    let follower = wal.follow(from, Visibility::Durable)?;
    let (tell, told) = channel();
    loop {
        let tell = tell.clone();
        follower.next(CHUNK_BYTES, true, move |given| {
            let _nobody_listens = tell.send(given);
        });
        let chunk = match told.recv().expect("an answer comes") {
            Ok(chunk) => chunk.expect("it waits until there is something"),
            Err(error) => return Ok(error),
        };
        let mut tags = Vec::new();
        for (lsn, bytes) in chunk.iter() {
            let Some(tag) = tag(bytes) else {
                journal.tell(&format!("bad {READER} {lsn}"));
                continue;
            };
            tags.push(tag);
        }
        for run in runs(chunk.first, tags) {
            journal.tell(&format!("saw {READER} {}", run.line()));
        }
    }
}
