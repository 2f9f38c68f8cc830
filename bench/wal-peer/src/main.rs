//! What the bench of the write-ahead log measures from Rust, one subject to a process.
//!
//! - `floor FILE` overwrites blocks of a file that was written and synced before, one write of
//!   4 KiB and one `fdatasync` to a round: what a durable append costs at the least.
//! - `grow FILE` does the same at the end of a file that grows: what it costs without care.
//! - `hop` hands over from one thread to another and back.
//! - `handed FILE` is the floor, done by another thread.
//! - `hiqlite DIRECTORY` appends to a log of the crate `hiqlite-wal`.
//! - `tidemark DIRECTORY IO` appends to a log of ours; IO is `pwrite` or `mmap`.
//! - `tidemark-open DIRECTORY` opens such a log, and closes it again.
//! - `hiqlite-open DIRECTORY` opens such a log, and closes it again.
//!
//! `tidemark-fill` and `hiqlite-fill DIRECTORY BYTES` make one and end: whoever opens it has its
//! memory for itself. Each of the others is made ready, then works off what it reads from stdin,
//! one job a line (`JOB` in `jobs.rs`), and answers each with one JSON object on a line. So the
//! bench can let the subjects take turns and read the counters of the device between two jobs,
//! and a person can type.

mod floor;
mod hiqlite;
mod hop;
mod jobs;
mod raft;
mod tidemark;

use std::error::Error;
use std::process::ExitCode;

/// What goes wrong here ends the program, and is printed.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The bytes of a record in every job.
const RECORD_BYTES: usize = 256;
/// The size of a segment, ours by default and thus everybody's.
const SEGMENT_BYTES: u32 = 16 << 20;

const USAGE: &str = "usage: wal-peer floor FILE | grow FILE | hop | handed FILE | hiqlite DIR | \
     hiqlite-raft DIR | hiqlite-open DIR | hiqlite-fill DIR BYTES | tidemark DIR IO | \
     tidemark-open DIR | tidemark-fill DIR BYTES";

fn run(args: &[&str]) -> Result<()> {
    match *args {
        ["floor", file] => jobs::work_off("floor", floor::Floor::written(file)?),
        ["grow", file] => jobs::work_off("grow", floor::Floor::growing(file)?),
        ["hop"] => jobs::work_off("hop", hop::HandOver::bare()),
        ["handed", file] => {
            jobs::work_off("handed", hop::HandOver::around(floor::Floor::written(file)?))
        }
        ["hiqlite", directory] => jobs::work_off("hiqlite", hiqlite::Log::create(directory)?),
        ["hiqlite-raft", directory] => {
            jobs::work_off("hiqlite-raft", raft::Log::create(directory)?)
        }
        ["hiqlite-open", directory] => {
            jobs::work_off("hiqlite-open", hiqlite::Closed::at(directory)?)
        }
        ["tidemark", directory, io] => {
            jobs::work_off("tidemark", tidemark::Log::create(directory, io)?)
        }
        ["tidemark-open", directory] => {
            jobs::work_off("tidemark-open", tidemark::Closed::at(directory))
        }
        ["tidemark-fill", directory, bytes] => tidemark::fill(directory, bytes.parse()?),
        ["hiqlite-fill", directory, bytes] => hiqlite::fill(directory, bytes.parse()?),
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let Err(error) = run(&args) {
        eprintln!("wal-peer: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
