"""A writer of the JSON state file in another language (interop/state_file.py).

  python-writer.py loop PATH KEYHEX             until stdin closes
  python-writer.py loop-giving-way PATH KEYHEX  the same
  python-writer.py hold PATH KEYHEX SEQUENCE    locked until stdin closes, then one put

`loop` prints `ready`, puts 1, 2, 3, ... as fast as it can, and prints how many it put;
`loop-giving-way` lets whoever waits get up after each put. `hold` prints `locked`, then `applied`
or `refused`.
"""

import os
import select
import sys
import time

# Isolated mode leaves out every directory but those of the standard library.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "interop"))
from state_file import StateFile


def put(file, key, sequence, how=StateFile.put):
    """Whether it applied."""
    event_id = f"python@{sequence}"
    return how(file, key, sequence, event_id)["last_event_id"] == event_id


def stdin_closed(timeout=0):
    """Whether stdin is at its end; waits for that, given no timeout."""
    ready, _, _ = select.select([sys.stdin], [], [], timeout)
    return bool(ready) and os.read(0, 4096) == b""


def say(text):
    print(text, flush=True)


# A woken process needs some ten microseconds to get up, and the kernel keeps no place for it: who
# locks again sooner takes the lock from under it, put after put.
GIVE_WAY_SECONDS = 0.0002


def loop(file, key, pause=None):
    count = 0
    say("ready")
    while not stdin_closed():
        count += 1
        if not put(file, key, count):
            raise SystemExit(f"{count} was refused: somebody else puts to this key")
        if pause is not None:
            time.sleep(pause)
    say(count)


def hold(file, key, sequence):
    lock = file.lock()
    say("locked")
    while not stdin_closed(None):
        pass
    say("applied" if put(file, key, sequence, StateFile.put_locked) else "refused")
    os.close(lock)


def main(args):
    if len(args) == 3 and args[0] == "loop":
        loop(StateFile(args[1]), args[2])
    elif len(args) == 3 and args[0] == "loop-giving-way":
        loop(StateFile(args[1]), args[2], GIVE_WAY_SECONDS)
    elif len(args) == 4 and args[0] == "hold":
        hold(StateFile(args[1]), args[2], int(args[3]))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
