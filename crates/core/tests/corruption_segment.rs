//! The log engine on bytes that are not what it wrote: flipped, cut off, made up, or of an earlier
//! life. What is read is exact, or it is an error; nothing panics.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod segment_support;

use std::path::Path;

use segment_support::{Client, LOG, Told, Toy, empty_disk, open, options, read_all};
use tidemark_core::segment::{
    Cursor, KIND_USER_MIN, Log, LogOptions, Opened, Replay, SEGMENT_BYTES_MIN, frame_bytes, h64,
};
use tidemark_core::{Error, ErrorKind, Result};
use tidemark_sim::{Disk, World};

const FIRST: &str = "/data/log/00000001.segment";
const SECOND: &str = "/data/log/00000002.segment";
const FRAME_HEADER: usize = 64;

/// Two segments of the smallest size.
fn small() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES_MIN, ..options() }
}

/// A log with a frame in each of two segments.
fn two_segments(closed: bool) -> Disk {
    let world = World::new(empty_disk(), 1);
    let process = world.process();
    let mut client = Client::open(&process.storage(), &small(), &Told::default()).unwrap();
    client.stage().unwrap();
    client.roll().unwrap();
    client.stage().unwrap();
    client.sync().unwrap();
    if closed {
        client.close().unwrap();
    }
    process.kill();
    world.disk()
}

/// All that a log holds after it was opened to write.
fn found(disk: &Disk) -> Result<Vec<u64>> {
    let world = World::new(disk.clone(), 1);
    let storage = world.process().storage();
    let inspected = Log::inspect(&storage, Path::new(LOG), &small(), None, Toy::default);
    let (Opened { log, writer, .. }, toy) = open(&storage, &small())?;
    let found = read_all(storage.as_ref(), &log, writer.written())?;
    assert_eq!(found.len() as u64, toy.next);
    let inspected = inspected.map_or(0, |inspected| inspected.replay.next);
    assert!(inspected <= toy.next, "a reader sees no more than there is");
    Ok(found)
}

/// A refusal that says what it is about.
fn is_a_refusal(error: &Error) {
    let kinds = [ErrorKind::Corrupt, ErrorKind::UnsupportedFileVersion, ErrorKind::Conflict];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert!(error.path().is_some(), "{error:?}");
}

fn changed(disk: &Disk, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Disk {
    let mut disk = disk.clone();
    let mut bytes = disk.read(path).unwrap().clone();
    change(&mut bytes);
    disk.write_durable(path, &bytes, 0o600);
    disk
}

/// SG-9, D20: each byte of a log that was closed, flipped in one bit.
#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing() {
    let disk = two_segments(true);
    let mut refused = 0;
    for path in [FIRST, SECOND] {
        let size = disk.read(path).unwrap().len();
        for at in 0..size {
            let flipped = changed(&disk, path, |bytes| bytes[at] ^= 1 << (at % 8));
            match found(&flipped) {
                Ok(found) => assert_eq!(found, [0, 1], "{path} at {at}"),
                Err(error) => {
                    is_a_refusal(&error);
                    refused += 1;
                }
            }
        }
    }
    eprintln!("{refused} refused");
    assert!(refused > 3 * 4096, "{refused}: both headers and the seal at least");
}

/// SG-9: the same where the log was not closed. What is proven is there, or it is an error.
#[test]
fn a_flipped_byte_in_an_unclosed_log_costs_what_is_not_proven_at_most() {
    let disk = two_segments(false);
    let size = disk.read(SECOND).unwrap().len();
    for at in (0..size).step_by(3) {
        let flipped = changed(&disk, SECOND, |bytes| bytes[at] ^= 0x10);
        match found(&flipped) {
            Ok(found) => assert!(found == [0, 1] || found == [0], "{found:?} at {at}"),
            Err(error) => is_a_refusal(&error),
        }
    }
}

/// D17, D18: files that are cut off anywhere, or grown.
#[test]
fn a_file_that_is_cut_off_is_an_error() {
    let disk = two_segments(true);
    for path in [FIRST, SECOND] {
        let size = disk.read(path).unwrap().len();
        for cut in (0..size).chain([size + 1, 2 * size]) {
            let error = found(&changed(&disk, path, |bytes| bytes.resize(cut, 0))).unwrap_err();
            is_a_refusal(&error);
        }
    }
    let mut missing = disk.clone();
    missing.remove(FIRST);
    missing.write_durable("/data/log/00000004.segment", disk.read(FIRST).unwrap(), 0o600);
    is_a_refusal(&found(&missing).unwrap_err());
    let swapped =
        changed(&disk, SECOND, |bytes| bytes.clone_from(disk.read(FIRST).as_ref().unwrap()));
    is_a_refusal(&found(&swapped).unwrap_err());
}

