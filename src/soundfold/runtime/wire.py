"""Messages of protocol buffers, which ONNX files are made of: reading their fields, and writing one.

What is done here with a model file is so little that it needs no library for them.
"""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["BYTES", "FIXED32", "FIXED64", "VARINT", "Field", "fields", "message", "numbers", "varint"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # kinds of fields


class Field(NamedTuple):
    """A field: its number and kind, and its bytes with and without their head, which lie in the message's own."""

    number: int
    kind: int
    whole: memoryview
    value: memoryview

    @property
    def text(self) -> str:
        """The value as text.

        Raises:
            ValueError: it is none.
        """
        return bytes(self.value).decode()


def fields(message: bytes | memoryview) -> Iterator[Field]:
    """Yield the fields of a message in the order in which they stand.

    Raises:
        ValueError: a field ends beyond the message, or is of no known kind.
    """
    message = memoryview(message)
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        number, kind = key >> 3, key & 7
        first = at
        if kind == VARINT:
            _, at = _read_varint(message, at)
        elif kind == BYTES:
            length, first = _read_varint(message, at)
            at = first + length
        elif kind in (FIXED64, FIXED32):
            at += 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at > len(message):
            raise ValueError("a field ends beyond its message")
        yield Field(number, kind, message[start:at], message[first:at])


def numbers(field: Field) -> list[int]:
    """Return the whole numbers of a field, which holds one or a row of them; negative ones as such.

    Raises:
        ValueError: it holds none.
    """
    if field.kind not in (VARINT, BYTES):
        raise ValueError("no whole number")
    found, at = [], 0
    while at < len(field.value):
        value, at = _read_varint(field.value, at)
        found.append(value - 2**64 if value >= 2**63 else value)
    return found


def message(number: int, value: bytes | memoryview) -> bytes:
    """Return a field that holds a message or a text."""
    return varint(number << 3 | BYTES) + varint(len(value)) + bytes(value)


def varint(value: int) -> bytes:
    """Return a whole number as messages hold it, seven bits a byte, the lowest first; a negative one as 64 bits.

    >>> varint(300).hex()
    'ac02'
    """
    rest = value % 2**64
    written = bytearray()
    while rest > 127:
        written.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*written, rest])


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
