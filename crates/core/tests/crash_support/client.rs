//! A process that has the JSON store open and tells the observer all that it asks, hears and sees.

use std::path::Path;
use std::sync::Arc;

use tidemark_core::checkpoint::{
    JsonFileEngine, JsonFileOptions, JsonFileParts, JsonFileReader, JsonFileStore, Op, Outcome,
    Recover,
};
use tidemark_core::group_commit::commit_inline;
use tidemark_core::{Error, Storage};
use tidemark_sim::{Actor, Process, World};
use tidemark_storage::Site;

use super::observer::{Entries, Observer};
use super::verdict::{Kind, Violation};

pub(crate) const STATE: &str = "/data/state.json";
pub(crate) const LOCK: &str = "/data/state.json.lock";

/// How a test changes an engine: it plants a bug, or nothing.
pub(crate) type Plant = fn(JsonFileEngine) -> JsonFileEngine;

pub(crate) struct Client {
    process: Process,
    observer: Observer,
    engine: JsonFileEngine,
    reader: Arc<JsonFileReader>,
}

impl Client {
    /// Opens the store; its view is empty until it reads.
    pub(crate) fn open(
        process: &Process,
        observer: &Observer,
        options: JsonFileOptions,
        plant: Plant,
    ) -> Result<Self, Error> {
        let JsonFileParts { engine, reader, .. } =
            JsonFileStore::open_parts(&process.storage(), Path::new(STATE), options)?;
        let (process, observer) = (process.clone(), observer.clone());
        Ok(Self { process, observer, engine: plant(engine), reader })
    }

    /// Opens the store; a failure is a violation, and ends an actor.
    pub(crate) fn open_or_complain(
        process: &Process,
        observer: &Observer,
        options: JsonFileOptions,
        plant: Plant,
    ) -> Option<Self> {
        let opened = Self::open(process, observer, options, plant);
        opened.inspect_err(|error| complain(observer, "open", error)).ok()
    }

    /// Reads the file, and tells the observer what it shows.
    pub(crate) fn read(&self) -> Result<(), Error> {
        read(&self.process, &self.observer, &self.reader)
    }

    /// Reads the file; a failure is a violation.
    pub(crate) fn read_or_complain(&self) {
        read_or_complain(&self.process, &self.observer, &self.reader);
    }

    /// Tells the observer what this process remembers.
    fn look(&self, since: Option<u64>) {
        self.observer.sees(self.process.pid(), since, self.reader.view().entries());
    }

    pub(crate) fn view(&self) -> Entries {
        self.reader.view().entries().into_iter().collect()
    }

    /// Commits a group.
    pub(crate) fn commit(&mut self, group: Vec<Op>) -> Result<Vec<Outcome>, Error> {
        let pid = self.process.pid();
        let asked: Vec<usize> = group.iter().map(|op| self.observer.asks(pid, op)).collect();
        let observer = self.observer.clone();
        let tell = move |index: usize, result: &Result<Outcome, Error>| {
            if let (Some(id), Ok(outcome)) = (asked.get(index), result) {
                observer.hears(*id, outcome);
            }
        };
        commit_inline(&mut self.engine, group, tell)?.into_iter().collect()
    }

    /// Commits groups one after another, and reads for an empty one; a failure is a violation.
    /// What the process remembers after a commit is no older than the commit.
    pub(crate) fn commit_or_complain(&mut self, groups: Vec<Vec<Op>>) {
        for group in groups {
            if group.is_empty() {
                self.read_or_complain();
                continue;
            }
            let since = self.observer.now();
            match self.commit(group) {
                Ok(_) => self.look(Some(since)),
                Err(error) => complain(&self.observer, "commit", &error),
            }
        }
    }

    /// What another thread of this process sees, while this one works.
    pub(crate) fn onlooker(&self, looks: usize) -> Actor {
        let (process, observer) = (self.process.clone(), self.observer.clone());
        let (reader, storage) = (Arc::clone(&self.reader), process.storage());
        Actor::new(&self.process, "onlooker", move || {
            for _ in 0..looks {
                pass(&storage);
                observer.sees(process.pid(), None, reader.view().entries());
            }
        })
    }

    /// Another thread of this process that reads the file, while this one works. A missing file
    /// leaves it with what it remembers: that is `fresh` only if nobody takes the file away.
    pub(crate) fn refresher(&self, times: usize, fresh: bool) -> Actor {
        let (process, observer) = (self.process.clone(), self.observer.clone());
        let reader = Arc::clone(&self.reader);
        Actor::new(&self.process, "refresher", move || {
            for _ in 0..times {
                if fresh {
                    read_or_complain(&process, &observer, &reader);
                } else if let Err(error) = reader.refresh() {
                    complain(&observer, "read", &error);
                }
                observer.sees(process.pid(), None, reader.view().entries());
            }
        })
    }
}

/// Does nothing, so that somebody else gets the baton.
fn pass(storage: &Arc<dyn Storage>) {
    let _nothing = storage.stat(Site::Test, Path::new("/data"));
}

fn read(process: &Process, observer: &Observer, reader: &JsonFileReader) -> Result<(), Error> {
    let since = observer.now();
    reader.refresh()?;
    observer.sees(process.pid(), Some(since), reader.view().entries());
    Ok(())
}

fn read_or_complain(process: &Process, observer: &Observer, reader: &JsonFileReader) {
    if let Err(error) = read(process, observer, reader) {
        complain(observer, "read", &error);
    }
}

fn complain(observer: &Observer, what: &str, error: &Error) {
    let what = format!("a process could not {what}: {error:?}");
    observer.complains(Violation::new(Kind::Failed, what));
}

/// A process that opens the store, reads the file if it is sure to be whole, and commits.
pub(crate) fn writer(
    world: &World,
    name: &str,
    observer: &Observer,
    options: JsonFileOptions,
    groups: Vec<Vec<Op>>,
) -> Actor {
    writer_in(&world.process(), name, observer, options, groups, |engine| engine)
}

/// The same in this process, and with whatever is planted.
pub(crate) fn writer_in(
    process: &Process,
    name: &str,
    observer: &Observer,
    options: JsonFileOptions,
    groups: Vec<Vec<Op>>,
    plant: Plant,
) -> Actor {
    let (told, own) = (observer.clone(), process.clone());
    Actor::new(process, name, move || {
        let opened = Client::open_or_complain(&own, &told, options, plant);
        let Some(mut client) = opened else { return };
        if options.recover == Recover::Refuse {
            client.read_or_complain();
        }
        client.commit_or_complain(groups);
    })
}

/// A process that opens the store and reads it again and again.
pub(crate) fn reader(
    world: &World,
    observer: &Observer,
    options: JsonFileOptions,
    times: usize,
) -> Actor {
    let (process, observer) = (world.process(), observer.clone());
    Actor::new(&process.clone(), "reader", move || {
        let opened = Client::open_or_complain(&process, &observer, options, |engine| engine);
        let Some(client) = opened else { return };
        for _ in 0..times {
            client.read_or_complain();
        }
    })
}
