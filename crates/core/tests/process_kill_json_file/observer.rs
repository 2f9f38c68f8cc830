//! A round: a directory of its own, four writers, two waves. The observer journals what writers
//! tell, kills them as planned and starts them again, and looks at the file meanwhile.

#![allow(clippy::disallowed_methods, reason = "the observer looks at the disk from outside")]

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tidemark_core::atomic_write::{AtomicWriteOptions, write_file_atomic};
use tidemark_core::checkpoint::{Bug, Checkpoint, JsonFileOptions, Op, Store};

use super::history::{Asked, Content, Heard, History, Value};
use super::kill_support::{Journal, Phased, Random, SIGKILL};
use super::look::{decode, nothing_is_left};
use super::phase::{Aim, Phase};
use super::plan::{Deck, End, Life, WRITERS, lives, only_grows};
use super::support::{Process, Scratch, real};
use super::tally::Tally;
use super::verdict::{Conviction, Kind, Violation, judge};
use super::writer::{Orders, answer, resume_key};

/// Only a hang takes so long.
const HANG: Duration = Duration::from_secs(180);
/// Lines after which a writer that has not come to where it is aimed at is killed anyway.
const LINES_MAX: u64 = 600;
/// Lines of a writer after which the observer looks at the file, besides after each death.
const LINES_PER_LOOK: u64 = 32;
/// The largest step between sequences: the second wave starts again from 0 and overtakes.
const STEPS: [u64; 2] = [4, 16];

/// A writer's seat: who has it, and what is yet to come.
struct Seat {
    process: Option<Child>,
    /// How this life ends, and the lives to come.
    end: End,
    lives: VecDeque<Life>,
    lines: u64,
    op: u64,
    sequence: u64,
}

pub(crate) struct Round {
    scratch: Scratch,
    history: History,
    tally: Tally,
    random: Random,
    seats: Vec<Seat>,
    bug: Option<Bug>,
    marks: Journal,
    pipe: std::io::PipeWriter,
    lines: Receiver<String>,
    names: HashMap<String, String>,
}

/// Runs a round; what it counted, or what is wrong.
pub(crate) fn round(seed: u64, bug: Option<Bug>) -> Result<Tally, Conviction> {
    let (mut round, mut deck) = (Round::new(seed, bug), Deck::default());
    let ran = STEPS.into_iter().enumerate().try_for_each(|(number, step)| {
        round.wave(step, &mut deck)?;
        round.conclude(number as u64 + 1)
    });
    if let Err(Violation { kind, what }) = ran {
        let what = format!("SEED={seed}: {what}\n{}", round.history.tail());
        return Err(Conviction { violation: Violation::new(kind, what), kept: round.keep() });
    }
    Ok(round.tally.clone())
}

