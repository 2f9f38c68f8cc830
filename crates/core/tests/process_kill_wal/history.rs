//! All that was asked, heard and seen, in the one order of the journal, and what must be so.
//!
//! Operations are committed in the order in which they are asked for. So after a death the log is
//! as it was after some operation: not before the last one that a caller or a reader was told of,
//! not behind the last one that was asked for (C1 to C4, C7). What did not survive is dead: nobody
//! may ever see it again (C3).
//!
//! ```text
//! try <writer> <op> durable|written <what>    about to ask
//! ok <writer> <op> <outcome>                  heard
//! run <writer> <lsn> <op> <index> <count>     entries that a writer found, then
//! opened <writer> <first> <next> <op of the hard state> <was closed> <copied> <cut>
//! closed <writer>                             all is settled, the log is closed
//! again <reader> <lsn>                        begins to follow there
//! saw <reader> <lsn> <op> <index> <count>     entries that a reader was given
//! bad <reader> <lsn>                          one whose bytes are not what was written
//! told <reader> <code>                        it has to begin again
//! rolls <writer>                              is about to seal a segment, perhaps within a group
//! at <writer> <phase>                         stopped where it is to be killed
//! err <who> <what>                            it cannot go on
//! dead <who>                                  killed and waited for (by the observer)
//! ```

use tidemark_core::ErrorKind;

use super::kill_support;
use super::look::Run;
use super::model::{Asked, Outcome, State};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What somebody was told of is gone.
    Lost,
    /// What was truncated, purged or did not survive a death is back.
    Resurrected,
    /// A part of a batch is there, or a hard state without its entries.
    Torn,
    /// Nobody wrote it.
    Invented,
    /// It has other bytes, or another LSN.
    Changed,
    /// Entries were left out, came twice or in another order.
    Hole,
    /// A reader saw what was not durable.
    Early,
    /// A reader was not told that what it had read was taken back.
    PaperedOver,
    /// An operation came to something else than it must.
    Wrong,
    /// The log is found to be damaged.
    Unreadable,
    /// Something failed that had no reason to.
    Failed,
}

pub(crate) type Violation = kill_support::Violation<Kind>;
pub(crate) type Conviction = kill_support::Conviction<Kind>;

/// An operation, what it must come to, and whether somebody heard of it.
#[derive(Clone, Debug)]
struct Operation {
    asked: Asked,
    outcome: Outcome,
    is_durable: bool,
    is_answered: bool,
    is_dead: bool,
}

/// A line that the observer has to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The writer is about to do something, or heard of something.
    Working,
    /// The writer has opened the log: whether it was closed before, bytes copied, bytes cut off.
    Opened {
        was_closed: bool,
        copied: u64,
        cut: u64,
    },
    /// The writer stands where it is to be killed.
    Stopped(String),
    Closed,
    Dead(usize),
    /// Of the reader: so many entries, and whether it was told to begin again.
    Saw {
        entries: u64,
        must_begin_again: bool,
    },
    Nothing,
}

/// What a reader was given last.
#[derive(Debug, Default)]
struct Session {
    /// The LSN after it; nothing before there was any.
    next: Option<u64>,
    /// The last operation that is known to have written some of it, and where that ended.
    op: u64,
    last: u64,
    /// Whether a writer has died since it began, or none lived then.
    outlived_a_writer: bool,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    operations: Vec<Operation>,
    /// The log as the last writer found it, with all up to an operation that survived.
    base: State,
    base_op: u64,
    /// The log with all that was asked for.
    current: State,
    /// The last operation that anybody was told of.
    least: u64,
    /// The last one that is known to be durable.
    least_durable: u64,
    /// The last one that was asked for when the writer last went on to another segment.
    rolled_after: u64,
    /// What the writer finds, run by run.
    found: Vec<Run>,
    is_open: bool,
    session: Session,
    lines: Vec<String>,
}

impl History {
    /// The operation that was asked for last.
    pub(crate) fn last_op(&self) -> u64 {
        self.operations.len() as u64
    }