/// A seeded source of choices.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = h64(&[&self.0.to_le_bytes()]);
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("SEED={seed}");
    seed
}

/// D18: headers of frames whose checksums hold although their fields are made up, and whole blocks
/// of noise: neither a panic nor a frame that was never written.
#[test]
fn made_up_bytes_are_refused() {
    let mut choices = Choices(seed());
    let disk = two_segments(false);
    let fields = [(4, 1), (5, 1), (8, 4), (12, 4), (16, 4), (20, 4), (24, 8), (32, 8), (56, 8)];
    for _ in 0..4000 {
        let made_up = changed(&disk, SECOND, |bytes| {
            let salt = bytes[48..56].to_vec();
            let at = [4096, 4208, 4312, 8192, 8200][choices.below(5)];
            for _ in 0..=choices.below(3) {
                let (field, size) = fields[choices.below(fields.len())];
                let near = bytes[at + field];
                let value = match choices.below(4) {
                    0 => u64::MAX,
                    1 => u64::from(near).wrapping_add(8),
                    2 => choices.next() & 0xFFFF,
                    _ => choices.next(),
                };
                bytes[at + field..at + field + size].copy_from_slice(&value.to_le_bytes()[..size]);
            }
            if choices.below(4) == 0 {
                for byte in &mut bytes[at + FRAME_HEADER..at + 512] {
                    *byte = choices.next().to_le_bytes()[0];
                }
            }
            let crc =
                crc32c::crc32c_append(crc32c::crc32c(&salt), &bytes[at + 4..at + FRAME_HEADER]);
            bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        });
        match found(&made_up) {
            Ok(found) => assert!(found == [0, 1] || found == [0], "{found:?}"),
            Err(error) => is_a_refusal(&error),
        }
    }
}

/// SG-5: the frames of an earlier life, which lie just where the next one would, are no part of the
/// log, and no torn tail.
#[test]
fn a_frame_of_an_earlier_life_is_never_valid() {
    let world = World::new(empty_disk(), 1);
    let process = world.process();
    let storage = process.storage();
    let mut client = Client::open(&storage, &options(), &Told::default()).unwrap();
    for _ in 0..5 {
        client.stage().unwrap();
    }
    client.roll().unwrap();
    client.stage().unwrap();
    client.remove().unwrap();
    client.roll().unwrap();
    // The next numbers are of the same sizes as those that the file held, from 5 on.
    assert_eq!((client.next, client.writer.segment().number()), (6, 3));
    for _ in 0..4 {
        client.stage().unwrap();
    }
    client.write().unwrap();
    let end = client.writer.written();
    process.kill();
    let bytes =
        world.disk().read(client.writer.segment().path().to_str().unwrap()).unwrap().clone();
    let rest = &bytes[end.offset() as usize..];
    assert!(rest.iter().any(|byte| *byte != 0), "the earlier life is still there");
    let storage = World::new(world.disk(), 1).process().storage();
    let (Opened { log, writer, report }, _) = open(&storage, &options()).unwrap();
    assert_eq!(report.cut_bytes, 0, "{report:?}");
    assert_eq!(report.copied_frames, 4);
    assert_eq!(read_all(storage.as_ref(), &log, writer.written()).unwrap(), [5, 6, 7, 8, 9]);
}

