"""What `Wal` puts into segments, from docs/format/segment.md (part 2) alone.

Standard library only. `State` is what the frames of a log add up to; `Reader` reads a directory of
segments, both what is proven and what a recovery would bring back.
"""

import os
import struct

from segment_format import LINK, MARK, Opened, corrupt, position

KIND = b"wal"
ENTRIES, TRUNCATE, PURGE = 16, 17, 18
NEW_HARD_STATE, NO_HARD_STATE = 1, 2
HARD_STATE_MAX = 2048
POINTS_MAX = 330
NO_CUT = 2**64 - 1

PREAMBLE = struct.Struct("<QQII")
SUMMARY = struct.Struct("<QQQII")
POINT = struct.Struct("<QI")


class State:
    """First LSN, next LSN, hard state and entries, and what a seal tells of one segment."""

    def __init__(self):
        self.first, self.next, self.hard_state, self.entries = 1, 1, None, {}
        self.is_new = True
        self.begin_segment(4 * 4096)

    def begin_segment(self, size):
        self.size, self.cut, self.points, self.is_point_due = size, NO_CUT, [], True

    def apply(self, frame):
        """Applies a frame. What does not continue the log is corruption, however valid."""
        if frame.kind == MARK:
            return
        what = {LINK: self._link, ENTRIES: self._entries, TRUNCATE: self._truncate}
        what[PURGE] = self._purge
        if frame.kind not in what:
            raise corrupt(f"a frame of kind {frame.kind}")
        if frame.kind in (TRUNCATE, PURGE) and (frame.flags or frame.records):
            raise corrupt("a truncate or a purge with flags or records")
        what[frame.kind](frame)

    def _link(self, frame):
        preamble = decode_preamble(frame.records[1])
        if self.is_new:
            # The first segment that is left: what was before it is known from here alone.
            self.first, self.next, self.hard_state = preamble
            self.is_new = False
        if preamble != (self.first, self.next, self.hard_state):
            raise corrupt("a preamble that is not the state")

    def _entries(self, frame):
        records = list(frame.records)
        if frame.flags not in (0, NEW_HARD_STATE, NO_HARD_STATE) or frame.number != self.next:
            raise corrupt(f"entries with flags {frame.flags} at LSN {frame.number}")
        if frame.flags == NEW_HARD_STATE:
            if not records or len(records[0]) > HARD_STATE_MAX:
                raise corrupt("a hard state that is missing or too large")
            self.hard_state = records.pop(0)
        elif frame.flags == NO_HARD_STATE:
            self.hard_state = None
        elif not records:
            raise corrupt("a frame without entries and hard state")
        if records:
            self._point(frame)
        for record in records:
            self.entries[self.next] = record
            self.next += 1
        if self.next >= NO_CUT:
            raise corrupt("LSNs beyond their range")

    def _point(self, frame):
        is_far = self.points and frame.at - self.points[-1][1] >= self.size // 256
        if self.is_point_due or is_far or not self.points:
            self.points.append((frame.number, frame.at))
            self.is_point_due = False

    def _truncate(self, frame):
        if not self.first - 1 <= frame.number < self.next:
            raise corrupt(f"truncate after {frame.number}")
        self._cut(frame.number + 1)
        self.points = [point for point in self.points if point[0] < self.next]

    def _purge(self, frame):
        if frame.number in (0, NO_CUT):
            raise corrupt("purge of no LSN")
        self.first = max(self.first, frame.number)
        if frame.number > self.next:
            self._cut(frame.number)
            self.points = []
        for lsn in [lsn for lsn in self.entries if lsn < self.first]:
            del self.entries[lsn]

    def _cut(self, after):
        self.next, self.cut, self.is_point_due = after, min(self.cut, after), True
        for lsn in [lsn for lsn in self.entries if lsn >= after]:
            del self.entries[lsn]

    def preamble(self):
        hard_state = self.hard_state
        size = 0 if hard_state is None else len(hard_state) + 1
        return PREAMBLE.pack(self.first, self.next, size, 0) + (hard_state or b"")

    def summary(self):
        head = SUMMARY.pack(self.first, self.next, self.cut, len(self.points), 0)
        return head + b"".join(POINT.pack(*point) for point in self.points)

    def picture(self):
        """The state in JSON; the entries are those from the first LSN on (W-1)."""
        lsns = range(self.first, self.next)
        if len(lsns) != len(self.entries) or any(lsn not in self.entries for lsn in lsns):
            raise corrupt("entries are missing")
        return {
            "first": self.first,
            "next": self.next,
            "hardState": None if self.hard_state is None else self.hard_state.hex(),
            "entries": [self.entries[lsn].hex() for lsn in lsns],
        }


