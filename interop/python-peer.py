"""Another implementation of the JSON state file (state_file.py) and of resume keys.

    python3 python-peer.py write CONFIG         puts until it is killed, and reports
    python3 python-peer.py read FILE NUMBER...  prints HEX SEQUENCE ID for each key it finds
    python3 python-peer.py keys                 prints the resume key of each input line

Standard library only. The configuration and the lines that `write` prints are those of
__test__/process-kill (writer.ts, history.ts).
"""

import hashlib
import ipaddress
import json
import os
import random
import struct
import sys
import threading
from urllib.parse import urlsplit

# Isolated mode leaves out the directory of the program.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from state_file import KEY_VERSION, StateFile


DEFAULT_PORTS = {"http": 80, "https": 443}


def normal_url(url):
    """The URL as it is hashed, for plain ASCII http and https URLs without dot segments."""
    parts = urlsplit(url)
    host = parts.hostname.lower()
    if ":" in host:
        host = f"[{ipaddress.IPv6Address(host).compressed}]"
    port = "" if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    return f"{parts.scheme}://{host}{port}{path}"


def number_text(value):
    """A number as ECMAScript prints it (RFC 8785, section 3.2.2.3)."""
    value = float(value)
    if value == 0:
        return "0"
    mantissa, exponent = f"{value!r}e0".lower().split("e")[:2]
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = whole + fraction
    # The value is 0.DIGITS times ten to the point.
    point = len(whole) + int(exponent)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    power = f"{'+' if point > 0 else '-'}{abs(point - 1)}"
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{power}"


def canonical(value):
    """RFC 8785: members by UTF-16 code units, numbers as doubles."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"


def resume_key(url, event, filter_value, fingerprint=None):
    """The digest that names a checkpoint, in hex."""
    hashed = hashlib.sha256(struct.pack("<I", KEY_VERSION))
    for text in (normal_url(url), event, canonical(filter_value)):
        data = text.encode("utf-8")
        hashed.update(struct.pack("<Q", len(data)) + data)
    if fingerprint is None:
        hashed.update(b"\0")
    else:
        data = fingerprint.encode("utf-8")
        hashed.update(b"\1" + struct.pack("<Q", len(data)) + data)
    return hashed.hexdigest()


def key_of(number):
    """The key that a number stands for, in every implementation."""
    return resume_key("https://kill-fuzz/", "mars", {"child": number})


class Writer:
    """Puts until it is killed."""

    def __init__(self, config):
        self.config = config
        self.file = StateFile(config["file"])
        self.ops = 0
        self.counting = threading.Lock()

    def run(self):
        """One thread puts its own keys, one the shared ones."""
        other = threading.Thread(target=self.guarded, args=(self.put_shared,), daemon=True)
        other.start()
        self.guarded(self.put_own)

    def guarded(self, task):
        """A failure is reported, and ends the process, whichever thread it meets."""
        try:
            task()
        except BaseException as error:  # pylint: disable=broad-except
            self.say(f"err {self.config['name']} 0 {error!r}".replace(" ", "-"))
            os._exit(1)

    def put_own(self):
        sequence = self.config["first"]
        while True:
            for number in self.config["own"]:
                self.put(number, sequence)
            sequence += 1

    def put_shared(self):
        drawn = random.Random(self.config["seed"])
        floor = self.config["first"]
        while True:
            self.put(drawn.choice(self.config["shared"]), floor + drawn.randrange(8))
            floor += 1

    def put(self, number, sequence):
        with self.counting:
            self.ops += 1
            op = self.ops
        name = self.config["name"]
        event_id = f"{name}/{op}@{sequence}"
        self.say(f"try {name} {op} put {number} {sequence}")
        current = self.file.put(key_of(number), sequence, event_id)
        if current["last_event_id"] == event_id:
            self.say(f"ok {name} {op} applied")
        else:
            stands = f"{current['last_committed_sequence']} {current['last_event_id']}"
            self.say(f"ok {name} {op} superseded {stands}")

    @staticmethod
    def say(line):
        """One write, so that lines of several writers never mix."""
        os.write(1, f"{line}\n".encode())


def main(mode, *args):
    if mode == "write":
        Writer(json.loads(args[0])).run()
    elif mode == "read":
        wanted = {key_of(int(number)) for number in args[1:]}
        for key, found in StateFile(args[0]).read()["checkpoints"].items():
            if key in wanted:
                print(key, found["last_committed_sequence"], found["last_event_id"] or "")
    elif mode == "keys":
        for line in sys.stdin:
            of = json.loads(line)
            print(resume_key(of["url"], of["event"], of["filter"], of["fingerprint"]))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
