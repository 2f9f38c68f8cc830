"""The logs of __test__/fixtures/segment that must be refused, each with the code of the error."""

from segment_cases import named_in
from segment_format import BLOCK, encode_frame, encode_header, encode_seal, position
from segment_writer import Writer

CASES = {}
case = named_in(CASES)


def flip(files, number, at):
    """One bit of the medium turned over."""
    files[number][at] ^= 0x10


def small(seed):
    """A log of three entries in two groups, closed; also where the second group begins."""
    log = Writer(seed)
    log.entries(b"one", b"two")
    log.sync()
    at = log.entries(b"three")
    log.close()
    return log, at


@case
def damaged_below_the_proven_end():
    """One bit of a record, with a frame behind it that says it had been synced."""
    log = Writer("damaged-below-the-proven-end")
    at = log.entries(b"one", b"two")
    log.sync()
    log.entries(b"three")
    log.sync()
    log.entries(b"four")
    flip(log.files, 1, at + 64 + 16 + 1)
    return log.names(), "TIDEMARK_CORRUPT"


@case
def damaged_before_the_mark():
    """One bit of the last frame of a closed log: the mark proves it."""
    log, at = small("damaged-before-the-mark")
    flip(log.files, 1, at + 24)
    return log.names(), "TIDEMARK_CORRUPT"


@case
def damaged_link():
    """One bit of the last segment's link: it is not taken for one that is empty."""
    log = Writer("damaged-link")
    log.entries(b"one")
    log.roll()
    log.entries(b"two")
    log.sync()
    log.entries(b"three")
    flip(log.files, 2, BLOCK + 40)
    return log.names(), "TIDEMARK_CORRUPT"


@case
def damaged_header():
    """One bit in the reserved part of a header."""
    log, _ = small("damaged-header")
    flip(log.files, 1, 4000)
    return log.names(), "TIDEMARK_CORRUPT"


@case
def damaged_in_a_sealed_segment():
    """One bit of a record before a seal: found when it is read, perhaps not when it is opened."""
    log = Writer("damaged-in-a-sealed-segment")
    at = log.entries(b"one")
    log.roll()
    log.entries(b"two")
    log.close()
    flip(log.files, 1, at + 64 + 8)
    return log.names(), "TIDEMARK_CORRUPT"


def three_segments(seed):
    log = Writer(seed)
    for word in (b"one", b"two", b"three"):
        log.entries(word)
        if word != b"three":
            log.roll()
    log.close()
    return log


@case
def missing_segment():
    """The second of three."""
    log = three_segments("missing-segment")
    del log.files[2]
    return log.names(), "TIDEMARK_CORRUPT"


@case
def missing_first_segment():
    """The first of three, which no purge covers: entries are missing (W-1)."""
    log = three_segments("missing-first-segment")
    del log.files[1]
    return log.names(), "TIDEMARK_CORRUPT"


@case
def lost_segments():
    """All of them, but the state is there."""
    return {"state": b"\x89TMSTAT\x01" + bytes(BLOCK - 8)}, "TIDEMARK_CORRUPT"


@case
def seal_of_another_end():
    """A seal, whole in itself, that names another end than the link after it."""
    log = three_segments("seal-of-another-end")
    summary = bytes(log.files[1][-BLOCK + 40 :][:44])
    seal = encode_seal(log.salts[1], 1, BLOCK + 128, 0x0123456789ABCDEF, summary)
    log.files[1][-BLOCK:] = seal
    return log.names(), "TIDEMARK_CORRUPT"


@case
def swapped_segments():
    """The second segments of two logs, one in the place of the other."""
    log, other = three_segments("swapped-segments"), three_segments("swapped-segments, other")
    log.files[2] = other.files[2]
    return log.names(), "TIDEMARK_CORRUPT"


@case
def newer_version():
    """A format that only newer readers understand."""
    log, _ = small("newer-version")
    fields = (log.log, b"wal", 1, log.size, log.salts[1], 0, 2, 2)
    log.files[1][:BLOCK] = encode_header(*fields)
    return log.names(), "TIDEMARK_UNSUPPORTED_FILE_VERSION"


@case
def another_kind():
    """A log of segments, but of another store."""
    log, _ = small("another-kind")
    log.files[1][:BLOCK] = encode_header(log.log, b"journal", 1, log.size, log.salts[1])
    return log.names(), "TIDEMARK_CONFLICT"


@case
def lsn_left_out():
    """A frame, valid in itself, whose LSN does not continue the log."""
    log = Writer("lsn-left-out")
    log.entries(b"one")
    log.sync()
    fields = (16, 0, 3, (b"three",), position(1, log.end), log.nonce, log.counter)
    frame, _ = encode_frame(log.salts[1], log.chain, log.end, *fields)
    log.files[1][log.end : log.end + len(frame)] = frame
    return log.names(), "TIDEMARK_CORRUPT"


@case
def segment_of_another_log():
    """A header, whole in itself, with the id of another log; all else agrees."""
    log = three_segments("segment-of-another-log")
    fields = (log.draw(16), b"wal", 2, log.size, log.salts[2])
    log.files[2][:BLOCK] = encode_header(*fields)
    return log.names(), "TIDEMARK_CORRUPT"


@case
def preamble_of_another_state():
    """A link whose preamble has a hard state that the segment before does not lead to."""
    log = Writer("preamble-of-another-state")
    log.entries(b"one")
    log.roll()
    log.state.hard_state = b"from nowhere"
    log.entries(b"two")
    log.close()
    return log.names(), "TIDEMARK_CORRUPT"
