"""Which sounds there are: those of a folder, found as the work goes on, or those that a list names."""

import csv
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TextIO

from soundfold.audio import AUDIO_SUFFIXES, walk
from soundfold.errors import DataError, PathError

__all__ = ["Listing", "Sound"]

_TABLES = {".csv": ",", ".tsv": "\t"}
_PARTS_OF_SOUNDS = ("start", "end", "start_s", "end_s")


class Sound(NamedTuple):
    """A sound to be heard.

    Attributes:
        name: what the answer calls it: as the list has it, or the folder as it was named and the way from there.
        file: where it is.
        problem: why it cannot be heard, known already; of a folder that may not be read.
    """

    name: str
    file: str
    problem: str | None = None


class Listing:
    """The sounds of a folder, of a list (a text file with a path a line, CSV or TSV with a column `path`), or of stdin.

    Paths in a list are meant from the list's folder, those on stdin from where we stand.

    Args:
        source: the folder or the list; `-` for stdin.
        shown: how the names of a folder's sounds begin; as `source` if not given.

    Raises:
        PathError: there is nothing, or a sound in place of a list.
    """

    def __init__(self, source: Path, shown: str | None = None) -> None:
        self._source, self._shown = source, shown if shown is not None else str(source)
        self.is_stdin = str(source) == "-"
        if self.is_stdin or source.is_dir():
            return
        if not source.exists():
            raise PathError(f"{source}: there is no such folder or list. Check the spelling of the path")
        if source.suffix.lower() in AUDIO_SUFFIXES:
            raise PathError(f"{source}: is a sound, no folder or list. Say: soundfold predict MODEL {source}")
        if not source.is_file():
            raise PathError(f"{source}: must be a folder or a list, and is neither. Give a list on stdin as -")

    @property
    def place(self) -> str:
        """The same for the same source, however it was named."""
        return "-" if self.is_stdin else str(self._source.resolve())

    def __iter__(self) -> Iterator[Sound]:
        """Yield the sounds, a folder's in order; nothing but the names of the folders on the way is held."""
        if not self.is_stdin and self._source.is_dir():
            yield from self._walked()
        else:
            yield from self._listed()

    def _walked(self) -> Iterator[Sound]:
        for met in walk(str(self._source)):
            if met.kind in ("sound", "broken"):
                yield Sound(self._named(met.path), met.path)
            elif met.kind == "locked":
                yield Sound(self._named(met.path), met.path, met.reason)

    def _named(self, file: str) -> str:
        return self._shown + file.removeprefix(str(self._source))

    def _listed(self) -> Iterator[Sound]:
        folder = "" if self.is_stdin else str(self._source.parent)
        with closing(self._opened()) as file:
            suffix = self._source.suffix.lower()
            lines = self._lines(file)
            names = self._column(lines, _TABLES[suffix]) if suffix in _TABLES else _names(lines)
            for name in names:
                yield Sound(name, os.path.join(folder, name))  # noqa: PTH118 (a Path would mend what a name holds)

    def _opened(self) -> TextIO:
        if not self.is_stdin:
            # a file's name need not be text
            return self._source.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
        if not sys.stdin:
            raise PathError("-: standard input is closed. Name a folder or a list")
        return io.TextIOWrapper(sys.stdin.buffer, "utf-8-sig", errors="surrogateescape", newline="")

    def _lines(self, file: TextIO) -> Iterator[str]:
        for number, line in enumerate(file, start=1):
            if "\0" in line:  # no file's name holds one
                raise DataError(
                    f"{self._source} line {number}: holds a zero byte, as UTF-16 does. Save the list in UTF-8"
                )
            yield line

    def _column(self, lines: Iterator[str], delimiter: str) -> Iterator[str]:
        table = csv.DictReader(lines, delimiter=delimiter)
        try:
            key = self._key(table.fieldnames or ())
            yield from (row[key] for row in table if row[key])
        except csv.Error as error:
            line = table.reader.line_num
            raise DataError(f"{self._source} line {line}: is no line of a table ({error}). Mend it") from None

    def _key(self, names: Sequence[str]) -> str:
        """Return the heading of the column of paths."""
        columns = {name.strip().lower(): name for name in reversed(names) if name}
        if "path" not in columns:
            known = ", ".join(reversed(columns)) or "none"
            raise DataError(f"{self._source}: must have a column 'path', got {known}. Name the column so")
        parts = [name for name in columns if name in _PARTS_OF_SOUNDS]
        if parts:
            raise DataError(
                f"{self._source}: has a column '{parts[0]}', but bulk answers for whole files. Take it out, or cut the "
                f"sounds first"
            )
        return columns["path"]


def _names(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        name = line.rstrip("\r\n")
        if name:
            yield name
