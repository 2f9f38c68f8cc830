"""A log whose writer lives, read from beside it, from docs/format/segment.md alone.

Standard library only. The writer publishes in `state` up to where the log is durable and written; a
reader never looks past that, and has a shared lock on every segment that it has open.
"""

import fcntl
import os
import re
from collections import namedtuple

from segment_format import BLOCK, WORD, Refused, corrupt, h64
from segment_wal import Reader

STATE_MAGIC = bytes.fromhex("8954 4d53 5441 5401")
NAME = re.compile("[0-9a-f]{8}[.]segment")
ATTEMPTS = 1000

Words = namedtuple("Words", "generation written durable poison signal")


def decode_state(block):
    """The words of `state`, or none while they do not fit together."""
    if len(block) != BLOCK or block[:8] != STATE_MAGIC:
        raise corrupt("state: size or magic")
    generation, written, durable, check, poison, signal = (
        WORD.unpack_from(block, at)[0] for at in range(8, 56, 8)
    )
    # The writer stores `durable` and then `check`: between the two they differ.
    if check != h64(WORD.pack(generation), WORD.pack(durable)):
        return None
    return Words(generation, written, durable, poison, signal)


def words_of(directory):
    """What a living writer publishes, or none if there is no such writer."""
    with open(os.path.join(directory, "state"), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            pass
        for _ in range(ATTEMPTS):
            words = decode_state(os.pread(file.fileno(), BLOCK, 0))
            if words is not None:
                return words
    raise corrupt("state: its words never fit together")


class Held:
    """The segments of a directory, open and locked, until it is closed."""

    def __init__(self, directory):
        self.files = {}
        try:
            for name in sorted(filter(NAME.fullmatch, os.listdir(directory))):
                self._take(directory, name)
        except OSError:
            self.close()
            raise

    def _take(self, directory, name):
        path = os.path.join(directory, name)
        file = self.files[name] = open(path, "rb")
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Locked may be what has another name by now.
        if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            raise FileNotFoundError(path)

    def read(self):
        """Their bytes, the last one first: what is sealed when a link is seen was so before."""
        found = {}
        for name in sorted(self.files, reverse=True):
            file = self.files[name]
            found[name] = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
        return found

    def close(self):
        for file in self.files.values():
            file.close()


def look(directory):
    """The log up to what was durable and to what was written when its files were held."""
    held = Held(directory)
    try:
        words = words_of(directory)
        if words is None:
            return None
        files = held.read()
    finally:
        held.close()
    reader = Reader(files, words.written)
    return {
        "poisoned": words.poison != 0,
        "durable": reader.state(words.durable).picture(),
        "written": reader.state(words.written).picture(),
    }


def beside(directory):
    """What a reader sees beside a living writer; none without one. Looks again what has moved."""
    for attempt in range(ATTEMPTS):
        try:
            return look(directory)
        except (OSError, Refused):
            # A segment that was recycled or begun in between: what is damaged stays so.
            if attempt == ATTEMPTS - 1:
                raise
    return None
