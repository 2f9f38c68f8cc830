//! One operation, tried with every stop in every company, and what is checked after each.

use tidemark_core::ErrorKind;
use tidemark_core::checkpoint::{JsonFileOptions, Op, Recover};
use tidemark_sim::{Actor, Choice, CrashState, Disk, Explore, Plan, Report, Schedule, Stop, World};

use super::client::{Client, Plant, STATE, reader, writer, writer_in};
use super::observer::{Entries, Observer};
use super::verdict::{Jury, Kind, Verdict, Violation};
use super::workload::{disk_with, put, rival_ops};

/// Disks to look at for each power cut, where one process works alone.
const DISKS_ALONE: usize = 64;
/// The same, where others are about or a first stop went before: the telling ones come first.
pub(super) const DISKS_IN_COMPANY: usize = 1;

/// An operation and the file that it works on.
#[derive(Clone)]
pub(crate) struct Scenario {
    /// The disk at first, and what the file on it holds.
    pub(crate) start: Disk,
    pub(crate) initial: Entries,
    pub(crate) options: JsonFileOptions,
    /// What went on before on the same machine, and is not synced.
    pub(crate) before: Option<fn(&World, &Observer)>,
    /// Whether the process reads the file before it commits.
    pub(crate) reads_first: bool,
    /// What an operator does to the disk after the process has read the file: all is lost by it.
    pub(crate) accident: Option<fn(&mut Disk)>,
    /// What the process commits, one group after another.
    pub(crate) groups: Vec<Vec<Op>>,
    /// Bytes that do not decode: they may be the file's, and must never get lost.
    pub(crate) damage: Option<&'static [u8]>,
    /// Texts that the file must hold.
    pub(crate) kept: &'static [&'static str],
    /// The mode that the file must have.
    pub(crate) mode: u32,
    pub(crate) plant: Plant,
}

/// Who else is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// Nobody; the process opens the store as part of what is stopped.
    Nobody,
    /// Another process that writes.
    Rival,
    /// Another process that reads.
    Reader,
    /// Other threads of the process: one that looks at its memory, one that reads the file.
    Threads,
    /// All of them.
    Crowd,
}

impl Scenario {
    /// One group on a file with these checkpoints.
    pub(crate) fn new(initial: &Entries, group: Vec<Op>) -> Self {
        let options = JsonFileOptions::default();
        Self {
            start: disk_with(initial),
            initial: initial.clone(),
            options,
            before: None,
            reads_first: true,
            accident: None,
            groups: vec![group],
            damage: None,
            kept: &[],
            mode: 0o600,
            plant: |engine| engine,
        }
    }

    /// Cuts the power and kills at every call, alone, in all company and twice in a row.
    pub(crate) fn survives_everything(&self, seeds: impl Iterator<Item = u64>) -> usize {
        let jury = Jury::default();
        self.alone(1, &jury);
        self.switched(&jury);
        self.rival_killed(&jury);
        for seed in seeds {
            self.crowded(seed, &jury);
        }
        jury.judged_count()
    }

    /// One process: every power cut, every kill, and after each of them a second one of each.
    pub(crate) fn alone(&self, seed: u64, jury: &Jury) {
        let explore = Explore::new(&self.start, DISKS_ALONE, seed);
        let body = |world: &World| self.body(world, Company::Nobody);
        let check = |state: &CrashState, observer: &Observer| {
            if !jury.is_done() {
                self.judge(state, observer, jury);
            }
            if !jury.is_done() && jury.is_new(&state.disk) {
                self.stopped_again(state, observer, jury);
            }
        };
        explore.power_cuts(body, check);
        explore.kills(body, check);
    }

    /// One process, killed at every call; the power stays on, or goes after that.
    pub(crate) fn kills_alone(&self, jury: &Jury) {
        let explore = Explore::new(&self.start, DISKS_ALONE, 1);
        explore.kills(
            |world| self.body(world, Company::Nobody),
            |state, observer| {
                if !jury.is_done() {
                    self.judge(state, observer, jury);
                }
            },
        );
    }

