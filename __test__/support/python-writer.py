"""A writer of the JSON state file in another language, by the book (docs/format/state-file.md).

  python-writer.py put PATH KEYHEX SEQUENCE
  python-writer.py loop PATH KEYHEX stop       until stdin closes
  python-writer.py loop PATH KEYHEX SECONDS
  python-writer.py loop-giving-way PATH KEYHEX stop
  python-writer.py hold PATH KEYHEX SEQUENCE   locked until stdin closes, then one put

`put` and `hold` print `applied` or `refused`. `loop` prints `ready`, puts 1, 2, 3, ... as fast as
it can, and prints how many it put; `loop-giving-way` lets whoever waits get up after each put.
Standard library only; waits in a blocking flock.
"""

import fcntl
import json
import os
import select
import sys
import tempfile
import time


class StateFile:
    """One state file, and the lock beside it."""

    def __init__(self, path):
        self.path = os.path.realpath(path)
        self.directory = os.path.dirname(self.path)

    def lock(self):
        """Locks the file that the lock path leads to (JF-2), and returns its descriptor."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            lock = os.open(self.path + ".lock", flags, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(lock), os.lstat(self.path + ".lock")):
                    return lock
            except FileNotFoundError:
                pass
            os.close(lock)

    def read(self):
        """The document; what is absent is empty. Members that are not known are kept (JF-5)."""
        try:
            with open(self.path, encoding="utf-8") as file:
                state = json.load(file)
        except FileNotFoundError:
            return {"version": 1, "key_format_version": 1, "checkpoints": {}}
        if (state["version"], state["key_format_version"]) != (1, 1):
            raise SystemExit("a state file of another version")
        return state

    def write(self, state):
        """Replaces the file, durably (JF-1)."""
        state["checkpoints"] = dict(sorted(state["checkpoints"].items()))
        text = json.dumps(state, indent=2, ensure_ascii=False)
        descriptor, temporary = tempfile.mkstemp(".tmp", ".python-", self.directory)
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self.path)
        self.sync_directory()

    def sync_directory(self):
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)

    def put_locked(self, key, sequence):
        """Puts if the sequence is higher; with the lock held."""
        state = self.read()
        known = state["checkpoints"].get(key)
        if known is not None and known["last_committed_sequence"] >= sequence:
            # Reported only when it is durable, whoever wrote it (JF-3).
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
            self.sync_directory()
            return False
        checkpoint = known if known is not None else {}
        checkpoint["last_committed_sequence"] = sequence
        checkpoint["last_event_id"] = f"python@{sequence}"
        state["checkpoints"][key] = checkpoint
        self.write(state)
        return True

    def put(self, key, sequence):
        lock = self.lock()
        try:
            return self.put_locked(key, sequence)
        finally:
            os.close(lock)


def stdin_closed(timeout=0):
    """Whether stdin is at its end; waits for that, given no timeout."""
    ready, _, _ = select.select([sys.stdin], [], [], timeout)
    return bool(ready) and os.read(0, 4096) == b""


def say(text):
    print(text, flush=True)


# A woken process needs some ten microseconds to get up, and the kernel keeps no place for it: who
# locks again sooner takes the lock from under it, put after put.
GIVE_WAY_SECONDS = 0.0002


def loop(file, key, until, pause=None):
    seconds = float("inf") if until == "stop" else float(until)
    count, end = 0, time.monotonic() + seconds
    say("ready")
    while time.monotonic() < end and not (until == "stop" and stdin_closed()):
        count += 1
        if not file.put(key, count):
            raise SystemExit(f"{count} was refused: somebody else puts to this key")
        if pause is not None:
            time.sleep(pause)
    say(count)


def hold(file, key, sequence):
    lock = file.lock()
    say("locked")
    while not stdin_closed(None):
        pass
    say("applied" if file.put_locked(key, sequence) else "refused")
    os.close(lock)


def main(mode, path, key, argument):
    file = StateFile(path)
    if mode == "put":
        say("applied" if file.put(key, int(argument)) else "refused")
    elif mode == "loop":
        loop(file, key, argument)
    elif mode == "loop-giving-way":
        loop(file, key, argument, GIVE_WAY_SECONDS)
    elif mode == "hold":
        hold(file, key, int(argument))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
