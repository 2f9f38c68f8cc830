"""The sound logs of __test__/fixtures/segment: what each holds is stated here by hand.

A case returns the files of the log and what a reader must find. Those that must be refused are in
segment_damage.py.
"""

import copy
from collections import namedtuple

from segment_format import BLOCK
from segment_wal import decode_summary
from segment_writer import Writer

# First LSN, hard state, entries.
Held = namedtuple("Held", "first hard_state entries", defaults=(1, None, ()))
# What is proven and where that ends, what is there after a recovery, how the log ends.
Found = namedtuple("Found", "proven end recovered closed torn", defaults=(None, True, False))

CASES = {}


def named_in(cases):
    """A decorator that puts a case under its name."""

    def add(function):
        cases[function.__name__.replace("_", "-")] = function
        return function

    return add


case = named_in(CASES)


def text(word, size):
    """An entry of this size that can be told from others."""
    return (f"{word} " * size).encode()[:size]


@case
def new():
    """The first segment is prepared, and nothing was written."""
    log = Writer("new")
    return log.names(), Found(Held(), (1, BLOCK), closed=False)


@case
def closed():
    """Entries, empty ones among them, and a hard state, in frames of several records."""
    log = Writer("closed")
    log.entries(b"alpha", b"", b"gamma")
    log.set_hard_state(b"term 1", b"")
    log.set_hard_state(b"term 2")
    log.entries(text("large", 5000))
    end = log.close()
    entries = (b"alpha", b"", b"gamma", b"", text("large", 5000))
    files = log.names()
    # Words of a writer that is gone, a spare, and what is not ours.
    files["state"] = b"\x89TMSTAT\x01" + bytes(range(8)) + bytes(BLOCK - 16)
    files["0123456789abcdef0123456789abcdef.spare"] = bytes(log.size)
    files["0000000A.segment"] = b"not a name of ours\n"
    return files, Found(Held(1, b"term 2", entries), end)


@case
def reopened():
    """Closed and opened three times: each time the log goes on behind the mark."""
    log = Writer("reopened")
    for word in (b"first", b"second", b"third"):
        log.entries(word)
        end = log.close()
    return log.names(), Found(Held(1, None, (b"first", b"second", b"third")), end)


@case
def rolled():
    """Several segments with seals and index points, the next one prepared."""
    log = Writer("rolled")
    entries = tuple(text(f"entry {lsn}", 1500 if lsn % 3 else 90) for lsn in range(1, 21))
    log.set_hard_state(b"\x00\xff")
    for entry in entries:
        log.entries(entry)
    log.prepare(log.number + 1)
    end = log.close()
    assert log.number >= 4
    return log.names(), Found(Held(1, b"\x00\xff", entries), end)


@case
def truncated():
    """LSNs that are used again, in the same segment and in the one after a roll."""
    log = Writer("truncated")
    log.set_hard_state(b"gone", b"1", b"2", b"3", b"4")
    log.truncate(2)
    log.entries(b"3 again", b"4 again")
    log.set_hard_state(None)
    log.roll()
    log.truncate(3)
    log.entries(b"4 once more")
    log.roll()
    log.truncate(4)
    log.entries(b"5")
    end = log.close()
    entries = (b"1", b"2", b"3 again", b"4 once more", b"5")
    return log.names(), Found(Held(1, None, entries), end)


@case
def truncated_twice():
    """One sealed segment with two truncates: the lower one is its cut, and points went with it."""
    log = Writer("truncated-twice")
    points = [(lsn, log.entries(b"%d" % lsn)) for lsn in range(1, 6)]
    log.truncate(2)
    points[2:] = [(3, log.entries(b"3 again", b"4 again"))]
    log.truncate(3)
    points.append((4, log.entries(b"4 once more")))
    log.roll()
    summary = bytes(log.files[1][-BLOCK + 40 :][: 32 + 12 * len(points)])
    assert decode_summary(summary) == (1, 5, 3, points)
    end = log.close()
    return log.names(), Found(Held(1, None, (b"1", b"2", b"3 again", b"4 once more")), end)


@case
def truncated_to_nothing():
    """Every entry cut off, and the hard state kept."""
    log = Writer("truncated-to-nothing")
    log.set_hard_state(b"vote", b"1", b"2")
    log.purge(2)
    log.truncate(1)
    end = log.close()
    return log.names(), Found(Held(2, b"vote"), end)


