//! A reader of this process follows writers in processes of their own, which are killed: no hole,
//! no repeat, no false conflict (R-1, R-4, F-1, C11).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tidemark_core::wal::{Visibility, WalOp};

use super::rig::{Machine, contents, given, put};
use super::support::Scratch;

/// Says to the test of this name below that it is the writer, and where.
const ROLE: &str = "TIDEMARK_TEST_WAL_WRITER";
const CHILD: &str = "processes::a_writer_appends_until_it_is_killed";

fn text(lsn: u64) -> Vec<u8> {
    format!("entry {lsn} ").into_bytes().repeat(usize::try_from(lsn % 90).unwrap() + 1)
}

/// Appends for ever, and prints each LSN once it is acknowledged. It ends with its killer.
#[test]
fn a_writer_appends_until_it_is_killed() {
    let Ok(log) = std::env::var(ROLE) else { return };
    let wal = Machine::new().open(Path::new(&log));
    loop {
        let lsn = wal.last_lsn(Visibility::Written).unwrap() + 1;
        assert_eq!(put(&wal, text(lsn)), lsn);
        println!("\nacknowledged {lsn}");
        if lsn.is_multiple_of(50) {
            wal.call(&WalOp::SetHardState(Some(lsn.to_le_bytes().as_slice().into()))).unwrap();
        }
    }
}

/// A writer in a process of its own. It is killed when this goes.
struct Writer {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Writer {
    fn start(log: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
            .env(ROLE, log)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for so many acknowledgements; the LSN of the last one.
    fn acknowledged(&mut self, count: usize) -> u64 {
        let mut last = 0;
        let mut left = count;
        while left > 0 {
            let line = self.lines.next().expect("the writer lives").unwrap();
            if let Some(lsn) = line.strip_prefix("acknowledged ") {
                last = lsn.parse().unwrap();
                left -= 1;
            }
        }
        last
    }

    /// Kills it, and tells the last LSN that it had acknowledged.
    fn kill(mut self) -> Option<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let lines = self.lines.by_ref().map_while(Result::ok);
        let told = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
        told.last()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _nobody_else_waits = self.child.wait();
    }
}

/// D16: a process that is just being started shares descriptors for a moment; that must not keep
/// the lock of a log that was closed.
#[test]
fn d16_a_closed_log_can_be_opened_at_once_while_processes_are_started() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    let machine = Machine::new();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                assert!(Command::new("true").status().unwrap().success());
            }
        });
        for _ in 0..40 {
            let opened = machine.try_open(&log, super::wal_support::small());
            match opened {
                Ok(wal) => wal.close_blocking(),
                Err(error) => {
                    over.store(true, std::sync::atomic::Ordering::SeqCst);
                    panic!("{error:?}");
                }
            }
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn r4_a_follower_outlives_writers_that_are_killed() {
    let scratch = Scratch::new();
    let log = scratch.path("log");
    Machine::new().open(&log).close_blocking();
    let reader = Machine::new().reader(&log);
    assert_eq!(reader.recovery().proven_last, Some(0), "nobody writes yet");
    let follower = reader.follow(1, Visibility::Durable).unwrap();
    let mut next = 1;
    let mut read_to = |last: u64| {
        while next <= last {
            let entries = given(&follower, true).unwrap().expect("it waits for more");
            assert_eq!(entries.first, next, "F-1");
            for (lsn, data) in entries.iter() {
                assert_eq!(data, text(lsn), "LSN {lsn}");
            }
            next += entries.records.len() as u64;
        }
    };
    let mut acknowledged = 0;
    for turn in 0..4 {
        let mut writer = Writer::start(&log);
        acknowledged = writer.acknowledged(120 + turn * 17);
        if turn % 2 == 0 {
            read_to(acknowledged);
        }
        acknowledged = writer.kill().unwrap_or(acknowledged);
    }
    // C11: nobody is in the way of the next one. It brings back what nothing proved.
    let wal = Machine::new().open(&log);
    let last = wal.last_lsn(Visibility::Durable).unwrap();
    assert!(last >= acknowledged, "{last} of {acknowledged}");
    read_to(last);
    assert_eq!(put(&wal, text(last + 1)), last + 1);
    read_to(last + 1);
    let found = contents(&wal).unwrap();
    assert_eq!(found.entries.len() as u64, last + 1);
    assert!(contents(&reader).unwrap() == found, "the reader's handle has all of it");
}