def decode_preamble(data):
    """First LSN, next LSN and hard state of a link's preamble."""
    if len(data) < PREAMBLE.size:
        raise corrupt("a preamble that is too short")
    first, after, size, reserved = PREAMBLE.unpack_from(data)
    rest = data[PREAMBLE.size :]
    if reserved or not 1 <= first <= after or len(rest) > HARD_STATE_MAX:
        raise corrupt("a preamble's fields")
    if len(rest) != max(size - 1, 0):
        raise corrupt("a preamble's hard state")
    return first, after, rest if size else None


def decode_summary(data):
    """First LSN, next LSN, cut and index points of a seal."""
    if len(data) < SUMMARY.size:
        raise corrupt("a summary that is too short")
    first, after, cut, count, reserved = SUMMARY.unpack_from(data)
    points = data[SUMMARY.size :]
    if reserved or count > POINTS_MAX or len(points) != count * POINT.size:
        raise corrupt("a summary's fields")
    return first, after, cut, list(POINT.iter_unpack(points))


class Reader:
    """The log in these files: names and bytes; beside a writer that published a position."""

    def __init__(self, files, published=None):
        has_segments = any(name.endswith(".segment") for name in files)
        if not has_segments and "state" not in files:
            raise FileNotFoundError("no log")
        self.opened = Opened(files, KIND, published)

    def state(self, until=None):
        """The state after the frames that end at or below this position."""
        state = State()
        for segment, frames in self.opened.runs:
            state.begin_segment(segment.header.size)
            for frame in frames:
                beyond = until is not None and position(segment.number, frame.end) > until
                # A link says what is known without it. Whatever else lies beyond ends the look, in
                # a sealed segment too: a writer may tell later that its roll has synced that one.
                if beyond and frame.kind != LINK:
                    return state
                state.apply(frame)
            self._check_summary(segment, frames, state)
        return state

    def _check_summary(self, segment, frames, state):
        """A seal's summary says what its segment holds. One that does not count is not asked."""
        seal, is_last = segment.seal, segment is self.opened.runs[-1][0]
        if is_last or seal is None or seal.end != frames[-1].end:
            return
        if decode_summary(seal.summary) != decode_summary(state.summary()):
            raise corrupt(f"segment {segment.number}: its summary")

    def segments(self):
        """Number, size and lives of each segment, prepared ones too."""
        return [[header.number, header.size, header.lives] for header in self.opened.segments]

    def ends(self):
        """How the log ends."""
        opened = self.opened
        return {
            "closed": opened.is_closed,
            "tornTail": opened.is_torn,
            "provenEnd": [opened.proven >> 32, opened.proven & 0xFFFFFFFF],
        }

    def picture(self):
        """What docs and fixtures are compared with."""
        proven, recovered = self.state(self.opened.proven), self.state()
        holdings = {"proven": proven.picture(), "recovered": recovered.picture()}
        return {**self.ends(), **holdings}


def read_directory(directory):
    """The files that belong to a log, by name."""
    files = {}
    for entry in os.scandir(directory):
        if entry.is_file(follow_symlinks=False):
            with open(entry.path, "rb") as file:
                files[entry.name] = file.read()
    return files
