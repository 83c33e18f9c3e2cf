"""Names and numbers as people read and write them: order, quotation marks, singular, per cent; for every room."""

import re
from collections.abc import Iterable

__all__ = [
    "SEPARATOR",
    "as_unicode",
    "counted",
    "format_interval",
    "format_percent",
    "format_size",
    "listed",
    "natural_order",
    "on_one_line",
    "quoted",
]

SEPARATOR = ";"
"""Stands between the labels of a clip that bears several."""

_SET_RANKS = {"train": 0, "training": 0, "dev": 1, "val": 1, "valid": 1, "validation": 1}
_SET_RANKS |= {"eval": 2, "evaluation": 2, "test": 2, "testing": 2}


def natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names as people count, each once: numbers by value, and training before validation before testing.

    >>> natural_order(["10", "2", "1"])
    ('1', '2', '10')
    >>> natural_order(["testing", "validation", "training"])
    ('training', 'validation', 'testing')
    """
    unique = set(names)
    if unique and all(name.lower() in _SET_RANKS for name in unique):
        return tuple(sorted(unique, key=lambda name: (_SET_RANKS[name.lower()], name)))
    return tuple(sorted(unique, key=_natural_key))


def listed(names: Iterable[object], most: int = 10) -> str:
    """List names for a message, as they come, at most so many.

    >>> listed(["b", "a"]), listed("abc", most=2)
    ('b, a', 'a, b and others')
    """
    given = [str(name) for name in names]
    return ", ".join(given[:most]) + (" and others" if len(given) > most else "")


def quoted(names: Iterable[str], most: int = 5) -> str:
    """List names in quotes for a message, at most so many.

    >>> quoted(["b", "a"])
    "'a', 'b'"
    """
    return listed((f"'{name}'" for name in natural_order(names)), most)


def as_unicode(name: str) -> str:
    """Return a name as Parquet can hold it: a file's name need not be text, and is escaped where it is none.

    >>> as_unicode("b\\udcff.wav")
    'b\\\\udcff.wav'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def counted(n: int, one: str, more: str | None = None) -> str:
    """Write a number with the word for what it counts.

    Args:
        n: how many, 0 or more.
        one: the word for one of it, or the words that go with it: "row was".
        more: the word for none or several; `one` with an s if not given.

    >>> counted(1, "clip"), counted(2148, "clip"), counted(0, "class", "classes")
    ('1 clip', '2,148 clips', '0 classes')
    """
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def format_percent(fraction: float | None) -> str:
    """Return a fraction as people read it, a dash for what there is not; for screen and figures, never for JSON.

    >>> format_percent(0.7143), format_percent(None)
    ('71.4 %', '–')
    """
    return "–" if fraction is None else f"{100 * fraction:.1f} %"


def format_interval(low: float, high: float) -> str:
    """Return an interval of fractions as people read it.

    >>> format_interval(0.682, 0.7451)
    '68.2–74.5 %'
    """
    return f"{100 * low:.1f}–{format_percent(high)}"


def format_size(n_bytes: int) -> str:
    """Return a size as people read it.

    >>> format_size(343_215), format_size(1_234_567_890_123)
    ('343 kB', '1,234.6 GB')
    """
    if n_bytes < 1000:
        return counted(n_bytes, "byte")
    if n_bytes < 999_500:
        return f"{n_bytes / 1e3:.0f} kB"
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes < 999_950_000 else f"{n_bytes / 1e9:,.1f} GB"


def _natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return (*((0, int(piece), "") if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces), (-1, 0, name))


def on_one_line(text: str) -> str:
    """Return a text without what would end a line or a cell of a table with tabs, or have a terminal do something.

    >>> on_one_line("a\\tb\\nc")
    'a b c'
    """
    return "".join(sign if sign.isprintable() or "\ud800" <= sign <= "\udfff" else " " for sign in text)