/// The padding rule, and that `room` is what fits: no more and no less.
#[test]
fn frames_lie_where_the_format_says_and_fill_a_segment() {
    let mut choices = Choices(seed());
    for _ in 0..60 {
        let world = World::new(empty_disk(), 1);
        let storage = world.process().storage();
        let (Opened { mut writer, .. }, _) = open(&storage, &options()).unwrap();
        loop {
            let room = writer.room();
            let size = 8 * choices.below(800);
            let wanted = frame_bytes(1, size).unwrap();
            let size = if wanted <= room { size } else { room.saturating_sub(72) as usize };
            if room < 72 {
                break;
            }
            let bytes = vec![1; size];
            let before = writer.position().offset();
            let (start, end) = writer.stage(KIND_USER_MIN, 0, 0, [bytes.as_slice()]);
            let (start, end) = (start.offset(), end.offset());
            assert_eq!(end - start, frame_bytes(1, size).unwrap());
            assert!(start == before || start == before.next_multiple_of(4096), "{before} {start}");
            let straddles = start / 4096 != (end - 1) / 4096;
            assert!(!straddles || end - start > 4096, "{start}..{end}");
            assert!(start % 4096 <= 4096 - 64, "{start}");
            assert!(end <= (32 << 10) - 3 * 4096, "the reserve is kept: {end}");
        }
        let reserve = writer.room_with_reserve();
        let bytes = vec![1; reserve as usize - 72];
        writer.stage(KIND_USER_MIN, 0, 0, [bytes.as_slice()]);
        writer.close_mark().unwrap();
        let too_much = vec![1; 8192];
        writer.stage(KIND_USER_MIN, 0, 0, [too_much.as_slice()]);
        assert_eq!(writer.write().unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(writer.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    }
}

/// SG-9: a torn write is refused in strict mode, and otherwise moved into quarantine.
#[test]
fn a_torn_write_is_kept_in_quarantine() {
    let disk = two_segments(true);
    let torn = changed(&disk, SECOND, |bytes| bytes[9000..9003].copy_from_slice(b"abc"));
    let world = World::new(torn.clone(), 1);
    let storage = world.process().storage();
    let strict = LogOptions { strict: true, ..small() };
    is_a_refusal(&open(&storage, &strict).unwrap_err());
    assert_eq!(world.disk().names(LOG), torn.names(LOG), "nothing was changed");
    let (Opened { report, .. }, _) = open(&storage, &small()).unwrap();
    let kept = world.disk().read(report.quarantined[0].to_str().unwrap()).unwrap().clone();
    assert_eq!(kept, b"abc\0\0\0\0\0", "a multiple of 8");
    assert_eq!(report.cut_bytes, 8);
    let (Opened { report, .. }, toy) = open(&storage, &small()).unwrap();
    assert!(report.closed && report.cut_bytes == 0, "it is cut off once: {report:?}");
    assert_eq!(toy.next, 2);
}

/// A user that takes whatever it is given.
#[derive(Default)]
struct Anything(Vec<Vec<u8>>);

impl Replay for Anything {
    fn complete(&mut self, _segment: u32, _preamble: &[u8], _summary: &[u8]) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self, _segment: u32, _size_bytes: u32, _preamble: &[u8]) -> Result<()> {
        Ok(())
    }

    fn frame(&mut self, frame: &tidemark_core::segment::Frame) -> Result<()> {
        self.0.extend(frame.records().map(<[u8]>::to_vec));
        Ok(())
    }

    fn preamble(&self) -> Vec<u8> {
        Vec::new()
    }

    fn summary(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// The worked example of the document, which another program wrote.
#[test]
fn the_worked_example_is_a_log_with_one_entry() {
    let document = include_str!("../../../docs/format/segment.md");
    let example = document.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let mut bytes = vec![0; SEGMENT_BYTES_MIN as usize];
    for line in example.lines() {
        let (at, line) = line.split_once(": ").unwrap();
        let at = usize::from_str_radix(at, 16).unwrap();
        for (index, byte) in line.split(' ').enumerate() {
            bytes[at + index] = u8::from_str_radix(byte, 16).unwrap();
        }
    }
    let mut disk = empty_disk();
    disk.write_durable(FIRST, &bytes, 0o600);
    let world = World::new(disk, 1);
    let storage = world.process().storage();
    let options = LogOptions { kind: *b"wal\0\0\0\0\0", ..small() };
    let mut entries = Anything::default();
    let Opened { log, writer, report } =
        Log::open(&storage, Path::new(LOG), &options, &mut entries).unwrap();
    assert!(report.closed);
    assert_eq!(entries.0, [b"Hello, tide."]);
    let mut cursor = Cursor::start(&log.open_segment(1).unwrap());
    let kinds: Vec<u8> =
        std::iter::from_fn(|| cursor.next(writer.written()).unwrap()).map(|it| it.kind()).collect();
    assert_eq!(kinds, [1, 16, 2], "a link, the entry, a mark");
    let error = open(&storage, &small()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "a log of another kind: {error:?}");
}
