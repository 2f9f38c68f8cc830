//! What the tests of the log engine share: a user of it whose frames can be told by their numbers,
//! and a process that uses a log and says what it was told.
#![allow(dead_code, reason = "each test uses its part of this")]

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemark_core::segment::{
    Cursor, Frame, KIND_USER_MIN, Log, LogOptions, Opened, Position, Replay, Writer, frame_bytes,
};
use tidemark_core::{Error, ErrorKind, Result, Storage};
use tidemark_sim::{Choice, Disk, World};
use tidemark_storage::Site;

pub(crate) const LOG: &str = "/data/log";

/// Small segments, in which a frame of more than a block still fits.
pub(crate) fn options() -> LogOptions {
    LogOptions { spares_max: 2, ..LogOptions::new(*b"toy\0\0\0\0\0", 32 << 10) }
}

/// A disk with a directory for a log.
pub(crate) fn empty_disk() -> Disk {
    let mut disk = Disk::new();
    disk.mkdir(LOG, 0o700);
    disk
}

/// The records of the frame with this number: every size that matters, by turns.
pub(crate) fn records(number: u64) -> Vec<Vec<u8>> {
    let sizes: &[usize] = match number % 5 {
        0 => &[90],
        1 => &[3000, 0, 7],
        2 => &[5000],
        3 => &[],
        _ => &[500, 501],
    };
    let byte =
        |index: usize, at: usize| (number + index as u64 * 7 + at as u64).to_le_bytes()[0] | 1;
    let fill = |index: usize, size: usize| (0..size).map(|at| byte(index, at)).collect();
    sizes.iter().enumerate().map(|(index, size)| fill(index, *size)).collect()
}

/// The user: the next number is all its state.
#[derive(Debug, Default)]
pub(crate) struct Toy {
    pub(crate) next: u64,
    pub(crate) is_begun: bool,
}

fn number_of(bytes: &[u8]) -> Result<u64> {
    let bytes: Option<[u8; 8]> = bytes.try_into().ok();
    bytes.map(u64::from_le_bytes).ok_or_else(|| Error::new(ErrorKind::Corrupt, "no number"))
}

/// Whether a frame is the one that its number says; anything else is a failure of the test.
pub(crate) fn is_as_written(frame: &Frame) {
    let found: Vec<&[u8]> = frame.records().collect();
    assert_eq!(found, records(frame.number()), "SG-9: frame {} is another", frame.number());
    assert_eq!(frame.record_count(), found.len());
}

impl Replay for Toy {
    fn complete(&mut self, segment: u32, preamble: &[u8], summary: &[u8]) -> Result<()> {
        self.begin(segment, 0, preamble)?;
        self.next = number_of(summary)?;
        Ok(())
    }

