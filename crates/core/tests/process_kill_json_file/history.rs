//! All that was asked, heard and seen, in the one order of the journal.
//!
//! An operation lasts from its `try` line to its answer, or to the death of its writer: then it
//! may have been done, or not. A look lasts from its `look` line to its `seen` line.
//!
//! ```text
//! try <writer> <op> put <key> <sequence>      about to ask
//! try <writer> <op> delete <key>
//! ok <writer> <op> applied                    heard
//! ok <writer> <op> superseded <sequence> <event id>
//! ok <writer> <op> deleted | absent
//! err <writer> <op> <what>
//! at <writer> <phase>                         stopped where it is to be killed
//! dead <writer>                               killed and waited for (by the observer)
//! look <n>, seen <n>                          around a look at the file (by the observer)
//! ```

use std::collections::{BTreeMap, HashMap};

use tidemark_core::ErrorKind;

use super::verdict::{Kind, Violation};

/// A checkpoint; the event id names the operation that put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) sequence: u64,
    pub(crate) id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Put(Value),
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Applied,
    Superseded(Value),
    Deleted,
    Absent,
}

/// An operation, from when to when it lasted, and what its writer heard of it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    writer: usize,
    pub(crate) key: String,
    pub(crate) asked: Asked,
    pub(crate) from: usize,
    /// `usize::MAX` while it lasts.
    pub(crate) to: usize,
    pub(crate) answer: Option<Answer>,
}

/// What the file holds, by the names of the keys.
pub(crate) type Content = BTreeMap<String, Value>;

/// A look at the file.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) content: Content,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// A line that somebody has to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A writer is about to do an operation, or heard of one.
    Working(usize),
    /// A writer stands where it is to be killed.
    Stopped(usize),
    /// A writer is dead, and all that it told was heard.
    Dead(usize),
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    by_name: HashMap<(usize, u64), usize>,
    pub(crate) looks: Vec<Look>,
    lines: Vec<String>,
}

impl History {
    /// Takes the next line of the journal.
    pub(crate) fn hear(&mut self, line: String) -> Result<Heard, Violation> {
        let now = self.lines.len();
        self.lines.push(line);
        let line = self.lines[now].clone();
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| -> usize { words[index].parse().expect("a number") };
        Ok(match words[0] {
            "try" => {
                let (writer, op) = (number(1), number(2) as u64);
                let asked = match words[3] {
                    "put" => {
                        let sequence = number(5) as u64;
                        Asked::Put(Value { sequence, id: format!("{writer}/{op}@{sequence}") })
                    }
                    _ => Asked::Delete,
                };
                let key = words[4].to_owned();
                self.by_name.insert((writer, op), self.operations.len());
                let (from, to) = (now, usize::MAX);
                self.operations.push(Operation { writer, key, asked, from, to, answer: None });
                Heard::Working(writer)
            }
            "ok" => {
                let operation = &mut self.operations[self.by_name[&(number(1), number(2) as u64)]];
                operation.to = now;
                operation.answer = Some(match words[3] {
                    "applied" => Answer::Applied,
                    "superseded" => Answer::Superseded(Value {
                        sequence: words[4].parse().expect("a sequence"),
                        id: words[5].to_owned(),
                    }),
                    "deleted" => Answer::Deleted,
                    "absent" => Answer::Absent,
                    other => panic!("no such answer: {other}"),
                });
                Heard::Working(number(1))
            }
            "err" => {
                let torn = words[3] == ErrorKind::Decode.code();
                return Err(Violation::new(
                    if torn { Kind::Unreadable } else { Kind::Failed },
                    line,
                ));
            }
            "at" => Heard::Stopped(number(1)),
            "dead" => {
                let dead = number(1);
                let lasting = |it: &&mut Operation| it.writer == dead && it.to == usize::MAX;
                for operation in self.operations.iter_mut().filter(lasting) {
                    operation.to = now;
                }
                Heard::Dead(dead)
            }
            "look" => {
                self.looks[number(1)].from = now;
                Heard::Nothing
            }
            "seen" => {
                self.looks[number(1)].to = now;
                Heard::Nothing
            }
            other => panic!("no such line: {other}"),
        })
    }

    /// Adds what a look finds; its `look` and `seen` lines are yet to be heard.
    pub(crate) fn see(&mut self, content: Content) {
        self.looks.push(Look { content, from: 0, to: usize::MAX });
    }

    /// The operation that a writer began last.
    pub(crate) fn last_of(&self, writer: usize) -> &Operation {
        let last = self.operations.iter().rev().find(|operation| operation.writer == writer);
        last.expect("it told so")
    }

    pub(crate) fn last_line(&self) -> Option<&String> {
        self.lines.last()
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
}
