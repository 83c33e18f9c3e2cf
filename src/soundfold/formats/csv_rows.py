"""Answers as a table with commas, which every spreadsheet and data frame opens."""

import csv
import io
from collections.abc import Iterable

from soundfold.errors import SoundfoldError
from soundfold.formats.rows import Row, event_row, rows
from soundfold.runtime import Event, Prediction

__all__ = ["CsvRows"]

_DECIMALS = 6


class CsvRows:
    """Answers as CSV with a heading.

    Args:
        windows: windows in place of events.
    """

    def __init__(self, windows: bool = False) -> None:
        self._windows = windows

    def head(self) -> str:
        """Return the heading."""
        return _lines([Row._fields])

    def sound(self, path: str, answer: Prediction | SoundfoldError) -> str:
        """Return a sound's rows."""
        return _lines([_rounded(value) for value in row] for row in rows(path, answer, self._windows))

    def events(self, path: str, events: Iterable[Event]) -> str:
        """Return the rows of events alone."""
        return _lines([_rounded(value) for value in event_row(path, event, event.peak)] for event in events)

    def tail(self) -> str:
        """Return nothing."""
        return ""


def _lines(table: Iterable[Iterable[object]]) -> str:
    return "".join(map(_line, table))


def _line(row: Iterable[object]) -> str:
    # Python's writer puts in quotes what its own ends of lines hold, and readers end a line at "\r" too
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _rounded(value: str | float | None) -> str | float | None:
    return round(value, _DECIMALS) if isinstance(value, float) else value
