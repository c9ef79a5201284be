"""Damage valid inputs as a hostile or careless stranger would: other types, other bytes, other lines."""

from __future__ import annotations

import copy
import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random


def _nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 5, 2**31, 2**63, 10**12, 10**30, -0.5, 1e308, float("nan"), float("inf")),
    *("", ".", "..", "/", "x", "5", "x" * 300, "../x", "\x1b[2J", "\ud800", "a\0b", "\u202e"),
    *([], {}, [{}], [-1], [None], ["x"], {"a": {}}, {"": 0}, [[]], _nested(60), _nested(200), [0] * 1000),
)
"""Values to put in the place of others."""

LINES = (
    *(b"", b"\0", b"\xff\xfe", b"\x1b[2J", b'"', b"'", b",,,,", b"\t\t", b"{", b": :", b"#"),
    *(b"- " * 300, b"[" * 2000, b"&a [*a]"),
)


def documents(values: Any, random: Random) -> str:
    """JSON of `values` with one to three of its values changed, or broken as text."""
    changed = copy.deepcopy(values)
    for _ in range(random.randint(1, 3)):
        changed = _changed(changed, random)
    text = json.dumps(changed)
    return text if random.random() < 0.9 else content(text.encode(), random).decode("utf8", "replace")


def _changed(values: Any, random: Random) -> Any:
    holders = list(_holders(values))
    if not holders or random.random() < 0.03:
        return copy.deepcopy(random.choice(VALUES))
    holder = random.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = random.choice(keys)
    action = random.random()
    if action < 0.7:
        holder[key] = copy.deepcopy(random.choice(VALUES))
    elif action < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[str(random.choice(VALUES))] = holder.pop(key)
    else:
        holder.append(copy.deepcopy(random.choice(VALUES)))
    return values


def _holders(values: Any) -> Any:
    if isinstance(values, dict):
        if values:
            yield values
        for value in values.values():
            yield from _holders(value)
    elif isinstance(values, list):
        if values:
            yield values
        for value in values[:20]:
            yield from _holders(value)


def content(data: bytes, random: Random) -> bytes:
    """Bytes with some flipped, cut, doubled or replaced by numbers of other sizes."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 5)):
        position = random.randrange(len(changed) + 1)
        action = random.randrange(6)
        if action == 0:
            del changed[position:]
        elif action == 1:
            changed[position : position + 1] = bytes([random.randrange(256)])
        elif action == 2:
            changed[position : position + random.randint(1, 8)] = b""
        elif action == 3:
            changed[position:position] = changed[position : position + random.randint(1, 64)]
        elif action == 4:
            number = random.choice((0, 1, 255, 2**31 - 1, 2**32 - 1, 2**62, 2**64 - 1))
            packed = struct.pack("<Q", number)[: random.choice((1, 2, 4, 8))]
            changed[position : position + len(packed)] = packed
        else:
            changed[position:position] = random.choice(LINES)
    return bytes(changed)


def lines(data: bytes, random: Random) -> bytes:
    """Text with lines replaced, doubled, cut or swapped."""
    parts = data.split(b"\n")
    for _ in range(random.randint(1, 3)):
        position = random.randrange(len(parts))
        action = random.randrange(5)
        if action == 0:
            parts[position] = random.choice(LINES)
        elif action == 1:
            parts.insert(position, random.choice(parts))
        elif action == 2:
            parts[position] = parts[position][: random.randrange(len(parts[position]) + 1)]
        elif action == 3:
            words = parts[position].split(b":", 1)
            value = json.dumps(random.choice(VALUES)).encode()
            parts[position] = words[0] + b": " + value
        else:
            parts[position] = content(parts[position], random)
    return b"\n".join(parts)


def safetensors(data: bytes, random: Random) -> bytes:
    """A safetensors file whose header is changed as JSON, or as bytes."""
    if random.random() < 0.3:
        return content(data[:4096], random) + data[4096:]
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    names = random.sample(sorted(header), 3)
    part = {name: header[name] for name in names}
    text = documents(part, random)
    try:
        changed = json.loads(text)
        header.update(changed if isinstance(changed, dict) else {})
        for name in names:
            if isinstance(changed, dict) and name not in changed:
                del header[name]
        text = json.dumps(header)
    except ValueError:
        pass
    written = text.encode("utf8", "surrogatepass")
    return struct.pack("<Q", len(written)) + written + data[8 + length :]
