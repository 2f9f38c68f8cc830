//! A round: a directory of its own, a log, one writer after another and one reader at a time. The
//! observer journals what they tell, kills them as planned, starts the next one, and looks at the
//! log meanwhile.

#![allow(clippy::disallowed_methods, reason = "the observer looks at the disk from outside")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tidemark_core::wal::{Bug, SyncLevel, WalOptions};

use super::history::{Conviction, Heard, History, Kind, Violation};
use super::kill_support::{Journal, Phased, Random, SIGKILL};
use super::look::look;
use super::phase::{Aim, Phase};
use super::plan::{Deck, End, ends, options};
use super::reader::READER;
use super::support::Scratch;
use super::tally::Tally;
use super::writer::{Orders, WRITER};

/// Only a hang takes so long.
const HANG: Duration = Duration::from_secs(180);
/// Lines after which a writer that has not come to where it is aimed at is killed anyway. Each
/// phase comes again with every few segments: this is dozens of them.
const LINES_MAX: u64 = 4000;
/// The same where it would have come while it opened the log.
const LINES_AFTER_RECOVERY_MAX: u64 = 30;
/// Aims of a round that are tried again when they were missed: another death came before.
const RETRIES_MAX: usize = 4;
/// Writers that a reader outlives before it is killed as well.
const WRITERS_PER_READER: usize = 9;

pub(crate) struct Round {
    scratch: Scratch,
    seed: u64,
    options: WalOptions,
    history: History,
    tally: Tally,
    random: Random,
    ends: VecDeque<End>,
    end: Option<End>,
    lines_of_life: u64,
    writers: usize,
    writer: Option<Child>,
    reader: Option<Child>,
    was_opened: bool,
    bug: Option<Bug>,
    marks: Journal,
    pipe: std::io::PipeWriter,
    lines: Receiver<String>,
}

/// Runs a round; what it counted, or what is wrong.
pub(crate) fn round(seed: u64, deck: &mut Deck, bug: Option<Bug>) -> Result<Tally, Conviction> {
    let mut round = Round::new(seed, deck, bug);
    if let Err(Violation { kind, what }) = round.run() {
        let what = format!("SEED={seed}: {what}\n{}", round.history.tail());
        return Err(Conviction { violation: Violation::new(kind, what), kept: round.keep() });
    }
    Ok(round.tally.clone())
}