impl Round {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path("store")).expect("it can be made");
        let (reader, pipe) = std::io::pipe().expect("there is a pipe");
        let (hear, lines) = channel();
        // Always reads: nobody waits for room in the pipe while holding the lock.
        std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines();
            lines.map_while(Result::ok).try_for_each(|line| hear.send(line))
        });
        let marks = Journal::of_the_observer(pipe.try_clone().expect("it can be shared"));
        let seat = |_| Seat {
            process: None,
            end: End::WithTheWave,
            lives: VecDeque::new(),
            lines: 0,
            op: 0,
            sequence: 0,
        };
        Self {
            scratch,
            history: History::default(),
            tally: Tally::of_one_round(),
            random: Random::new(seed),
            seats: (0..WRITERS).map(seat).collect(),
            bug,
            marks,
            pipe,
            lines,
            names: HashMap::new(),
        }
    }

    fn state(&self) -> PathBuf {
        self.scratch.path("store/state.json")
    }

    /// Lets all work and die, until each had its lives.
    fn wave(&mut self, step: u64, deck: &mut Deck) -> Result<(), Violation> {
        for (seat, lives) in self.seats.iter_mut().zip(lives(&mut self.random, deck)) {
            (seat.lives, seat.sequence) = (lives, 0);
        }
        (0..WRITERS).for_each(|writer| self.start(writer, step));
        let mut until_the_end = 40 + self.random.up_to(160);
        let mut alive = WRITERS;
        while alive > 0 {
            match self.hear()? {
                Heard::Stopped(writer) => self.kill(writer, true)?,
                Heard::Working(writer) => {
                    self.worked(writer)?;
                    if self.is_last() {
                        until_the_end = until_the_end.saturating_sub(1);
                    }
                }
                Heard::Dead(writer) if !self.seats[writer].lives.is_empty() => {
                    self.start(writer, step);
                }
                Heard::Dead(_) => alive -= 1,
                Heard::Nothing => {}
            }
            if until_the_end == 0 {
                (0..WRITERS).try_for_each(|writer| self.kill(writer, false))?;
            }
        }
        Ok(())
    }

    /// Whether every writer lives its last life of the wave.
    fn is_last(&self) -> bool {
        self.seats.iter().all(|seat| seat.lives.is_empty())
    }

    /// Keeps account of a line of a writer, and kills it if its time has come.
    fn worked(&mut self, writer: usize) -> Result<(), Violation> {
        let last = self.history.last_of(writer);
        let seat = &mut self.seats[writer];
        if let Asked::Put(value) = &last.asked
            && only_grows(&last.key)
        {
            seat.sequence = value.sequence;
        }
        seat.lines += 1;
        let may_look = seat.lines.is_multiple_of(LINES_PER_LOOK) && seat.process.is_some();
        let (lines, spins) = match seat.end {
            End::Random { lines, spins } => (lines, spins),
            End::Aimed(_) => (LINES_MAX, 0),
            End::WithTheWave => (u64::MAX, 0),
        };
        if seat.lines < lines || seat.process.is_none() {
            return if may_look { self.disturb().and_then(|()| self.look()) } else { Ok(()) };
        }
        self.tally.missed += usize::from(matches!(seat.end, End::Aimed(_)));
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        self.kill(writer, false)
    }

    fn start(&mut self, writer: usize, step: u64) {
        let note = self.scratch.path(&format!("note.{writer}"));
        // Who dies before it notes anything has not begun.
        std::fs::write(&note, [Phase::Idle.byte()]).expect("it can be written");
        let (state, bug) = (self.state(), self.bug);
        let seat = &mut self.seats[writer];
        let Life { seed, end } = seat.lives.pop_front().expect("there is another life");
        (seat.end, seat.lines) = (end, 0);
        let aim: Option<Aim> = if let End::Aimed(aim) = end { Some(aim) } else { None };
        let (op, sequence) = (seat.op, seat.sequence);
        let orders = Orders { state, note, writer, seed, op, sequence, step, aim, bug };
        let started = Command::new(std::env::current_exe().expect("this is a program"))
            .arg("--writer")
            .args(orders.to_args())
            .stdin(Stdio::piped())
            .stdout(self.pipe.try_clone().expect("it can be shared"))
            .spawn();
        seat.process = Some(started.expect("a writer starts"));
    }

    /// Kills a writer that is not dead yet, and looks at what it leaves.
    fn kill(&mut self, writer: usize, aimed: bool) -> Result<(), Violation> {
        let Some(mut process) = self.seats[writer].process.take() else { return Ok(()) };
        process.kill().expect("it is ours");
        let status = process.wait().expect("it is ours");
        if status.signal() != Some(SIGKILL) {
            // Its last line says why, if it could say anything.
            self.marks.tell(&format!("err {writer} - it ended by itself: {status}"));
            return Ok(());
        }
        self.tally.kill(Phase::noted(&self.scratch.path(&format!("note.{writer}"))), aimed);
        self.marks.tell(&format!("dead {writer}"));
        self.look()
    }

    /// T-3: who replaces another file in the directory sweeps it without the store's lock, and must
    /// not take the temporary of a writer that lives.
    fn disturb(&self) -> Result<(), Violation> {
        let options = AtomicWriteOptions { durable: false, ..AtomicWriteOptions::default() };
        write_file_atomic(&real(), &self.scratch.path("store/neighbour"), b"", options)
            .map_err(|error| Violation::new(Kind::Failed, format!("the neighbour: {error}")))
    }

    /// Takes the next line.
    fn hear(&mut self) -> Result<Heard, Violation> {
        let Ok(line) = self.lines.recv_timeout(HANG) else {
            return Err(Violation::new(Kind::Failed, "all hang"));
        };
        let words: Vec<&str> = line.split(' ').collect();
        if let ["try", writer, op, _, key, ..] = words[..] {
            self.names.entry(resume_key(key).hex()).or_insert_with(|| key.to_owned());
            let writer: usize = writer.parse().expect("a number");
            if let Some(seat) = self.seats.get_mut(writer) {
                seat.op = op.parse::<u64>().expect("a number") + 1;
            }
            self.tally.operations += 1;
        }
        self.tally.acknowledged += usize::from(words[0] == "ok");
        self.history.hear(line)
    }

    /// Looks at the file as anybody may at any time, without the lock and without the store.
    fn look(&mut self) -> Result<(), Violation> {
        let number = self.history.looks.len();
        self.marks.tell(&format!("look {number}"));
        let content = decode(&self.state())?;
        self.marks.tell(&format!("seen {number}"));
        self.tally.looks += 1;
        self.history.see(content);
        Ok(())
    }

    /// All are dead: looks through the store as well, puts once more, and judges.
    fn conclude(&mut self, wave: u64) -> Result<(), Violation> {
        let observed = |error| Violation::new(Kind::Failed, format!("the observer: {error}"));
        let store =
            Process::new().try_open(&self.state(), JsonFileOptions::default()).map_err(observed)?;
        self.look()?;
        let (shown, found) = (entries(&store), decode(&self.state())?);
        if shown != found {
            let what = format!("the store shows {shown:?}, the file holds {found:?}");
            return Err(Violation::new(Kind::Unreadable, what));
        }
        let (writer, id) = (WRITERS, format!("{WRITERS}/{wave}@{wave}"));
        self.marks.tell(&format!("try {writer} {wave} put own{writer} {wave}"));
        let put = (resume_key(&format!("own{writer}")), Checkpoint::new(wave, Some(&id)));
        let outcome = store.call(&Op::Put(vec![put])).map_err(observed)?;
        self.marks.tell(&format!("ok {writer} {wave} {}", answer(&outcome)));
        self.look()?;
        let last = format!("seen {}", self.history.looks.len() - 1);
        while self.history.last_line() != Some(&last) {
            self.hear()?;
        }
        nothing_is_left(&self.scratch.path("store"))?;
        self.name_what_was_seen();
        judge(&self.history)
    }

    /// Keeps what is there: the store as it is once all are dead, and beside it the journal.
    fn keep(&mut self) -> PathBuf {
        self.kill_all();
        let journal = self.scratch.path("journal.txt");
        self.marks.write_down(self.history.lines(), &self.lines, &journal);
        self.scratch.keep()
    }

    fn kill_all(&mut self) {
        for mut process in self.seats.iter_mut().filter_map(|seat| seat.process.take()) {
            process.kill().expect("it is ours");
            process.wait().expect("it is ours");
        }
    }

    /// The file has digests; the journal tells the names of all keys that anybody asked for.
    fn name_what_was_seen(&mut self) {
        for look in &mut self.history.looks {
            let content = std::mem::take(&mut look.content).into_iter();
            let named =
                content.map(|(key, value)| (self.names.get(&key).cloned().unwrap_or(key), value));
            look.content = named.collect();
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// What the store shows, by digest.
fn entries(store: &Store) -> Content {
    let entries = store.entries().expect("it is open").into_iter().map(|(key, checkpoint)| {
        let id = checkpoint.last_event_id.as_deref().unwrap_or("-").to_owned();
        (key.hex(), Value { sequence: checkpoint.last_committed_sequence, id })
    });
    entries.collect()
}