    fn begin(&mut self, segment: u32, _size_bytes: u32, preamble: &[u8]) -> Result<()> {
        let next = number_of(preamble)?;
        if std::mem::replace(&mut self.is_begun, true) && next != self.next {
            let message = format!("segment {segment} goes on with {next}, not {}", self.next);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.next = next;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<()> {
        is_as_written(frame);
        if frame.number() != self.next {
            let message = format!("frame {} where {} should be", frame.number(), self.next);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.next += 1;
        Ok(())
    }

    fn preamble(&self) -> Vec<u8> {
        self.next.to_le_bytes().to_vec()
    }

    fn summary(&self) -> Vec<u8> {
        self.preamble()
    }
}

/// What a process did, and what it was told: frames by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// All before this were staged once.
    pub(crate) staged: u64,
    /// All before this survive a kill.
    pub(crate) written: u64,
    /// All before this survive a power cut.
    pub(crate) synced: u64,
    /// All before this may be gone from the front.
    pub(crate) removable: u64,
}

pub(crate) type Told = Arc<Mutex<Known>>;

pub(crate) fn told(known: &Told) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process with a log.
pub(crate) struct Client {
    pub(crate) log: Log,
    pub(crate) writer: Writer,
    pub(crate) next: u64,
    /// The first frame of the active segment.
    pub(crate) first: u64,
    pub(crate) known: Told,
}

pub(crate) fn open(storage: &Arc<dyn Storage>, options: &LogOptions) -> Result<(Opened, Toy)> {
    let mut toy = Toy::default();
    let opened = Log::open(storage, Path::new(LOG), options, &mut toy)?;
    Ok((opened, toy))
}

impl Client {
    /// Opens the log: all that is found is durable from then on.
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        options: &LogOptions,
        known: &Told,
    ) -> Result<Self> {
        let (Opened { log, writer, .. }, Toy { next, .. }) = open(storage, options)?;
        {
            let mut known = told(known);
            known.staged = known.staged.max(next);
            (known.written, known.synced) = (next, next);
        }
        Ok(Self { log, writer, next, first: 0, known: Arc::clone(known) })
    }

    /// Stages a frame; rolls if there is no room.
    pub(crate) fn stage(&mut self) -> Result<()> {
        let records = records(self.next);
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let size = frame_bytes(records.len(), records.iter().map(|it| it.len()).sum()).unwrap();
        if size > self.writer.room() {
            self.roll()?;
        }
        let before = self.writer.position();
        let (start, end) = self.writer.stage(KIND_USER_MIN, 0, self.next, records.iter().copied());
        assert!(before <= start && start < end, "{before:?} {start:?} {end:?}");
        assert_eq!(end.offset() - start.offset(), size);
        self.next += 1;
        told(&self.known).staged = self.next;
        Ok(())
    }

    pub(crate) fn roll(&mut self) -> Result<()> {
        let next = self.log.prepare(self.writer.segment().number() + 1)?;
        let state = self.next.to_le_bytes();
        self.writer.roll(next, &state, &state)?;
        self.first = self.next;
        self.is_synced();
        Ok(())
    }

    pub(crate) fn write(&mut self) -> Result<()> {
        assert_eq!(self.writer.write()?, self.writer.position());
        told(&self.known).written = self.next;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<()> {
        self.write()?;
        assert_eq!(self.writer.sync()?, self.writer.written());
        self.is_synced();
        Ok(())
    }

    fn is_synced(&self) {
        let mut known = told(&self.known);
        (known.written, known.synced) = (self.next, self.next);
    }

    /// Removes all segments but the active one, once that is proven to hold something.
    pub(crate) fn remove(&mut self) -> Result<()> {
        self.sync()?;
        self.writer.mark()?;
        self.writer.sync()?;
        told(&self.known).removable = self.first;
        self.log.remove_before(self.writer.segment().number())
    }

    pub(crate) fn close(mut self) -> Result<()> {
        self.writer.close_mark()?;
        self.is_synced();
        Ok(())
    }
}

/// The numbers of all frames between the first segment and a position, in order, each verified.
pub(crate) fn read_all(storage: &dyn Storage, log: &Log, end: Position) -> Result<Vec<u64>> {
    let names = storage.read_dir(Site::Test, log.directory()).unwrap();
    let number = |name: &std::ffi::OsString| {
        u32::from_str_radix(name.to_str()?.strip_suffix(".segment")?, 16).ok()
    };
    let first = names.iter().filter_map(number).min().unwrap();
    let mut cursor = Cursor::start(&log.open_segment(first)?);
    let mut found = Vec::new();
    while cursor.position() < end {
        match cursor.next(end)? {
            Some(frame) if frame.kind() >= KIND_USER_MIN => {
                is_as_written(&frame);
                assert_eq!(cursor.segment().read_frame(frame.start().offset())?, frame);
                found.push(frame.number());
            }
            Some(_) => {}
            None => cursor.go_on(&log.open_segment(cursor.position().segment() + 1)?)?,
        }
    }
    Ok(found)
}

/// Whether these are consecutive numbers, none before `removable` missing but from the front, and
/// as far as `must` at least and `may` at most.
pub(crate) fn is_a_prefix(found: &[u64], next: u64, known: &Known, must: u64) {
    let first = found.first().copied().unwrap_or(next);
    // An empty log is empty at the end that its state tells.
    assert_eq!(found, (first..next).collect::<Vec<_>>(), "C3: a hole or a double: {known:?}");
    assert!(first <= known.removable, "{first} is the first: {known:?}");
    assert!(next >= must, "C1: {next} is the next, and {must} were acknowledged: {known:?}");
    assert!(next <= known.staged, "C3: {next} is the next: {known:?}");
}

/// Opens what a stop left, judges it, and sees that the log still works.
pub(crate) fn judge(disk: &Disk, options: &LogOptions, known: &Known, must: u64) {
    let world = World::new(disk.clone(), 1);
    let storage = world.process().storage();
    let proven = Log::inspect(&storage, Path::new(LOG), options, None, Toy::default);
    assert_eq!(world.disk().names(LOG), disk.names(LOG), "a reader changes nothing");
    let found = {
        let (Opened { log, writer, .. }, toy) = open(&storage, options).unwrap();
        let found = read_all(storage.as_ref(), &log, writer.written()).unwrap();
        is_a_prefix(&found, toy.next, known, must);
        match proven {
            Ok(proven) => assert!(proven.replay.next <= toy.next, "R-1: not even written"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}"),
        }
        found
    };
    let known = Told::default();
    let mut client = Client::open(&storage, options, &known).unwrap();
    let added = client.next;
    client.stage().unwrap();
    client.sync().unwrap();
    // SG-4: what was acknowledged since has a name that lasts, too.
    let cut = World::new(world.disk().after_power_cut(&Choice::Nothing), 1);
    let (_, toy) = open(&cut.process().storage(), options).unwrap();
    assert_eq!(toy.next, added + 1, "C1: lost with the name of its segment");
    client.close().unwrap();
    let (Opened { log, writer, report }, _) = open(&storage, options).unwrap();
    assert!(report.closed && report.copied_frames == 0, "a mark closes a log: {report:?}");
    let expected: Vec<u64> = found.into_iter().chain([added]).collect();
    assert_eq!(read_all(storage.as_ref(), &log, writer.written()).unwrap(), expected);
}