impl Round {
    fn new(seed: u64, deck: &mut Deck, bug: Option<Bug>) -> Self {
        let (reader, pipe) = std::io::pipe().expect("there is a pipe");
        let (hear, lines) = channel();
        // Always reads: nobody waits for room in the pipe.
        std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines();
            lines.map_while(Result::ok).try_for_each(|line| hear.send(line))
        });
        let marks = Journal::of_the_observer(pipe.try_clone().expect("it can be shared"));
        let mut random = Random::new(seed);
        let ends = ends(&mut random, deck);
        Self {
            scratch: Scratch::new(),
            seed,
            options: options(seed),
            history: History::default(),
            tally: Tally::of_one_round(),
            random,
            ends,
            end: None,
            lines_of_life: 0,
            writers: 0,
            writer: None,
            reader: None,
            was_opened: false,
            bug,
            marks,
            pipe,
            lines,
        }
    }

    fn log(&self) -> PathBuf {
        self.scratch.path("log")
    }

    /// Lets one writer after the other live and die; the last one closes the log.
    fn run(&mut self) -> Result<(), Violation> {
        self.ends.push_back(End::Closes { ops: 5 });
        while let Some(end) = self.ends.pop_front() {
            self.start_writer(end);
            while self.writer.is_some() {
                self.step()?;
            }
            if self.writers.is_multiple_of(WRITERS_PER_READER) {
                self.kill_reader()?;
            }
        }
        self.kill_reader()
    }

    /// Takes the next line and acts on it.
    fn step(&mut self) -> Result<(), Violation> {
        match self.hear()? {
            Heard::Stopped(phase) => {
                let stopped = Phase::from_name(&phase).expect("a phase");
                if stopped.stops_commits() && self.history.is_open() {
                    let found = look(&self.log(), self.options)?;
                    self.tally.looks_at_writers += 1;
                    let has_delay = matches!(self.options.sync, SyncLevel::Interval(_));
                    self.history.looked_at_a_writer(&found, has_delay)?;
                }
                // Other threads have gone on and left a note of their own: this one stands there.
                self.kill_writer(Some(stopped))
            }
            Heard::Opened { was_closed, copied, cut } => {
                self.was_opened = true;
                self.tally.found_closed += usize::from(was_closed);
                self.tally.copied += usize::from(copied > 0);
                self.tally.quarantined += usize::from(cut > 0);
                if self.reader.is_none() {
                    self.start_reader();
                }
                Ok(())
            }
            Heard::Closed => {
                self.tally.closed += 1;
                self.end_of_a_writer()
            }
            Heard::Working => self.worked(),
            Heard::Saw { entries, must_begin_again } => {
                self.tally.read += entries;
                self.tally.begun_again += usize::from(must_begin_again);
                Ok(())
            }
            Heard::Dead(_) | Heard::Nothing => Ok(()),
        }
    }

    /// Keeps account of a line of the writer, and kills it if its time has come.
    fn worked(&mut self) -> Result<(), Violation> {
        self.lines_of_life += 1;
        let (lines, spins) = match self.end {
            Some(End::Random { lines, spins }) => (lines, spins),
            Some(End::Aimed(aim)) if aim.phase.is_of_a_recovery() => (LINES_AFTER_RECOVERY_MAX, 0),
            Some(End::Aimed(_)) => (LINES_MAX, 0),
            Some(End::Closes { .. }) | None => (u64::MAX, 0),
        };
        if self.lines_of_life < lines || self.writer.is_none() {
            return Ok(());
        }
        if let Some(End::Aimed(aim)) = self.end {
            self.tally.missed += 1;
            if self.tally.missed <= RETRIES_MAX && aim.phase != Phase::Quarantine {
                self.ends.push_front(End::Aimed(Aim { passing: 1, ..aim }));
            }
        }
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        self.kill_writer(None)
    }

    fn note(&self) -> PathBuf {
        self.scratch.path("note")
    }

    fn start_writer(&mut self, end: End) {
        // Who dies before it notes anything has not begun.
        std::fs::write(self.note(), [Phase::Idle.byte()]).expect("it can be written");
        (self.end, self.lines_of_life) = (Some(end), 0);
        self.writers += 1;
        let orders = Orders {
            log: self.log(),
            note: self.note(),
            round: self.seed,
            seed: self.random.next(),
            op: self.history.last_op() + 1,
            closes_after: if let End::Closes { ops } = end { ops } else { 0 },
            aim: if let End::Aimed(aim) = end { Some(aim) } else { None::<Aim> },
            bug: self.bug,
        };
        self.writer = Some(self.start("--writer", &orders.to_args()));
    }

    fn start_reader(&mut self) {
        let log = self.log().to_str().expect("UTF-8").to_owned();
        self.reader = Some(self.start("--reader", &[log, self.seed.to_string()]));
    }

    fn start(&self, role: &str, args: &[String]) -> Child {
        let started = Command::new(std::env::current_exe().expect("this is a program"))
            .arg(role)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(self.pipe.try_clone().expect("it can be shared"))
            .spawn();
        started.expect("it starts")
    }

    /// Kills the writer, which may have stopped where it was aimed at, hears what it told before,
    /// and looks at what it leaves.
    fn kill_writer(&mut self, stopped: Option<Phase>) -> Result<(), Violation> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        self.kill(writer, WRITER)?;
        let phase = stopped.unwrap_or_else(|| Phase::noted(&self.note()));
        self.tally.kill(phase, stopped.is_some());
        self.look_at_the_dead()
    }

    fn kill_reader(&mut self) -> Result<(), Violation> {
        let Some(reader) = self.reader.take() else { return Ok(()) };
        self.tally.dead_readers += 1;
        self.kill(reader, READER)
    }

    fn kill(&mut self, mut process: Child, who: usize) -> Result<(), Violation> {
        process.kill().expect("it is ours");
        let status = process.wait().expect("it is ours");
        if status.signal() != Some(SIGKILL) {
            // Its last line says why, if it could say anything.
            self.marks.tell(&format!("err {who} it ended by itself: {status}"));
        }
        self.marks.tell(&format!("dead {who}"));
        while self.hear()? != Heard::Dead(who) {}
        Ok(())
    }

    /// The writer has closed the log and ends by itself.
    fn end_of_a_writer(&mut self) -> Result<(), Violation> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let status = writer.wait().expect("it is ours");
        if !status.success() {
            return Err(Violation::new(Kind::Failed, format!("it closed the log, then {status}")));
        }
        self.marks.tell(&format!("dead {WRITER}"));
        while self.hear()? != Heard::Dead(WRITER) {}
        self.look_at_the_dead()
    }

    /// C11, C12: nobody is in the way of who only reads, and what is proven is shown.
    fn look_at_the_dead(&mut self) -> Result<(), Violation> {
        if !self.was_opened {
            // It may have died before there was a log.
            return Ok(());
        }
        let found = look(&self.log(), self.options)?;
        self.tally.looks += 1;
        self.history.looked(&found)
    }

    /// Takes the next line.
    fn hear(&mut self) -> Result<Heard, Violation> {
        let Ok(line) = self.lines.recv_timeout(HANG) else {
            return Err(Violation::new(Kind::Failed, "all hang"));
        };
        self.tally.operations += usize::from(line.starts_with("try "));
        self.tally.acknowledged += usize::from(line.starts_with("ok "));
        self.history.hear(line)
    }

    /// Keeps what is there: the log as it is once all are dead, and beside it the journal.
    fn keep(&mut self) -> PathBuf {
        self.kill_all();
        let journal = self.scratch.path("journal.txt");
        self.marks.write_down(self.history.lines(), &self.lines, &journal);
        self.scratch.keep()
    }

    fn kill_all(&mut self) {
        for mut process in self.writer.take().into_iter().chain(self.reader.take()) {
            process.kill().expect("it is ours");
            process.wait().expect("it is ours");
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.kill_all();
    }
}
