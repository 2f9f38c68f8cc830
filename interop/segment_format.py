"""Segments in another language, from docs/format/segment.md (part 1) alone.

Standard library only. Encodes and decodes headers, frames, links, marks and seals, and finds what
a directory of segments holds. What its frames mean is told in segment_wal.py.
"""

import hashlib
import re
import struct
from collections import namedtuple

BLOCK = 4096
VERSION = 1
SEGMENT_MAGIC = bytes.fromhex("8954 4d53 4547 0d0a")
SEAL_MAGIC = bytes.fromhex("8954 4d53 4c0d 0a1a")
LINK, MARK, USER_KIND_MIN = 1, 2, 16
SUMMARY_MAX = 4056

HEADER = struct.Struct("<8sHHI8s16sIIQI")
# Bytes 4 to 56 of a frame's header: what the chain covers.
FRAME_FIELDS = struct.Struct("<BBHIIIIQQQQ")
FRAME_SIZE = 64
ENTRY = struct.Struct("<II")
LINK_RECORD = struct.Struct("<IIQII")
SEAL = struct.Struct("<8sIIIIQQ")
WORD = struct.Struct("<Q")

Header = namedtuple("Header", "version log kind number size salt lives")
Frame = namedtuple("Frame", "at end kind flags number synced nonce counter chain records")
Link = namedtuple("Link", "number end chain by_recovery preamble")
Seal = namedtuple("Seal", "end chain summary")


class Refused(Exception):
    """A log that must not be opened or read, with the error's code."""

    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")
        self.code = code


def corrupt(why):
    return Refused("TIDEMARK_CORRUPT", why)


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def crc32c(*parts):
    """The CRC32C of these bytes, one after the other."""
    crc = 0xFFFFFFFF
    for part in parts:
        for byte in part:
            crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def h64(*parts):
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest()[:8], "little")


def position(number, offset):
    return number << 32 | offset


