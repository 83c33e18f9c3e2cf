"""Taking the front end out of a model file's graph, so that features can be fed in its waveform's place.

A model file is a message of protocol buffers, and what is done here is so little that it needs no library for them:
nodes and constants whose names say that they belong to the front end are left out, and the description of `features`
moves from the values in between to the inputs. Everything else is copied as it is.
"""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["FEATURES", "FRONT_END", "metadata", "without_front_end"]

FRONT_END = "front_end/"
"""What the names of the front end's nodes and constants begin with."""
FEATURES = "features"
"""The value between the front end and the network."""
_WAVEFORM = "waveform"

# numbers of the fields in ONNX's messages
_GRAPH, _METADATA = 7, 14  # of a model
_NODE, _INITIALIZER, _INPUT, _VALUE_INFO = 1, 5, 11, 13  # of a graph
_NAME_IN = {_NODE: 3, _INITIALIZER: 8, _INPUT: 1, _VALUE_INFO: 1}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # kinds of fields


class _Field(NamedTuple):
    number: int
    kind: int
    whole: memoryview
    value: memoryview


def metadata(model: bytes) -> dict[str, str]:
    """Return the metadata of a model.

    Args:
        model: an ONNX file's content.

    Raises:
        ValueError: it is damaged.
    """
    entries = (field.value for field in _fields(memoryview(model)) if field.number == _METADATA)
    pairs = ({field.number: bytes(field.value).decode() for field in _fields(entry)} for entry in entries)
    return {pair.get(1, ""): pair.get(2, "") for pair in pairs}


def without_front_end(model: bytes) -> bytes:
    """Return a model that takes `features` in place of `waveform`.

    Args:
        model: an ONNX file's content.

    Raises:
        ValueError: it is damaged, or nothing in it is called `features`.
    """
    parts = [_graph_message(field) if field.number == _GRAPH else field.whole for field in _fields(memoryview(model))]
    return b"".join(parts)


def _graph_message(field: _Field) -> bytes:
    kept: list[bytes | memoryview] = []
    found = False
    for part in _fields(field.value):
        name = _name(part)
        if part.number in (_NODE, _INITIALIZER) and name.startswith(FRONT_END):
            continue
        if part.number == _INPUT and name == _WAVEFORM:
            continue
        if part.number == _VALUE_INFO and name == FEATURES:
            found = True
            kept.append(_message(_INPUT, part.value))
        else:
            kept.append(part.whole)
    if not found:
        raise ValueError(f"nothing is called {FEATURES}")
    return _message(_GRAPH, b"".join(kept))


def _name(field: _Field) -> str:
    number = _NAME_IN.get(field.number)
    if number is None or field.kind != _BYTES:
        return ""
    return next((bytes(part.value).decode() for part in _fields(field.value) if part.number == number), "")


def _fields(message: memoryview) -> Iterator[_Field]:
    """Yield the fields of a message in the order in which they stand.

    Raises:
        ValueError: a field ends beyond the message, or is of no known kind.
    """
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        number, kind = key >> 3, key & 7
        first = at
        if kind == _VARINT:
            _, at = _read_varint(message, at)
        elif kind == _BYTES:
            length, first = _read_varint(message, at)
            at = first + length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at > len(message):
            raise ValueError("a field ends beyond its message")
        yield _Field(number, kind, message[start:at], message[first:at])


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a whole number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for place in range(10):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")


def _message(number: int, value: bytes | memoryview) -> bytes:
    """Return a field that holds a message."""
    head = bytearray()
    for whole in (number << 3 | _BYTES, len(value)):
        rest = whole
        while rest > 127:
            head.append(rest & 127 | 128)
            rest >>= 7
        head.append(rest)
    return bytes(head) + bytes(value)