    /// Whether the writer has told what it found.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// All that was heard.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The last lines, for people.
    pub(crate) fn tail(&self) -> String {
        const LINES: usize = 60;
        self.lines[self.lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Takes the next line of the journal.
    pub(crate) fn hear(&mut self, line: String) -> Result<Heard, Violation> {
        let words: Vec<&str> = line.split(' ').collect();
        let heard = self.hear_words(&words);
        self.lines.push(line);
        heard
    }

    fn hear_words(&mut self, words: &[&str]) -> Result<Heard, Violation> {
        let number = |index: usize| -> u64 { words[index].parse().expect("a number") };
        match words[0] {
            "try" => self.asked(number(2), words[3] == "durable", Asked::of(&words[4..])),
            "ok" => self.answered(number(2), &words[3..].join(" "))?,
            "run" => {
                self.found.push(Run::of(&words[2..]));
                return Ok(Heard::Nothing);
            }
            "opened" => {
                let hard = (words[4] != "-").then(|| number(4));
                self.opened(number(2), number(3), hard)?;
                let was_closed = number(5) == 1;
                return Ok(Heard::Opened { was_closed, copied: number(6), cut: number(7) });
            }
            "closed" => return self.closed().map(|()| Heard::Closed),
            "again" => {
                let outlived_a_writer = !self.is_open;
                let next = Some(number(2));
                self.session = Session { next, outlived_a_writer, ..Session::default() };
                return Ok(Heard::Nothing);
            }
            "saw" => {
                let run = Run::of(&words[2..]);
                self.saw(run)?;
                let entries = u64::from(run.count);
                return Ok(Heard::Saw { entries, must_begin_again: false });
            }
            "told" => {
                self.must_begin_again(words[2])?;
                return Ok(Heard::Saw { entries: 0, must_begin_again: true });
            }
            "bad" => return Err(Violation::new(Kind::Changed, words.join(" "))),
            "rolls" => {
                self.rolled_after = self.last_op();
                return Ok(Heard::Nothing);
            }
            "at" => return Ok(Heard::Stopped(words[2].to_owned())),
            "err" => {
                let damaged = words.get(2) == Some(&ErrorKind::Corrupt.code());
                let kind = if damaged { Kind::Unreadable } else { Kind::Failed };
                return Err(Violation::new(kind, words.join(" ")));
            }
            "dead" => {
                let who = usize::try_from(number(1)).expect("small");
                if who == super::writer::WRITER {
                    self.is_open = false;
                    self.session.outlived_a_writer = true;
                    self.found.clear();
                } else {
                    self.session = Session::default();
                }
                return Ok(Heard::Dead(who));
            }
            other => panic!("no such line: {other}"),
        }
        Ok(Heard::Working)
    }

    fn asked(&mut self, op: u64, is_durable: bool, asked: Asked) {
        assert_eq!(op, self.last_op() + 1, "operations are numbered");
        let outcome = self.current.apply(op, &asked);
        let (is_answered, is_dead) = (false, false);
        self.operations.push(Operation { asked, outcome, is_durable, is_answered, is_dead });
    }

    fn answered(&mut self, op: u64, outcome: &str) -> Result<(), Violation> {
        let operation = self.operation_mut(op).expect("it was asked for");
        operation.is_answered = true;
        let is_durable = operation.is_durable;
        if operation.outcome.line() != outcome {
            let what = format!("{op} came to {outcome}, not {:?}", operation.outcome);
            return Err(Violation::new(Kind::Wrong, what));
        }
        if !matches!(operation.outcome, Outcome::Refused(_)) {
            self.least = self.least.max(op);
            if is_durable {
                self.least_durable = self.least_durable.max(op);
            }
        }
        Ok(())
    }

    /// A writer told what it found: all that anybody was told of must be there.
    fn opened(&mut self, first: u64, next: u64, hard: Option<u64>) -> Result<(), Violation> {
        let runs = std::mem::take(&mut self.found);
        let entries = runs.iter().copied().flat_map(Run::tags).collect();
        let found = State { first, entries, hard };
        if found.next() != next {
            let what = format!("{} entries from {first}, but {next} is next", found.entries.len());
            return Err(Violation::new(Kind::Hole, what));
        }
        let survived = self.explain(&found, self.least, self.last_op())?;
        for dead in survived + 1..=self.last_op() {
            self.operation_mut(dead).expect("it was asked for").is_dead = true;
        }
        self.base_op = self.last_op();
        (self.least, self.least_durable) = (self.base_op, self.base_op);
        (self.base, self.current) = (found.clone(), found);
        self.is_open = true;
        Ok(())
    }

    /// The log was closed: everything is answered.
    fn closed(&mut self) -> Result<(), Violation> {
        let open = self.operations.iter().skip(count(self.base_op)).position(|it| !it.is_answered);
        if let Some(index) = open {
            let what = format!("{} was not answered", self.base_op + 1 + index as u64);
            return Err(Violation::new(Kind::Failed, what));
        }
        self.least = self.last_op();
        self.least_durable = self.last_op();
        Ok(())
    }

    /// Somebody else looked while no writer lived, or none that has told what it found.
    pub(crate) fn looked(&self, found: &State) -> Result<(), Violation> {
        self.explain(found, self.base_op, self.last_op()).map(drop)
    }

    /// Somebody else looked while the writer stood still before a write or a sync: what it waits
    /// for is not seen. At a level with a delay, what comes before the seal of a segment is synced
    /// before that, also within a group (E-2): of it, as much may be seen as had been asked for.
    pub(crate) fn looked_at_a_writer(
        &self,
        found: &State,
        has_delay: bool,
    ) -> Result<(), Violation> {
        let unanswered =
            self.operations.iter().skip(count(self.base_op)).position(|it| !it.is_answered);
        let most = unanswered.map_or(self.last_op(), |index| self.base_op + index as u64);
        let most = if has_delay { most.max(self.rolled_after) } else { most };
        match self.explain(found, self.least_durable.min(most), most) {
            Err(_) if self.explain(found, self.base_op, self.last_op()).is_ok_and(|k| k > most) => {
                let what = format!("{found:?}: what follows {most} is not durable");
                Err(Violation::new(Kind::Early, what))
            }
            explained => explained.map(drop),
        }
    }

    /// After which operation the log is found, of those from `least` to `most`.
    fn explain(&self, found: &State, least: u64, most: u64) -> Result<u64, Violation> {
        let states = self.states();
        let allowed = &states[count(least - self.base_op)..=count(most - self.base_op)];
        if let Some(index) = allowed.iter().rposition(|state| state == found) {
            return Ok(least + index as u64);
        }
        let told = |kind| {
            let (now, then) = (&allowed[0], allowed.last());
            let what = format!("found {found:?},\nafter {least} it was {now:?},\nthen {then:?}");
            Err(Violation::new(kind, what))
        };
        let is_known = |state: &State| {
            (found.first..).zip(&found.entries).all(|(lsn, tag)| {
                let index = lsn.checked_sub(state.first).map(count);
                index.is_some_and(|index| state.entries.get(index) == Some(tag))
            })
        };
        if allowed.iter().any(|it| (it.first, &it.entries) == (found.first, &found.entries)) {
            // As it was before a hard state was set: that is gone. As it never was: half of it is.
            return told(if states.contains(found) { Kind::Lost } else { Kind::Torn });
        }
        if !states.iter().any(is_known) {
            return told(Kind::Invented);
        }
        if !allowed.iter().any(is_known) {
            return told(Kind::Resurrected);
        }
        told(if states.contains(found) { Kind::Lost } else { Kind::Torn })
    }

    /// The log as it was found, and after each operation since.
    fn states(&self) -> Vec<State> {
        let mut states = vec![self.base.clone()];
        for op in self.base_op + 1..=self.last_op() {
            let mut next = states[states.len() - 1].clone();
            next.apply(op, &self.operations[count(op - 1)].asked);
            states.push(next);
        }
        states
    }

    /// F-1, F-2, R-4: each entry once and in order, none that was not durable, and what was taken
    /// back is told.
    fn saw(&mut self, run: Run) -> Result<(), Violation> {
        let Run { lsn, op, index, count: entries } = run;
        let told = |kind| Err(Violation::new(kind, format!("the reader: {run:?}")));
        if self.session.next.is_some_and(|next| next != lsn) {
            return told(Kind::Hole);
        }
        self.session.next = Some(lsn + u64::from(entries));
        if op == 0 {
            return Ok(());
        }
        let last_of_run = lsn + u64::from(entries) - 1;
        let (before, read_up_to) = (self.session.op, self.session.last);
        (self.session.op, self.session.last) = (before.max(op), last_of_run);
        let Some(operation) = op.checked_sub(1).and_then(|at| self.operations.get(count(at)))
        else {
            return told(Kind::Invented);
        };
        let Outcome::Appended { first, last } = operation.outcome else {
            return told(Kind::Invented);
        };
        if first + u64::from(index) != lsn || last_of_run > last {
            return told(Kind::Changed);
        }
        if operation.is_dead {
            return told(Kind::Resurrected);
        }
        if op < before {
            return told(Kind::Hole);
        }
        let takes_back = |it: &Operation| {
            let cuts = matches!(it.asked, Asked::Truncate(after) if after < read_up_to);
            cuts && it.outcome == Outcome::Done && !it.is_dead
        };
        // From what it read before to this.
        let between = count(before)..count(op - 1).max(count(before));
        if before > 0 && self.operations[between].iter().any(takes_back) {
            return told(Kind::PaperedOver);
        }
        self.least = self.least.max(op);
        self.least_durable = self.least_durable.max(op);
        Ok(())
    }

    /// F-2, R-4: only what somebody took back ends what a reader follows. A recovery writes frames
    /// again, also those that take something back: a reader may be told of these twice.
    fn must_begin_again(&self, code: &str) -> Result<(), Violation> {
        let next = self.session.next.unwrap_or(0);
        let explains = |it: &Operation| match it.asked {
            _ if it.is_dead => false,
            Asked::Truncate(after) => {
                code == ErrorKind::Conflict.code()
                    && it.outcome == Outcome::Done
                    && after + 1 < next
            }
            Asked::Purge(before) if code == ErrorKind::Expired.code() => before > next,
            // Its place was purged before it knew of the writer: what became of what it had read
            // nobody can tell any more.
            Asked::Purge(before) => self.session.outlived_a_writer && before <= next,
            _ => false,
        };
        let known = if self.session.outlived_a_writer { 0 } else { self.session.op };
        if self.operations.iter().skip(count(known)).any(explains) {
            return Ok(());
        }
        let what = format!("the reader was told {code}, but nobody took back {:?}", self.session);
        Err(Violation::new(Kind::Wrong, what))
    }

    fn operation_mut(&mut self, op: u64) -> Option<&mut Operation> {
        self.operations.get_mut(count(op - 1))
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).expect("a test is small")
}