def up(value, multiple):
    return -(-value // multiple) * multiple


def place(end, size):
    """Where a frame of this size starts after one that ends at `end`."""
    room = -end % BLOCK
    crosses = size > room if size <= BLOCK else room < FRAME_SIZE
    return up(end, BLOCK) if crosses else end


# Encoding


def encode_header(log, kind, number, size, salt, lives=0, version=VERSION, lowest=VERSION):
    """The first block of a segment."""
    fields = [SEGMENT_MAGIC, version, lowest, 0, kind, log, number, size, salt, lives]
    block = bytearray(HEADER.pack(*fields).ljust(BLOCK, b"\0"))
    struct.pack_into("<I", block, 12, crc32c(block[:12], block[16:]))
    return bytes(block)


def frame_size(records):
    return up(FRAME_SIZE + ENTRY.size * len(records) + sum(map(len, records)), 8)


def encode_frame(salt, before, at, kind, flags, number, records, synced, nonce, counter):
    """A frame at offset `at` after one whose chain is `before`; returns its bytes and its chain."""
    table = b"".join(ENTRY.pack(len(record), crc32c(record)) for record in records)
    body = table + b"".join(records)
    sizes = (len(body), len(records), crc32c(table))
    fields = FRAME_FIELDS.pack(kind, flags, 0, at, *sizes, number, synced, nonce, counter)
    chain = h64(WORD.pack(before), WORD.pack(salt), fields)
    head = fields + WORD.pack(chain)
    crc = struct.pack("<I", crc32c(WORD.pack(salt), head))
    return (crc + head + body).ljust(frame_size(records), b"\0"), chain


def encode_link_record(number, end, chain, by_recovery=False):
    return LINK_RECORD.pack(number, end, chain, 1 if by_recovery else 0, 0)


def encode_seal(salt, number, end, chain, summary):
    """The last block of a complete segment."""
    fields = SEAL.pack(SEAL_MAGIC, 0, number, end, len(summary), chain, 0)
    block = bytearray((fields + summary).ljust(BLOCK, b"\0"))
    struct.pack_into("<I", block, 8, crc32c(WORD.pack(salt), block[:8], block[12:]))
    return bytes(block)


# Decoding


def decode_header(data, number, kind):
    """The header of segment `number`, checked in the order that the document gives."""
    block = data[:BLOCK]
    if len(data) < 3 * BLOCK or len(data) % BLOCK or block[:8] != SEGMENT_MAGIC:
        raise corrupt(f"segment {number}: size or magic")
    fields = HEADER.unpack_from(block)
    _, version, lowest, crc, its_kind, log, its_number, size, salt, lives = fields
    if crc != crc32c(block[:12], block[16:]):
        raise corrupt(f"segment {number}: header")
    if lowest > VERSION:
        raise Refused("TIDEMARK_UNSUPPORTED_FILE_VERSION", f"segment {number}: {version}")
    if its_kind != kind.ljust(8, b"\0"):
        raise Refused("TIDEMARK_CONFLICT", f"segment {number}: kind {its_kind!r}")
    wrong = its_number != number or salt == 0 or lowest > version or version == 0
    if wrong or size % BLOCK or size < max(len(data), 4 * BLOCK) or any(block[HEADER.size :]):
        raise corrupt(f"segment {number}: header's fields")
    return Header(version, log, its_kind, number, size, salt, lives)


class Segment:
    """The bytes of one segment under its name."""

    def __init__(self, number, data, kind):
        self.number, self.data = number, data
        self.header = decode_header(data, number, kind)
        self.salt = WORD.pack(self.header.salt)
        self.limit = len(data) - BLOCK
        self.first, self.link = self._read_link()
        self.seal = self._read_seal()

    def head(self, at):
        """The fields of a frame's header at `at`, if it is one of this life that lies there."""
        if at % 8 or at < BLOCK or at + FRAME_SIZE > self.limit or -at % BLOCK in range(1, 64):
            return None
        head = self.data[at + 4 : at + FRAME_SIZE]
        fields = FRAME_FIELDS.unpack_from(head)
        if fields[0] == 0 or fields[3] != at:
            return None
        crc = int.from_bytes(self.data[at : at + 4], "little")
        return fields if crc == crc32c(self.salt, head) else None

    def frame(self, at, before):
        """The valid frame at `at` after the chain `before`, or none (rules 1 to 6)."""
        fields = self.head(at)
        if fields is None:
            return None
        kind, flags, reserved, _, size, count, table_crc, number, synced, nonce, counter = fields
        end = at + up(FRAME_SIZE + size, 8)
        if end > self.limit or place(at, end - at) != at or synced > position(self.number, at):
            return None
        if reserved or MARK < kind < USER_KIND_MIN or count * ENTRY.size > size:
            return None
        records = self._records(at + FRAME_SIZE, end, size, count, table_crc)
        chain = WORD.unpack_from(self.data, at + 56)[0]
        if records is None:
            return None
        if kind == LINK and at == BLOCK and len(records) == 2:
            before = LINK_RECORD.unpack(records[0])[2] if len(records[0]) == 24 else None
        if before is None or (kind == LINK) != (at == BLOCK):
            return None
        if kind <= MARK and (flags or number):
            return None
        if kind == MARK and (records or synced != position(self.number, at)):
            return None
        if chain != h64(WORD.pack(before), self.salt, self.data[at + 4 : at + 56]):
            return None
        return Frame(at, end, kind, flags, number, synced, nonce, counter, chain, records)

    def _records(self, start, end, size, count, table_crc):
        at = start + ENTRY.size * count
        table = self.data[start:at]
        if crc32c(table) != table_crc or any(self.data[start + size : end]):
            return None
        if at + sum(length for length, _ in ENTRY.iter_unpack(table)) != start + size:
            return None
        records = []
        for length, crc in ENTRY.iter_unpack(table):
            records.append(self.data[at : at + length])
            at += length
            if crc32c(records[-1]) != crc:
                return None
        return records

    def _read_link(self):
        """The first frame and what it says, if the segment is begun."""
        first = self.frame(BLOCK, None)
        if first is None or len(first.records) != 2:
            return None, None
        number, end, chain, flags, reserved = LINK_RECORD.unpack(first.records[0])
        is_first = (number, end, chain) == (0, 0, 0) and self.number == 1
        if flags > 1 or reserved or not (is_first or number == self.number - 1 >= 1):
            return None, None
        return first, Link(number, end, chain, flags == 1, first.records[1])

    def _read_seal(self):
        block = self.data[self.limit :]
        magic, crc, number, end, size, chain, reserved = SEAL.unpack_from(block)
        if magic != SEAL_MAGIC or crc != crc32c(self.salt, block[:8], block[12:]):
            return None
        summary, rest = block[SEAL.size :][:size], block[SEAL.size :][size:]
        if number != self.number or size > SUMMARY_MAX or reserved or any(rest):
            return None
        return Seal(end, chain, summary)

    def walk(self, until=None):
        """The valid frames from the first one on; none behind `until`."""
        frames = [] if self.first is None else [self.first]
        while frames and frames[-1].end != until:
            last = frames[-1]
            after = self.frame(last.end, last.chain)
            if after is None:
                after = self.frame(up(last.end, BLOCK), last.chain)
            if after is None:
                break
            frames.append(after)
        return frames

    def search(self, start):
        """The highest `synced` of the frames' headers of this life from `start` on, or none.

        In a file's first life, bytes that are not zero count as one of nothing synced.
        """
        found = filter(None, (self.head(at) for at in range(start, self.limit, 8)))
        is_written = self.header.lives == 0 and any(self.data[start : self.limit])
        return max((fields[8] for fields in found), default=0 if is_written else None)


class Opened:
    """What a directory of segments holds: steps 1 to 5, and of step 6 what need not write.

    `runs` has a segment and its frames, in order; `proven` and `end` are positions; `is_torn` tells
    that bytes were found that a recovery moves into quarantine. Beside a living writer, which says
    up to where it has written, `published`, what lies behind that is not looked at.
    """

    def __init__(self, files, kind, published=None):
        self.published = published
        self.runs, self.is_closed, self.is_torn = [], False, False
        names = [name for name in files if re.fullmatch("[0-9a-f]{8}[.]segment", name)]
        numbers = sorted(int(name[:8], 16) for name in names)
        if not numbers or numbers[0] == 0 or numbers[-1] - numbers[0] >= len(numbers):
            raise corrupt("no segments, or a gap in their numbers")
        segments = [Segment(number, files[f"{number:08x}.segment"], kind) for number in numbers]
        self.segments = [segment.header for segment in segments]
        if len({segment.header.log for segment in segments}) > 1:
            raise corrupt("segments of several logs")
        begun = [segment for segment in segments if segment.link is not None]
        prepared = segments[len(begun) :]
        if begun != segments[: len(begun)] or len(prepared) > 2:
            raise corrupt("a segment that is not begun before one that is, or three of them")
        if not begun and numbers[0] != 1:
            raise corrupt("a log that lost its first segments")
        self.end = self.proven = position(numbers[0], BLOCK)
        for segment, after in zip(begun, begun[1:]):
            self._complete(segment, after.link)
        for segment in begun[-1:]:
            self._active(segment)
        for segment in prepared:
            self._whole(segment)
            self._look_behind(segment, BLOCK)
        self.is_closed &= not self.is_torn

    def _complete(self, segment, link):
        """A segment that another one follows: their ends must agree (step 3)."""
        seal = segment.seal
        agrees = seal is not None and (seal.end, seal.chain) == (link.end, link.chain)
        if not agrees and not link.by_recovery:
            raise corrupt(f"segment {segment.number}: its seal and the link after it")
        if not agrees:
            self._whole(segment)
        frames = segment.walk(link.end)
        if (frames[-1].end, frames[-1].chain) != (link.end, link.chain):
            raise corrupt(f"segment {segment.number}: its frames do not lead to its end")
        self.runs.append((segment, frames))
        self.end = self.proven = position(segment.number, link.end)

    def _active(self, segment):
        """The last segment that is begun: step 4. Its seal does not count yet."""
        self._whole(segment)
        frames = segment.walk()
        self.is_closed = frames[-1].kind == MARK
        synced = max(frame.synced for frame in frames)
        # A mark in a block of its own says so of its start, where no frame ends.
        ends = (position(segment.number, frame.end) for frame in frames)
        start = self.proven if self.runs else synced
        self.proven = max((end for end in ends if end <= synced), default=start)
        self.runs.append((segment, frames))
        self.end = position(segment.number, frames[-1].end)
        self._look_behind(segment, frames[-1].end)

    def _whole(self, segment):
        """Only a complete segment may have been cut."""
        if len(segment.data) != segment.header.size:
            raise corrupt(f"segment {segment.number}: it was cut, and is not complete")

    def _look_behind(self, segment, end):
        """What lies behind the end: evidence that it was synced, or a torn tail (step 5)."""
        if self.published is not None:
            if position(segment.number, end) < self.published:
                raise corrupt(f"segment {segment.number}: it ends before what is published")
            return
        synced = segment.search(end)
        if synced is not None and synced > position(segment.number, end):
            raise corrupt(f"segment {segment.number}: what lies behind {end:x} proves more")
        self.is_torn |= synced is not None