    /// Another process's whole run between any two calls of this one, and the power cut at every
    /// call from there on.
    pub(crate) fn switched(&self, jury: &Jury) {
        for company in [Company::Rival, Company::Reader, Company::Threads] {
            for switch in 0..self.calls() {
                let all = self.run_switched(company, switch, None, None).1.calls;
                for call in switch..=all {
                    self.cut_switched(company, switch, call, jury);
                }
            }
        }
    }

    fn cut_switched(&self, company: Company, switch: u64, call: u64, jury: &Jury) {
        if jury.is_done() {
            return;
        }
        let stop = Stop::PowerCut { at_call: call };
        let (world, report, observer) = self.run_switched(company, switch, Some(stop), None);
        for (choice, disk) in world.disk().crashes(DISKS_IN_COMPANY, call) {
            let (report, choice) = (report.clone(), Some(choice));
            let (site, killed, seed) = (None, None, switch);
            let state = CrashState { disk, report, call, site, killed, choice, seed };
            self.judge(&state, &observer, jury);
            if !jury.is_done() && jury.is_picked(&state.disk) {
                self.stopped_again(&state, &observer, jury);
            }
        }
    }

    pub(super) fn run_switched(
        &self,
        company: Company,
        switch: u64,
        stop: Option<Stop>,
        then: Option<Stop>,
    ) -> (World, Report, Observer) {
        let world = World::new(self.start.clone(), switch);
        let (actors, observer) = self.body(&world, company);
        let schedule = Schedule::SwitchAt(switch);
        let report = world.run(actors, &Plan { stop, then, schedule, ..Plan::default() });
        assert_eq!(report.deadlock, None, "{company:?}, switched at {switch}, {stop:?}");
        (world, report, observer)
    }

    /// Everybody at once, interleaved as the seed says.
    pub(crate) fn crowded(&self, seed: u64, jury: &Jury) {
        let explore = Explore::new(&self.start, DISKS_IN_COMPANY, seed);
        let body = |world: &World| self.body(world, Company::Crowd);
        let check = |state: &CrashState, observer: &Observer| {
            if !jury.is_done() {
                self.judge(state, observer, jury);
            }
        };
        explore.power_cuts(body, check);
        explore.kills(body, check);
    }

    /// How many calls the process makes alone, once it has the store open.
    pub(super) fn calls(&self) -> u64 {
        let world = World::new(self.start.clone(), 0);
        let (actors, _) = self.body(&world, Company::Threads);
        let first = actors.into_iter().take(1).collect();
        world.run(first, &Plan::default()).calls
    }

    /// The actors of one run, and who observes them.
    pub(crate) fn body(&self, world: &World, company: Company) -> (Vec<Actor>, Observer) {
        let observer = Observer::new(&self.initial);
        if let Some(before) = self.before {
            before(world, &observer);
        }
        if company == Company::Nobody && self.accident.is_none() && self.reads_first {
            let (options, groups) = (self.options, self.groups.clone());
            let (of, plant) = (&observer, self.plant);
            let alone = writer_in(&world.process(), "writer", of, options, groups, plant);
            return (vec![alone], observer);
        }
        let process = world.process();
        let opened = Client::open_or_complain(&process, &observer, self.options, self.plant);
        let Some(mut client) = opened else { return (Vec::new(), observer) };
        // A file that may be damaged can only be written.
        let readable = self.options.recover == Recover::Refuse;
        if readable && self.reads_first || self.accident.is_some() {
            client.read_or_complain();
        }
        if let Some(accident) = self.accident {
            world.with_disk(accident);
            observer.erased();
        }
        let mut others = Vec::new();
        if matches!(company, Company::Rival | Company::Crowd) {
            let groups = vec![rival_ops()];
            others.push(writer(world, "rival", &observer, self.options, groups));
        }
        if readable && matches!(company, Company::Reader | Company::Crowd) {
            others.push(reader(world, &observer, self.options, 2));
        }
        if matches!(company, Company::Threads | Company::Crowd) {
            others.push(client.onlooker(if company == Company::Crowd { 12 } else { 2 }));
            if readable {
                others.push(client.refresher(2, self.accident.is_none()));
            }
        }
        let groups = self.groups.clone();
        let work = move || client.commit_or_complain(groups);
        let mut actors = vec![Actor::new(&process, "writer", work)];
        actors.append(&mut others);
        (actors, observer)
    }

