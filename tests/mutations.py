"""What a hostile or broken file looks like: bytes cut off, flipped, moved, and numbers that lie; for `fuzz.py`.

Drawing is by the generator that is given, so a case is known again by its number.
"""

import struct
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["mutated_bytes", "mutated_message"]

Draw = np.random.Generator

_HEAD = 512  # most of what a header says stands in the first bytes
_EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFF0,
    0xFFFFFFFF,
    2**40,
    2**63 - 1,
)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # kinds of fields in a message of protocol buffers


def mutated_bytes(content: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    """Return a file with one to four changes of any kind; `others` are files to take pieces from."""
    data = bytearray(content)
    for _ in range(int(draw.integers(1, 5))):
        _CHANGES[int(draw.integers(len(_CHANGES)))](data, others, draw)
    return bytes(data)


def mutated_message(content: bytes, draw: Draw) -> bytes:
    """Return a message of protocol buffers that is still one: a field somewhere inside is changed, lost or doubled.

    Lengths around it are made to fit, so that what reads the file is not stopped by the first wrong one.
    """
    fields = _fields(content)
    if not fields:
        return mutated_bytes(content, [content], draw)
    at = int(draw.integers(len(fields)))
    number, kind, value = fields[at]
    chance = draw.random()
    if kind == _BYTES and isinstance(value, bytes) and chance < 0.85:
        inner = _fields(value)
        fields[at] = (number, kind, mutated_message(value, draw) if inner else _changed_value(value, draw))
    elif chance < 0.93 and kind == _VARINT:
        extreme = _EXTREMES[int(draw.integers(len(_EXTREMES)))]
        fields[at] = (number, kind, extreme if draw.random() < 0.7 else int(draw.integers(2**32)))
    elif chance < 0.95:
        fields.insert(int(draw.integers(len(fields) + 1)), fields[at])
    elif chance < 0.97:
        del fields[at]
    else:
        fields[at] = (int(draw.integers(1, 30)), kind, value)
    return _joined(fields)


def _changed_value(value: bytes, draw: Draw) -> bytes:
    """Return another text, number or array of numbers of about the same length."""
    data = bytearray(value)
    chance = draw.random()
    if len(data) > 1 and all(32 <= sign < 127 for sign in data):
        return _changed_text(data, draw)
    if not data or chance < 0.1:
        return bytes(draw.integers(0, 256, int(draw.integers(1, 40)), dtype=np.uint8))
    if chance < 0.3 and len(data) >= 8:
        at = 8 * int(draw.integers(len(data) // 8))
        extreme = _EXTREMES[int(draw.integers(len(_EXTREMES)))]
        struct.pack_into("<q", data, at, -extreme if draw.random() < 0.3 else extreme)
        return bytes(data)
    return mutated_bytes(value, [value], draw)


def _changed_text(data: bytearray, draw: Draw) -> bytes:
    """Return a text with another number in it, or another letter: a name, or the card, which is text."""
    digits = [at for at, sign in enumerate(data) if 48 <= sign <= 57]
    if digits and draw.random() < 0.7:
        at = digits[int(draw.integers(len(digits)))]
        data[at : at + 1] = str(int(draw.integers(10 ** int(draw.integers(1, 12))))).encode()
    elif draw.random() < 0.9:
        data[int(draw.integers(len(data)))] = int(draw.integers(32, 127))
    else:
        return draw.bytes(len(data))
    return bytes(data)


def _cut(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    del data[int(draw.integers(len(data) + 1)) :]


def _flip(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    for at in _places(data, draw, int(draw.integers(1, 17))):
        data[at] ^= 1 << int(draw.integers(8))


def _overwrite(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    for at in _places(data, draw, 1):
        length = min(len(data) - at, int(2 ** draw.uniform(0, 10)))
        data[at : at + length] = draw.bytes(length) if draw.random() < 0.7 else bytes(length)


def _lie(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    """Put an extreme number where a size, a rate or a count may stand."""
    value = _EXTREMES[int(draw.integers(len(_EXTREMES)))]
    form = ("B", "<H", ">H", "<I", ">I", "<Q", ">Q")[int(draw.integers(7))]
    size = struct.calcsize(form)
    for at in _places(data, draw, 1):
        if at + size <= len(data):
            struct.pack_into(form, data, at, value & (2 ** (8 * size) - 1))


def _lose(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    for at in _places(data, draw, 1):
        del data[at : at + int(2 ** draw.uniform(0, 9))]


def _double(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    for at in _places(data, draw, 1):
        piece = data[at : at + int(2 ** draw.uniform(0, 11))]
        data[at:at] = piece * int(draw.integers(1, 5))


def _splice(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    other = others[int(draw.integers(len(others)))]
    at = int(draw.integers(len(other) + 1))
    data[int(draw.integers(len(data) + 1)) :] = other[at:]


def _prolong(data: bytearray, others: Sequence[bytes], draw: Draw) -> None:
    data += draw.bytes(int(2 ** draw.uniform(0, 12))) if draw.random() < 0.7 else bytes(4_096)


def _places(data: bytearray, draw: Draw, count: int) -> list[int]:
    """Return places in a file, most of them near its beginning."""
    if not data:
        return []
    near = min(len(data), _HEAD)
    return [int(draw.integers(near if draw.random() < 0.6 else len(data))) for _ in range(count)]


_CHANGES: tuple[Callable[[bytearray, Sequence[bytes], Draw], None], ...] = (
    _cut, _flip, _flip, _overwrite, _lie, _lie, _lie, _lose, _double, _splice, _prolong,
)  # fmt: skip


def _fields(content: bytes) -> list[tuple[int, int, int | bytes]]:
    """Return the fields of a message; none where it is no message."""
    fields: list[tuple[int, int, int | bytes]] = []
    at = 0
    while at < len(content):
        key, at = _read(content, at)
        kind = key & 7
        if at < 0 or key >> 3 not in range(1, 64) or kind not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            return []
        if kind == _VARINT:
            value, at = _read(content, at)
            fields.append((key >> 3, kind, value))
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
            if kind == _BYTES:
                length, at = _read(content, at)
            if at < 0 or at + length > len(content):
                return []
            fields.append((key >> 3, kind, content[at : at + length]))
            at += length
        if at < 0:
            return []
    return fields


def _read(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if not 0 <= at < len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at
    return 0, -1


def _joined(fields: list[tuple[int, int, int | bytes]]) -> bytes:
    parts = []
    for number, kind, value in fields:
        parts.append(_varint(number << 3 | kind))
        if isinstance(value, int):
            parts.append(_varint(value))
        else:
            parts += [_varint(len(value)), value] if kind == _BYTES else [value]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    head = bytearray()
    while value > 127:
        head.append(value & 127 | 128)
        value >>= 7
    return bytes(head) + bytes([value])
