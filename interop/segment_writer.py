"""Writes logs into memory, from docs/format/segment.md alone, for segment_golden.py.

Salts, nonces and ids come from a seed, so that the same calls give the same bytes.
"""

import hashlib

from segment_format import (
    BLOCK,
    LINK,
    MARK,
    Frame,
    encode_frame,
    encode_header,
    encode_link_record,
    encode_seal,
    frame_size,
    place,
    position,
)
from segment_wal import (
    ENTRIES,
    KIND,
    NEW_HARD_STATE,
    NO_HARD_STATE,
    PURGE,
    TRUNCATE,
    State,
)


class Writer:
    """One log. `files` are its segments by number; the one that is written is `number`."""

    def __init__(self, seed, size=4 * BLOCK):
        self.seed, self.size, self.files, self.salts = seed, size, {}, {}
        self.draws = 0
        self.log = self.draw(16)
        self.state = State()
        self.open()
        self._enter(1, (0, 0, 0))
        self.synced = position(1, BLOCK)

    def draw(self, size):
        self.draws += 1
        return hashlib.sha256(f"{self.seed} {self.draws}".encode()).digest()[:size]

    def draw_word(self):
        return int.from_bytes(self.draw(8), "little")

    def open(self):
        """As another opening of the same log: a new nonce."""
        self.nonce, self.counter = self.draw_word(), 0

    def prepare(self, number, old=None):
        """The file of a segment: new, or in another life of these bytes."""
        salt = self.draw_word()
        data = bytearray(self.size) if old is None else bytearray(old)
        lives = 0 if old is None else 1
        data[:BLOCK] = encode_header(self.log, KIND, number, len(data), salt, lives)
        self.files[number], self.salts[number] = data, salt

    def _enter(self, number, before):
        if number not in self.files:
            self.prepare(number)
        self.number, self.before, self.by_recovery = number, before, False
        self.end, self.chain, self.is_begun = BLOCK, before[2], False
        self.state.begin_segment(len(self.files[number]))

    def entries(self, *entries):
        return self._frame(ENTRIES, 0, self.state.next, entries)

    def set_hard_state(self, hard_state, *entries):
        if hard_state is None:
            return self._frame(ENTRIES, NO_HARD_STATE, self.state.next, entries)
        return self._frame(ENTRIES, NEW_HARD_STATE, self.state.next, (hard_state, *entries))

    def truncate(self, after):
        return self._frame(TRUNCATE, 0, after, ())

    def purge(self, before):
        return self._frame(PURGE, 0, before, ())

    def sync(self):
        self.synced = position(self.number, self.end)

    def link(self):
        """Begins the segment, if it is not."""
        if not self.is_begun:
            self.is_begun = True
            record = encode_link_record(*self.before, self.by_recovery)
            self._write(LINK, 0, 0, (record, self.state.preamble()))

    def _frame(self, kind, flags, number, records):
        self.link()
        at = place(self.end, frame_size(records))
        if at + frame_size(records) > len(self.files[self.number]) - BLOCK:
            self.roll()
            self.link()
        return self._write(kind, flags, number, records)

    def _write(self, kind, flags, number, records):
        data = self.files[self.number]
        at = place(self.end, frame_size(records))
        fields = (kind, flags, number, records, self.synced, self.nonce, self.counter)
        salt = self.salts[self.number]
        frame, chain = encode_frame(salt, self.chain, at, *fields)
        end = at + len(frame)
        # Whole blocks: what is left of the last one is zero.
        data[self.end : -(-end // BLOCK) * BLOCK] = bytes(-(-end // BLOCK) * BLOCK - self.end)
        data[at:end] = frame
        written = (kind, flags, number, self.synced, self.nonce, self.counter, chain, records)
        self.state.apply(Frame(at, end, *written))
        self.counter += 1
        self.end, self.chain = end, chain
        return at

    def seal(self, end=None, chain=None):
        """Writes the seal into the last block."""
        data, summary = self.files[self.number], self.state.summary()
        ends = (end or self.end, chain or self.chain)
        data[-BLOCK:] = encode_seal(self.salts[self.number], self.number, *ends, summary)

    def roll(self):
        self.link()
        self.seal()
        self.sync()
        self._enter(self.number + 1, (self.number, self.end, self.chain))

    def mark(self):
        """Everything is synced before the mark says so; returns where that ends."""
        self.link()
        room = len(self.files[self.number]) - BLOCK - place(self.end, frame_size(()))
        if room < frame_size(()):
            self.roll()
            self.link()
        # A mark names its own start, which may be the block behind the last frame.
        self.synced = position(self.number, place(self.end, frame_size(())))
        return (self.number, self._write(MARK, 0, 0, ()))

    def close(self):
        end = self.mark()
        self.open()
        return end

    def recover(self, frames):
        """Goes on from here in a new file, and writes these frames behind its link (step 6)."""
        self.files.pop(self.number + 1, None)
        self.open()
        self._enter(self.number + 1, (self.number, self.end, self.chain))
        self.by_recovery = True
        self.link()
        for kind, flags, number, records in frames:
            self._write(kind, flags, number, records)

    def names(self):
        """The files by their names in the directory."""
        return {f"{number:08x}.segment": bytes(data) for number, data in self.files.items()}