@case
def purged():
    """The first two segments are gone, and part of the third is logically."""
    log = Writer("purged")
    log.set_hard_state(b"kept", *(b"%d" % lsn for lsn in range(1, 6)))
    log.roll()
    log.entries(b"6", b"7")
    log.roll()
    log.entries(b"8", b"9", b"10")
    log.purge(9)
    log.purge(4)
    end = log.close()
    del log.files[1], log.files[2]
    return log.names(), Found(Held(9, b"kept", (b"9", b"10")), end)


@case
def purged_beyond_the_end():
    """A snapshot was installed: the log goes on at a higher LSN, and once more in the next one."""
    log = Writer("purged-beyond-the-end")
    log.entries(b"1", b"2")
    log.purge(1000)
    log.entries(b"1000", b"1001")
    log.roll()
    log.purge(2000)
    end = log.close()
    return log.names(), Found(Held(2000), end)


@case
def closed_after_a_roll():
    """The last segment has a link and a mark; the hard state is in the link alone."""
    log = Writer("closed-after-a-roll")
    log.set_hard_state(text("largest", 2048), b"entry")
    log.roll()
    log.purge(2)
    end = log.close()
    del log.files[1]
    return log.names(), Found(Held(2, text("largest", 2048)), end)


def second_life(seed):
    """A log in a file that has frames of an earlier life in its second block of frames."""
    old = Writer(f"{seed}, first life")
    old.entries(text("in the first block", 3000))
    assert old.entries(text("first life", 3000)) == 2 * BLOCK
    log = Writer(seed)
    log.files.clear()
    log.prepare(1, old.files[1])
    log.entries(b"second life")
    return log


@case
def recycled():
    """A file in its second life, closed: frames of the first one lie behind the mark."""
    log = second_life("recycled")
    end = log.close()
    return log.names(), Found(Held(1, None, (b"second life",)), end)


@case
def recycled_and_not_closed():
    """As before without a mark: what is of an earlier life is no torn tail."""
    log = second_life("recycled-and-not-closed")
    recovered = Held(1, None, (b"second life",))
    return log.names(), Found(Held(), (1, BLOCK), recovered, False)


@case
def mark_in_the_middle():
    """A purge and the mark that proves it, then more, with a part of it proven."""
    log = Writer("mark-in-the-middle")
    log.entries(b"1", b"2", b"3")
    log.purge(3)
    end = log.mark()
    log.sync()
    log.entries(b"4")
    recovered = Held(3, None, (b"3", b"4"))
    end = (1, end[1] + 64)
    return log.names(), Found(Held(3, None, (b"3",)), end, recovered, False)


@case
def unproven():
    """Not closed: the last group is there, but no frame says that it was synced."""
    log = Writer("unproven")
    log.entries(b"proven")
    log.sync()
    end = log.end
    log.set_hard_state(b"new", b"not proven")
    log.truncate(1)
    log.entries(b"nor this")
    recovered = Held(1, b"new", (b"proven", b"nor this"))
    return log.names(), Found(Held(1, None, (b"proven",)), (1, end), recovered, False)


@case
def mark_in_the_next_block():
    """A mark that did not fit behind the last frame: no frame ends where it says all is proven."""
    log = Writer("mark-in-the-next-block")
    log.link()
    log.entries(text("to the end of the block", 2 * BLOCK - log.end - 64 - 8 - 40))
    end = (1, log.end)
    assert log.close() == (1, 2 * BLOCK) and end[1] == 2 * BLOCK - 40
    entry = log.state.entries[1]
    log.entries(b"not proven")
    recovered = Held(1, None, (entry, b"not proven"))
    # What follows a mark knows no more than the mark, if the sync of that is not known.
    return log.names(), Found(Held(1, None, (entry,)), end, recovered, False)


@case
def torn_tail():
    """Not closed: of the last group, the bytes of the first frame did not reach the medium."""
    log = Writer("torn-tail")
    log.entries(b"proven")
    log.sync()
    end = log.end
    log.entries(b"whole")
    at = log.entries(b"torn " * 300)
    log.entries(b"behind the torn one")
    log.files[1][at + 512 : at + 1024] = bytes(512)
    proven, recovered = Held(1, None, (b"proven",)), Held(1, None, (b"proven", b"whole"))
    return log.names(), Found(proven, (1, end), recovered, False, True)