    /// What a stop left must do, as it is, and after a kill also with the power cut after it.
    pub(super) fn judge(&self, state: &CrashState, observer: &Observer, jury: &Jury) {
        let observer = observer.fork();
        observer.gone(state.killed);
        jury.hear(self.recovers(&state.disk, &observer, state.seed), state);
        if state.killed.is_some() {
            observer.gone(None);
            for disk in state.disk.power_cuts(DISKS_IN_COMPANY, state.seed) {
                jury.hear(self.recovers(&disk, &observer, state.seed), state);
            }
        }
    }

    /// Opens the store on what is left of it. All that is known must be there; the next write
    /// must work, hold, and leave nothing behind.
    pub(crate) fn recovers(&self, disk: &Disk, observer: &Observer, seed: u64) -> Verdict {
        let world = World::new(disk.clone(), seed);
        let observer = observer.fork();
        let unreadable = |error: tidemark_core::Error| {
            Violation::new(Kind::Unreadable, format!("after the stop: {error:?}"))
        };
        let process = world.process();
        let mut client =
            Client::open(&process, &observer, self.options, |engine| engine).map_err(unreadable)?;
        match client.read() {
            Err(error) if error.kind() == ErrorKind::Decode && self.is_damage(disk) => {}
            read => {
                read.map_err(unreadable)?;
                observer.judge(client.view().into_iter().collect())?;
            }
        }
        let next = client.commit(vec![put(&[(9, 1)], "recovered")]);
        next.map_err(|error| Violation::new(Kind::Failed, format!("the next put: {error:?}")))?;
        observer.judge(client.view().into_iter().collect())?;
        self.leaves_nothing_behind(&world.disk())?;
        // What was just acknowledged needs no luck.
        let cut = world.disk().after_power_cut(&Choice::Nothing);
        let (world, view) = (World::new(cut, seed), client.view());
        let again = Client::open(&world.process(), &observer, self.options, |engine| engine)
            .map_err(unreadable)?;
        again.read().map_err(unreadable)?;
        if again.view() == view {
            return Ok(());
        }
        let what = format!("{view:?} was acknowledged, {:?} survived", again.view());
        Err(Violation::new(Kind::Lost, what))
    }

    /// Whether the file is the one that does not decode, byte for byte.
    fn is_damage(&self, disk: &Disk) -> bool {
        self.damage.is_some() && disk.read(STATE).as_deref() == self.damage
    }

    /// Nothing of ours lies about, and what is not ours is as it was.
    fn leaves_nothing_behind(&self, disk: &Disk) -> Verdict {
        let leftover = |what: String| Err(Violation::new(Kind::Leftover, what));
        let names = disk.names("/data");
        if let Some(stray) = names.iter().find(|name| name.starts_with(".tidemark-")) {
            return leftover(format!("T-3: {stray} was not swept"));
        }
        let mode = disk.stat(STATE).map(|stat| stat.mode);
        if mode != Some(self.mode) {
            return leftover(format!("the mode became {mode:?}"));
        }
        let text = disk.read(STATE).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if let Some(lost) = self.kept.iter().find(|kept| !text.contains(**kept)) {
            return leftover(format!("JF-5: {lost} is gone from {text}"));
        }
        let Some(damage) = self.damage else { return Ok(()) };
        let corrupt = names.iter().filter(|name| name.starts_with("state.json.corrupt-"));
        let aside: Vec<_> = corrupt.filter_map(|name| disk.read(format!("/data/{name}"))).collect();
        if aside == [damage] {
            return Ok(());
        }
        leftover(format!("JF-10: the damaged bytes are not in quarantine, but {aside:?}"))
    }
}
