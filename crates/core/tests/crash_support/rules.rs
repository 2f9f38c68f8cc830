//! The rules that everything heard and seen must obey (see the observer).

use tidemark_core::checkpoint::{Checkpoint, ResumeKey};

use super::observer::{Asked, History, Known};
use super::verdict::{Kind, Verdict, Violation};

impl History {
    /// Holds what is known now against what was known before.
    pub(crate) fn judge(&self, now: &Known) -> Verdict {
        for (key, value) in &now.content {
            self.is_not_invented(key, value.as_ref(), now)?;
        }
        for before in self.known.iter().filter(|known| known.before(now)) {
            self.does_not_go_backward(before, now)?;
            self.does_not_come_back(before, now)?;
        }
        if now.whole { self.is_not_torn(now) } else { Ok(()) }
    }

    fn does_not_go_backward(&self, before: &Known, now: &Known) -> Verdict {
        for (key, value) in &before.content {
            let Some(value) = value.as_ref().filter(|_| now.speaks_of(key)) else { continue };
            let found = now.value(key);
            let stands = found.is_some_and(|found| {
                found.last_committed_sequence > value.last_committed_sequence || found == value
            });
            let from = before.since.unwrap_or(0).max(self.origin(key, value).0);
            if !stands && !self.is_deleted(key, from, now) {
                let seen = before.whole && before.at > 0;
                let what = format!("{key:?}: {value:?} was known at {}, now {found:?}", before.at);
                return Err(Violation::new(if seen { Kind::Backward } else { Kind::Lost }, what));
            }
        }
        Ok(())
    }

    /// Whether a delete that was not over at `from` explains why a value is not there.
    fn is_deleted(&self, key: &ResumeKey, from: u64, now: &Known) -> bool {
        self.asked.iter().enumerate().any(|(id, asked)| {
            asked.deletes(key)
                && asked.began < now.at
                && asked.ended.is_none_or(|ended| ended >= from)
                && now.told_by != Some(id)
        })
    }

    fn does_not_come_back(&self, before: &Known, now: &Known) -> Verdict {
        let Some(since) = before.since else { return Ok(()) };
        for (key, value) in &now.content {
            let was_absent = before.speaks_of(key) && before.value(key).is_none();
            let Some(value) = value.as_ref().filter(|_| was_absent) else { continue };
            let over = self.origin(key, value).1.is_some_and(|ended| ended < since);
            if over && !self.may_be_restored(key, value, since) {
                let what = format!("{key:?}: absent at {}, now {value:?} again", before.at);
                return Err(Violation::new(Kind::Resurrected, what));
            }
        }
        Ok(())
    }

    /// Whether an operator took the file away before `since`, and nobody has seen the value after
    /// that: who remembers it writes it back.
    fn may_be_restored(&self, key: &ResumeKey, value: &Checkpoint, since: u64) -> bool {
        let erased = self.asked.iter().filter(|asked| asked.op.is_none() && asked.began < since);
        let Some(erased) = erased.map(|asked| asked.began).max() else { return false };
        !self.known.iter().any(|known| {
            known.since.is_some_and(|known| known > erased)
                && known.at < since
                && known.value(key) == Some(value)
        })
    }

    /// When a value's put began, and when it was over.
    fn origin(&self, key: &ResumeKey, value: &Checkpoint) -> (u64, Option<u64>) {
        let put = |asked: &&Asked| asked.puts().iter().any(|(of, put)| of == key && put == value);
        let asked = self.asked.iter().find(put);
        asked.map_or((0, Some(0)), |asked| (asked.began, asked.ended))
    }

    fn is_not_invented(&self, key: &ResumeKey, value: Option<&Checkpoint>, now: &Known) -> Verdict {
        let Some(value) = value else { return Ok(()) };
        let asked = self.asked.iter().filter(|asked| asked.began < now.at);
        let mut puts = asked.flat_map(Asked::puts);
        if self.initial.get(key) == Some(value) || puts.any(|(of, put)| of == key && put == value) {
            return Ok(());
        }
        Err(Violation::new(Kind::Invented, format!("{key:?}: {value:?}, nobody put it")))
    }

    fn is_not_torn(&self, now: &Known) -> Verdict {
        for asked in &self.asked {
            let is_there = |(key, put): &&(ResumeKey, Checkpoint)| now.value(key) == Some(put);
            let Some(one) = asked.puts().iter().find(is_there) else { continue };
            for (key, put) in asked.puts() {
                let found = now.value(key);
                let reached = found.is_some_and(|found| {
                    found.last_committed_sequence >= put.last_committed_sequence
                });
                if !reached && !self.is_deleted(key, asked.began, now) {
                    let what = format!("{one:?} is there, {key:?}: {put:?} is not, but {found:?}");
                    return Err(Violation::new(Kind::Torn, what));
                }
            }
        }
        Ok(())
    }
}