@case
def torn_tail_without_its_beginning():
    """Not closed: of the last frame, the sector with its header did not reach the medium."""
    log = Writer("torn-tail-without-its-beginning")
    log.entries(b"proven")
    log.sync()
    end = log.end
    log.entries(b"whole")
    at = log.entries(text("torn", 3000))
    sector = at - at % 512 + 512
    log.files[1][at:sector] = bytes(sector - at)
    proven, recovered = Held(1, None, (b"proven",)), Held(1, None, (b"proven", b"whole"))
    return log.names(), Found(proven, (1, end), recovered, False, True)


def cut_short(seed):
    """A log with one proven and one unproven frame, and a copy of it that can recover."""
    log = Writer(seed)
    log.set_hard_state(b"h", b"proven")
    log.sync()
    recovery = copy.deepcopy(log)
    recovery.seed += ", recovery"
    log.entries(b"copied")
    recovery.files = log.files
    return log, recovery, [(16, 0, 2, (b"copied",))]


@case
def recovery_cut_short():
    """The segment of a recovery has its name; the old one has no seal and still its tail."""
    _, recovery, frames = cut_short("recovery-cut-short")
    recovery.recover(frames)
    end = (1, recovery.before[1])
    proven, recovered = Held(1, b"h", (b"proven",)), Held(1, b"h", (b"proven", b"copied"))
    return recovery.names(), Found(proven, end, recovered, False)


@case
def recovery_beside_an_old_seal():
    """As before, but a roll whose sync failed had left a seal that names a later end."""
    log, recovery, frames = cut_short("recovery-beside-an-old-seal")
    log.seal()
    recovery.recover(frames)
    end = (1, recovery.before[1])
    proven, recovered = Held(1, b"h", (b"proven",)), Held(1, b"h", (b"proven", b"copied"))
    return recovery.names(), Found(proven, end, recovered, False)


@case
def recovered():
    """After a recovery and a clean close: the old segment has three blocks."""
    log, recovery, frames = cut_short("recovered")
    recovery.seal()
    seal = log.files[1][-BLOCK:]
    log.files[1][2 * BLOCK :] = seal
    recovery.recover(frames)
    recovery.entries(b"after it")
    end = recovery.close()
    assert len(log.files[1]) == 3 * BLOCK
    entries = (b"proven", b"copied", b"after it")
    return recovery.names(), Found(Held(1, b"h", entries), end)


@case
def roll_cut_short():
    """A power cut in the sync of a roll: the seal is on the medium, the last group is not."""
    log = Writer("roll-cut-short")
    log.entries(b"proven")
    log.sync()
    end = log.end
    log.entries(b"whole")
    at = log.entries(text("lost", 4000))
    log.roll()
    assert at % BLOCK == 0
    log.files[1][at : at + BLOCK] = bytes(BLOCK)
    recovered = Held(1, None, (b"proven", b"whole"))
    return log.names(), Found(Held(1, None, (b"proven",)), (1, end), recovered, False)


@case
def sealed_but_not_followed():
    """A roll whose sync may have failed: the seal is there, but nothing was begun behind it."""
    log = Writer("sealed-but-not-followed")
    log.entries(b"proven")
    log.sync()
    end = log.end
    log.entries(b"not proven")
    log.roll()
    recovered = Held(1, None, (b"proven", b"not proven"))
    return log.names(), Found(Held(1, None, (b"proven",)), (1, end), recovered, False)


@case
def frames_behind_a_mark():
    """Reopened, and cut in a group: its first frame, in the mark's block, is lost, not its next."""
    log = Writer("frames-behind-a-mark")
    log.entries(b"closed")
    end = log.close()
    block = bytes(log.files[1][BLOCK : 2 * BLOCK])
    held = Held(1, None, (b"closed",))
    log.entries(b"lost")
    at = log.entries(text("unseen", 4000))
    assert at == 2 * BLOCK
    log.files[1][BLOCK : 2 * BLOCK] = block
    return log.names(), Found(held, end, held, False, True)


@case
def example():
    """The worked example of the document: one entry, closed."""
    log = Writer("example")
    log.entries(b"Hello, tide.")
    end = log.close()
    return log.names(), Found(Held(1, None, (b"Hello, tide.",)), end)
