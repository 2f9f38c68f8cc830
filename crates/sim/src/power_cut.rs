//! What a power cut may leave of a disk.
//!
//! Everything that is not synced survives or not, independently (V2), in the order in which it
//! was done; the medium is then all there is. [`Disk::crashes`] tries all combinations where there
//! are few, and otherwise the ones that find the most mistakes, followed by random ones.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::disk::Disk;
use crate::random::Random;

/// What the time without power takes.
const DARK: Duration = Duration::from_secs(1);

/// Which of the unsynced changes reached the medium.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// The operations on directories only: names without data.
    Names,
    /// Content, sizes, modes and owners only: data without names.
    Data,
    /// Those marked true, in the order of [`Disk::unsynced_items`]. What has no mark is lost.
    Keep(Vec<bool>),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing survives"),
            Self::Everything => f.write_str("everything survives"),
            Self::Names => f.write_str("names survive, data does not"),
            Self::Data => f.write_str("data survives, names do not"),
            Self::Keep(marks) => {
                let marks = marks.iter().map(|kept| if *kept { '1' } else { '0' });
                write!(f, "survives where 1: {}", marks.collect::<String>())
            }
        }
    }
}

impl Choice {
    fn keeps(&self, index: usize, is_name: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Names => is_name,
            Self::Data => !is_name,
            Self::Keep(marks) => marks.get(index).copied().unwrap_or(false),
        }
    }
}

impl Disk {
    /// The disk after a power cut, and a start of the machine: only what reached the medium is
    /// left, nothing is open or locked.
    #[must_use]
    pub fn after_power_cut(&self, choice: &Choice) -> Self {
        let mut disk = self.clone();
        for (index, item) in self.unsynced.iter().enumerate() {
            if choice.keeps(index, item.change.is_name()) {
                disk.apply(&item.change, false);
            }
        }
        disk.start_from_medium();
        disk.advance(DARK);
        disk
    }

    /// The disks that a power cut now may leave, without doubles: see [`Disk::crashes`].
    pub fn power_cuts(&self, limit: usize, seed: u64) -> impl Iterator<Item = Self> {
        self.crashes(limit, seed).map(|(_, disk)| disk)
    }

    /// The disks that a power cut now may leave, each with how it came about, without doubles.
    ///
    /// All combinations if `limit` has room for them. Otherwise: nothing survived; everything;
    /// only names; only data; each single change lost alone, and kept alone (a whole operation at
    /// a time where `limit` has no room for each of its sectors); then all combinations of whole
    /// operations if they fit, and random ones up to `limit`. All but the last two kinds are there
    /// whatever the limit. The same disk, limit and seed give the same disks.
    pub fn crashes(&self, limit: usize, seed: u64) -> impl Iterator<Item = (Choice, Self)> {
        let mut known = HashSet::new();
        self.choices(limit, seed).into_iter().filter_map(move |choice| {
            let disk = self.after_power_cut(&choice);
            known.insert(disk.fingerprint()).then_some((choice, disk))
        })
    }

    fn choices(&self, limit: usize, seed: u64) -> Vec<Choice> {
        let count = self.unsynced.len();
        let singles: Vec<usize> = (0..count).collect();
        if subsets(count).is_some_and(|subsets| subsets <= limit) {
            return all_subsets(&singles);
        }
        let mut choices = vec![Choice::Nothing, Choice::Everything, Choice::Names, Choice::Data];
        let (operations, operation_count) = self.operations();
        let (units, unit_count) = if 2 * count + choices.len() <= limit {
            (singles, count)
        } else {
            (operations.clone(), operation_count)
        };
        for lost in 0..unit_count {
            choices.push(Choice::Keep(units.iter().map(|unit| *unit != lost).collect()));
            choices.push(Choice::Keep(units.iter().map(|unit| *unit == lost).collect()));
        }
        let room = limit.saturating_sub(choices.len());
        if subsets(operation_count).is_some_and(|subsets| subsets <= room) {
            choices.extend(all_subsets(&operations));
        }
        let mut random = Random::new(seed);
        while choices.len() < limit {
            choices.push(self.random_choice(&operations, operation_count, &mut random));
        }
        choices
    }

    /// To which operation each change belongs, numbered from 0, and how many there are.
    fn operations(&self) -> (Vec<usize>, usize) {
        let mut count: usize = 0;
        let mut last = None;
        let mut operations = Vec::with_capacity(self.unsynced.len());
        for item in &self.unsynced {
            if last.replace(item.operation) != Some(item.operation) {
                count += 1;
            }
            operations.push(count - 1);
        }
        (operations, count)
    }

    fn random_choice(&self, operations: &[usize], count: usize, random: &mut Random) -> Choice {
        let density = 32 + random.next() % 192;
        let torn = random.below(count);
        let whole: Vec<bool> = (0..count).map(|_| random.chance(density)).collect();
        let way = random.below(4);
        let keep = self.unsynced.iter().zip(operations).map(|(item, operation)| match way {
            // Each change for itself.
            0 => random.chance(density),
            // In order up to a point, with a torn operation there and a rare leftover beyond it.
            1 if *operation < torn => true,
            1 if *operation > torn => random.chance(16),
            1 => random.chance(128),
            // The names are there; the data came as it liked.
            2 => item.change.is_name() || random.chance(density),
            // Whole operations, one of them torn.
            _ if *operation == torn => random.chance(128),
            _ => whole.get(*operation).copied().unwrap_or(false),
        });
        Choice::Keep(keep.collect())
    }

    /// Tells disks apart by what is on them.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (id, node) in &self.nodes {
            id.hash(&mut hasher);
            node.medium.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// How many subsets a set has, if that is a number worth comparing.
fn subsets(count: usize) -> Option<usize> {
    u32::try_from(count).ok().and_then(|count| 1_usize.checked_shl(count))
}

/// Every subset of units; a unit may stand for several changes.
fn all_subsets(units: &[usize]) -> Vec<Choice> {
    let count = units.last().map_or(0, |last| last + 1);
    (0..subsets(count).unwrap_or(0))
        .map(|mask| Choice::Keep(units.iter().map(|unit| mask >> unit & 1 == 1).collect()))
        .collect()
}
