"""Golden logs: writes them, compares them with what is committed, reads them.

    python3 segment_golden.py --write FIXTURES DOCUMENT   writes them, and the document's example
    python3 segment_golden.py --check FIXTURES DOCUMENT   prints what is not as it would be written
    python3 segment_golden.py read DIRECTORY...           prints what each log holds, a line each
    python3 segment_golden.py tell DIRECTORY...           the same, and which segments it has
    python3 segment_golden.py beside DIRECTORY...         the same of logs whose writers live
    python3 segment_golden.py example DOCUMENT            the same for the document's example
    python3 segment_golden.py vectors                     prints the result of each line of stdin

A log is FIXTURES/NAME/log; FIXTURES/NAME/expected.json says what is to be found.
"""

import json
import os
import re
import shutil
import sys

# Isolated mode leaves out the directory of the program.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from segment_cases import CASES as SOUND
from segment_damage import CASES as REFUSED
from segment_format import Refused, crc32c, encode_frame, h64
from segment_live import beside
from segment_wal import Reader, read_directory

EXAMPLE = re.compile(r"^```hex\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLE_SIZE = 16_384


def held_picture(held):
    hard_state = held.hard_state
    return {
        "first": held.first,
        "next": held.first + len(held.entries),
        "hardState": None if hard_state is None else hard_state.hex(),
        "entries": [entry.hex() for entry in held.entries],
    }


def expected(function, found):
    """What expected.json says of a case."""
    picture = {"what": function.__doc__, "error": None}
    if isinstance(found, str):
        return {**picture, "error": found}
    return {
        **picture,
        "closed": found.closed,
        "tornTail": found.torn,
        "provenEnd": list(found.end),
        "proven": held_picture(found.proven),
        "recovered": held_picture(found.recovered or found.proven),
    }


def picture(files):
    """What a log holds, or its error."""
    try:
        return {"error": None, **Reader(files).picture()}
    except Refused as refused:
        return {"error": refused.code, "why": str(refused)}


def tell(files):
    """The same, with its segments. What is proven may lack entries that a recovery brings back."""
    try:
        reader = Reader(files)
    except Refused as refused:
        return {"error": refused.code, "why": str(refused)}
    opened, holdings = reader.opened, {}
    for name, until in (("proven", opened.proven), ("recovered", None)):
        try:
            holdings[name] = reader.state(until).picture()
        except Refused as refused:
            holdings[name] = {"error": refused.code, "why": str(refused)}
    return {"error": None, **reader.ends(), **holdings, "segments": reader.segments()}


def golden():
    """Every file of the fixtures by its name, with `/`."""
    files = {}
    for name, function in (SOUND | REFUSED).items():
        log, found = function()
        files |= {f"{name}/log/{of}": data for of, data in log.items()}
        text = json.dumps(expected(function, found), indent=2) + "\n"
        files[f"{name}/expected.json"] = text.encode()
    return files


def committed(fixtures):
    files = {}
    for directory, _, names in os.walk(fixtures):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, fixtures).replace(os.sep, "/")] = file.read()
    return files


def dump(data):
    """Lines `offset: hex` of the 16 bytes that are not all zero."""
    lines = []
    for at in range(0, len(data), 16):
        if any(data[at : at + 16]):
            lines.append(f"{at:05x}: {data[at : at + 16].hex(' ')}\n")
    return "".join(lines)


def read_dump(text):
    data = bytearray(EXAMPLE_SIZE)
    for line in text.splitlines():
        at, _, digits = line.partition(":")
        part = bytes.fromhex(digits)
        data[int(at, 16) : int(at, 16) + len(part)] = part
    return bytes(data)


def example_in(document):
    """The dump in the document."""
    with open(document, encoding="ascii") as file:
        text = file.read()
    blocks = EXAMPLE.findall(text)
    if len(blocks) != 1:
        raise SystemExit(f"{document}: {len(blocks)} examples instead of one")
    return text, blocks[0]


def write(fixtures, document):
    shutil.rmtree(fixtures, ignore_errors=True)
    files = golden()
    for name, data in files.items():
        path = os.path.join(fixtures, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
    text, _ = example_in(document)
    block = "```hex\n" + dump(files["example/log/00000001.segment"]) + "```"
    with open(document, "w", encoding="ascii", newline="\n") as file:
        file.write(EXAMPLE.sub(block, text))


def check(fixtures, document):
    """Prints what differs; nothing if nothing does."""
    new, old = golden(), committed(fixtures)
    for name in sorted(new.keys() | old.keys()):
        if new.get(name) != old.get(name):
            print(name)
    if example_in(document)[1] != dump(new["example/log/00000001.segment"]):
        print(document)


def vector(line):
    """One line of vectors, computed: `NAME ARGUMENTS`."""
    name, *arguments = line.split()
    if name == "crc32c":
        return f"{crc32c(*map(bytes.fromhex, arguments)):08x}"
    if name == "h64":
        return f"{h64(*map(bytes.fromhex, arguments)):016x}"
    if name == "frame":
        fields = {key: value for key, _, value in (part.partition("=") for part in arguments)}
        records = [bytes.fromhex(record) for record in fields["records"].split(",")]
        order = ("salt", "before", "at", "kind", "flags", "number")
        head = [int(fields[key], 16) for key in order]
        tail = [int(fields[key], 16) for key in ("synced", "nonce", "counter")]
        return encode_frame(*head, records, *tail)[0].hex()
    raise SystemExit(f"no vector of this name: {name}")


def main(arguments):
    command, *rest = arguments
    if command == "--write":
        write(*rest)
    elif command == "--check":
        check(*rest)
    elif command == "read":
        for directory in rest:
            print(json.dumps(picture(read_directory(directory))))
    elif command == "tell":
        for directory in rest:
            print(json.dumps(tell(read_directory(directory))))
    elif command == "beside":
        for directory in rest:
            print(json.dumps(beside(directory)))
    elif command == "example":
        data = read_dump(example_in(*rest)[1])
        print(json.dumps(picture({"00000001.segment": data})))
    elif command == "vectors":
        for line in sys.stdin:
            print(vector(line))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
