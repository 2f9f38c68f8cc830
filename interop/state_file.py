"""The JSON state file in another language, from docs/format/state-file.md alone.

Standard library only. `StateFile` puts as one process among others; a lock is waited for in a
blocking flock. Used by python-peer.py and by the specs of the lock.
"""

import fcntl
import json
import os
import secrets

FILE_VERSION = 1
KEY_VERSION = 1


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
            return {
                "version": FILE_VERSION,
                "key_format_version": KEY_VERSION,
                "checkpoints": {},
            }
        versions = (state["version"], state["key_format_version"])
        if versions != (FILE_VERSION, KEY_VERSION):
            raise ValueError(f"unsupported versions {versions}")
        return state

    def put(self, key, sequence, event_id):
        """Puts if the sequence is higher; returns what stands afterwards."""
        lock = self.lock()
        try:
            return self.put_locked(key, sequence, event_id)
        finally:
            os.close(lock)

    def put_locked(self, key, sequence, event_id):
        """The same with the lock held."""
        state = self.read()
        known = state["checkpoints"].get(key)
        if known is not None and known["last_committed_sequence"] >= sequence:
            # Reported only when it is durable, whoever wrote it (JF-3).
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
            self._sync_directory()
            return known
        checkpoint = {} if known is None else known
        checkpoint["last_committed_sequence"] = sequence
        checkpoint["last_event_id"] = event_id
        state["checkpoints"][key] = checkpoint
        self._replace(state)
        return checkpoint

    def _replace(self, state):
        """Replaces the file, durably, by the rename of a temporary that is locked (JF-1, JF-6)."""
        state["checkpoints"] = dict(sorted(state["checkpoints"].items()))
        text = json.dumps(state, indent=2, ensure_ascii=False)
        temporary = os.path.join(self.directory, f".tidemark-{secrets.token_hex(16)}.tmp")
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.rename(temporary, self.path)
        self._sync_directory()

    def _sync_directory(self):
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
