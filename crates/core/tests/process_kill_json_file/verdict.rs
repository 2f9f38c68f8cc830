//! What the history must obey. Every answer and every look tells a fact: at some moment between
//! `from` and `to` the key held this. Of two facts, one over before the other begins:
//!
//! - K-1 A value is followed by itself or a higher sequence, unless a delete can lie between them;
//!   a lower one or another of the same sequence must then have been put after that delete.
//! - K-2 An absence is followed by absence, or by a value whose put was not over before.
//! - K-3 A value has been tried under its key, by a put that was not told that it is superseded.
//! - K-4 A superseded put names a value at least as high.
//!
//! What was not answered may have been done at any moment of its writer's life, or not at all.

use std::collections::BTreeMap;

use super::history::{Answer, Asked, History, Operation, Value};
use super::kill_support;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What a writer was told is replaced by something lower.
    Lost,
    /// A key is gone that nobody deleted.
    Vanished,
    /// What the observer saw is replaced by something lower.
    Backward,
    /// What was deleted is back.
    Resurrected,
    /// Nobody put it there.
    Invented,
    /// The file cannot be decoded.
    Unreadable,
    /// An operation failed that had no reason to.
    Failed,
    /// Something is left behind, or not as it was.
    Leftover,
}

pub(crate) type Violation = kill_support::Violation<Kind>;
pub(crate) type Conviction = kill_support::Conviction<Kind>;

/// What a key held at some moment between `from` and `to`; nothing if it was not there.
#[derive(Clone, Copy, Debug)]
struct Fact<'a> {
    held: Option<&'a Value>,
    from: usize,
    to: usize,
    seen: bool,
}

/// All that is known of one key.
#[derive(Default)]
struct OfKey<'a> {
    facts: Vec<Fact<'a>>,
    puts: BTreeMap<&'a str, &'a Operation>,
    /// Deletes that took a value away, or may have.
    deletes: Vec<&'a Operation>,
}

/// Judges all that has happened. Everything that was asked must be over.
pub(crate) fn judge(history: &History) -> Result<(), Violation> {
    let mut keys: BTreeMap<&str, OfKey<'_>> = BTreeMap::new();
    for operation in &history.operations {
        keys.entry(&operation.key).or_default().add(operation);
    }
    for look in &history.looks {
        if let Some(name) = look.content.keys().find(|name| !keys.contains_key(name.as_str())) {
            return Err(Violation::new(Kind::Invented, format!("{name}: nobody put it")));
        }
        for (name, of_key) in &mut keys {
            let held = look.content.get(*name);
            of_key.facts.push(Fact { held, from: look.from, to: look.to, seen: true });
        }
    }
    for (name, of_key) in &keys {
        of_key
            .judge()
            .map_err(|Violation { kind, what }| Violation::new(kind, format!("{name}: {what}")))?;
    }
    Ok(())
}

impl<'a> OfKey<'a> {
    fn add(&mut self, operation: &'a Operation) {
        let held = match (&operation.asked, &operation.answer) {
            (Asked::Put(value), Some(Answer::Applied)) => Some(Some(value)),
            (Asked::Put(_), Some(Answer::Superseded(current))) => Some(Some(current)),
            (Asked::Delete, Some(_)) => Some(None),
            _ => None,
        };
        if let Some(held) = held {
            let (from, to) = (operation.from, operation.to);
            self.facts.push(Fact { held, from, to, seen: false });
        }
        match &operation.asked {
            Asked::Put(value) => drop(self.puts.insert(&value.id, operation)),
            Asked::Delete if operation.answer == Some(Answer::Absent) => {}
            Asked::Delete => self.deletes.push(operation),
        }
    }

    fn judge(&self) -> Result<(), Violation> {
        self.puts.values().try_for_each(|put| names_what_superseded_it(put))?;
        for after in &self.facts {
            if let Some(value) = after.held {
                self.origin(value, after)?;
            }
        }
        for after in &self.facts {
            for before in self.facts.iter().filter(|before| before.to < after.from) {
                self.follows(before, after)?;
            }
        }
        Ok(())
    }

    /// The put of a value that was found (K-3).
    fn origin(&self, value: &Value, found: &Fact<'_>) -> Result<&'a Operation, Violation> {
        let put = self.puts.get(value.id.as_str()).filter(|put| {
            let refused = matches!(put.answer, Some(Answer::Superseded(_)));
            put.asked == Asked::Put(value.clone()) && put.from <= found.to && !refused
        });
        let nobody = || Violation::new(Kind::Invented, format!("{value:?}, found by {found:?}"));
        put.copied().ok_or_else(nobody)
    }

    fn follows(&self, before: &Fact<'_>, after: &Fact<'_>) -> Result<(), Violation> {
        let violation = |kind| Err(Violation::new(kind, format!("{before:?}, then {after:?}")));
        let put = after.held.map(|found| self.origin(found, after)).transpose()?;
        let (stands, kind) = match (before.held, after.held) {
            (None, _) => {
                let over = put.is_some_and(|put| put.to < before.from);
                return if over { violation(Kind::Resurrected) } else { Ok(()) };
            }
            (Some(_), None) => (false, Kind::Vanished),
            (Some(value), Some(found)) => {
                let stands = found == value || found.sequence > value.sequence;
                (stands, if before.seen { Kind::Backward } else { Kind::Lost })
            }
        };
        // In the order before, delete, put, after: each may come after those that precede it.
        let put_can_follow = put.is_none_or(|put| put.to >= before.from);
        let explains = |delete: &&Operation| {
            delete.to >= before.from
                && delete.from <= after.to
                && put.is_none_or(|put| put.to >= delete.from)
        };
        if stands || put_can_follow && self.deletes.iter().any(explains) {
            return Ok(());
        }
        violation(kind)
    }
}

/// K-4.
fn names_what_superseded_it(put: &Operation) -> Result<(), Violation> {
    match (&put.asked, &put.answer) {
        (Asked::Put(value), Some(Answer::Superseded(by))) if by.sequence < value.sequence => {
            Err(Violation::new(Kind::Lost, format!("{value:?} was superseded by {by:?}")))
        }
        _ => Ok(()),
    }
}
