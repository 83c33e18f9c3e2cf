"""Which sounds a person means: files, folders at every depth, patterns that no shell expanded, stdin and pipes."""

import glob
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from soundfold.errors import PathError, SoundfoldError

__all__ = ["Named", "named_sounds"]

_IN_MEMORY = 64_000_000


class Named(NamedTuple):
    """A sound that a path stands for.

    Attributes:
        name: how it is told.
        sound: its path, what was read from a pipe, or what is wrong with it.
    """

    name: str
    sound: "str | BinaryIO | SoundfoldError"


class _Piped(tempfile.SpooledTemporaryFile[bytes]):
    """What came through a pipe, in memory or, where it is long, in a file that goes with the process."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._called

    def __init__(self, called: str) -> None:
        super().__init__(_IN_MEMORY)
        self._called = called


def named_sounds(path: Path) -> Iterator[Named]:
    """Yield the sounds that a path stands for; what cannot be used comes with its error in its place."""
    name = str(path)
    if name == "-":
        yield Named(name, _from_stdin())
    elif path.is_dir():
        yield from _in_folder(path)
    elif not os.path.lexists(path) and glob.has_magic(name):
        yield from _matching(name)
    elif _is_pipe(path):
        with path.open("rb") as pipe:
            yield Named(name, _kept(pipe, name))
    else:
        yield Named(name, name)


def _from_stdin() -> BinaryIO | PathError:
    if not sys.stdin:
        return PathError("-: standard input is closed. Name a file")
    kept = _kept(sys.stdin.buffer, "-")
    if not kept.seek(0, os.SEEK_END):
        kept.close()
        return PathError("-: standard input holds nothing. Say: soundfold predict MODEL - < FILE")
    return kept


def _kept(pipe: BinaryIO, name: str) -> BinaryIO:
    kept: BinaryIO = _Piped(name)  # type: ignore[assignment]  # it has all that is asked of one
    shutil.copyfileobj(pipe, kept, 1 << 20)
    return kept


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _matching(pattern: str) -> Iterator[Named]:
    """Yield the sounds whose paths match; a folder that matches stands for the sounds in it, as if it were named."""
    found: dict[str, Named] = {}
    for name in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 (absolute patterns, and no hidden files)
        path = Path(name)
        if path.is_dir():
            # of `**` every folder matches, and most hold no sound of their own
            found |= {entry.name: entry for entry in _walk(path)}
        elif _has_sound_suffix(name) or not pattern.endswith("*"):
            found.setdefault(name, Named(name, name))
    yield from (found[name] for name in sorted(found))
    if not found:
        yield Named(pattern, PathError(f"{pattern}: matches no sounds. Check the pattern"))


def _in_folder(folder: Path) -> Iterator[Named]:
    found = list(_walk(folder))
    yield from found
    if not found:
        error = PathError(f"{folder}: holds no sounds. Name a file, or a folder with sounds in it")
        yield Named(str(folder), error)


def _walk(folder: Path) -> Iterator[Named]:
    """Yield the sounds in a folder as training would find them, and what has the name of one and is none."""
    from soundfold.audio import walk

    locked: list[Named] = []
    for met in walk(str(folder)):
        name = str(Path(met.path))  # without ./
        if met.kind in ("sound", "broken"):
            yield Named(name, name)
        elif met.kind == "locked":
            locked.append(Named(name, PathError(met.reason)))
    yield from locked


def _has_sound_suffix(name: str) -> bool:
    from soundfold.audio import AUDIO_SUFFIXES

    return Path(name).suffix.lower() in AUDIO_SUFFIXES
