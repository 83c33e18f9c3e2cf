"""Whole numbers in a graph that name sizes, found out without running it.

What an encoder of another library expands to a batch's size, it expands to a joined row of numbers: the size of the
input, which is given here, and fixed ones. onnxruntime tells no shape of such values while nothing is computed.
"""

from collections.abc import Mapping, Sequence

from soundfold.runtime.wire import VARINT, Field, fields, message, numbers, varint

__all__ = ["known_sizes", "whole_numbers"]

_NODE, _INITIALIZER = 1, 5
_INT64 = 7
_MOST = 16  # numbers in a row that can be a shape


def known_sizes(graph: Sequence[Field], shapes: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Return what nodes give that ask for a known shape, and those that join such numbers to fixed ones.

    Args:
        graph: the fields of the graph.
        shapes: of its input, and of other values as far as they are known.
    """
    fixed = dict(_row(field) for field in graph if field.number == _INITIALIZER)
    rows = {constant: row for constant, row in fixed.items() if row is not None}
    known: dict[str, list[int]] = {}
    for field in graph:
        if field.number != _NODE:
            continue
        parts = list(fields(field.value))
        kind = next((part.text for part in parts if part.number == 4), "")
        given = [part.text for part in parts if part.number == 1]
        made = [part.text for part in parts if part.number == 2]
        if kind == "Shape" and len(given) == len(made) == 1 and given[0] in shapes:
            bounds = _attributes(parts)
            known[made[0]] = list(shapes[given[0]])[bounds.get("start", 0) : bounds.get("end")]
        elif kind == "Concat" and len(made) == 1 and any(one in known for one in given):
            both = [known.get(one, rows.get(one)) for one in given]
            joined = [size for row in both if row is not None for size in row]
            if None not in both and len(joined) <= _MOST:
                known[made[0]] = joined
    return known


def whole_numbers(name: str, row: Sequence[int]) -> bytes:
    """Return a constant: a row of 64-bit whole numbers under a name."""
    values = b"".join(size.to_bytes(8, "little", signed=True) for size in row)
    kind = varint(2 << 3 | VARINT) + varint(_INT64)
    return varint(1 << 3 | VARINT) + varint(len(row)) + kind + message(8, name.encode()) + message(9, values)


def _row(field: Field) -> tuple[str, list[int] | None]:
    """Return a constant's name, and its numbers where it is a short row of whole ones."""
    parts = {part.number: part for part in fields(field.value)}
    sizes = [size for part in fields(field.value) if part.number == 1 for size in numbers(part)]
    name = parts[8].text if 8 in parts else ""
    kind = numbers(parts[2])[0] if 2 in parts else 0
    if kind != _INT64 or len(sizes) != 1 or not 0 < sizes[0] <= _MOST:
        return name, None
    if 9 in parts:
        raw = bytes(parts[9].value)
        row = [int.from_bytes(raw[at : at + 8], "little", signed=True) for at in range(0, len(raw), 8)]
    else:
        row = [value for part in fields(field.value) if part.number == 7 for value in numbers(part)]
    return name, row if len(row) == sizes[0] else None


def _attributes(parts: Sequence[Field]) -> dict[str, int]:
    """Return a node's whole numbers by name."""
    found = {}
    for part in parts:
        if part.number == 5:
            inner = {one.number: one for one in fields(part.value)}
            if 1 in inner and 3 in inner:
                found[inner[1].text] = numbers(inner[3])[0]
    return found
