"""The journal of a bulk run: which part holds which sounds, so that whatever ends the work, nothing is lost or doubled.

The first line tells by what model and settings the folder was begun, each other one of a part: its name and its sounds.
The order makes a kill harmless. A part is written under a hidden name; then its line is forced to the disk; then the
part gets its name. So a part that is there is whole and has its line, and a line without its part counts for nothing:
its sounds are heard again. Whoever reads the folder meanwhile sees whole parts alone, each sound in one of them.

Names are held as 16 bytes of a hash each: a million take about 100 MB of memory.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soundfold.atomic import replacing
from soundfold.errors import PathError, RunError

__all__ = ["Journal", "key"]

_NAME = "_journal.jsonl"  # readers of a folder of Parquet pass over what begins with an underscore
_PART = re.compile(r"part-(\d+)\.parquet")


def key(name: str) -> bytes:
    """Return what a sound's name is remembered by."""
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def is_begun(folder: Path) -> bool:
    """Tell whether bulk work has been begun in a folder."""
    return (folder / _NAME).exists()


class Journal:
    """The journal of one folder, held by one process at a time; `close` lets go of it.

    Args:
        folder: where the parts are; made if missing.

    Attributes:
        folder: as it was given.
        settings: by what the folder was begun; None where it is new.
        done: the sounds that stand in parts, by `key`.
        sounds, failed, seconds, rows, parts: sums over them.

    Raises:
        PathError: the folder holds something else, or may not be written.
        RunError: another process works on it, or the journal is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / _NAME
        self.settings: dict[str, Any] | None = None
        self.done: set[bytes] = set()
        self.sounds = self.failed = self.rows = self.parts = 0
        self.seconds = 0.0
        if os.path.lexists(folder) and not self._path.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise PathError(f"{folder}: holds something else already. Choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        try:
            _hold(self._file.fileno(), folder)
            self._next = self._read()
        except BaseException:
            self._file.close()
            raise
        for left in folder.glob(".part-*.part"):
            left.unlink()

    def close(self) -> None:
        """Let another process have the folder."""
        self._file.close()

    def begin(self, settings: dict[str, Any]) -> None:
        """Write by what model and settings the folder is made."""
        self.settings = settings
        self._append(settings)

    @contextmanager
    def part(self, names: Sequence[str], *, failed: int, rows: int, seconds: float) -> Iterator[Path]:
        """Yield the file to write the next part to; at the end of the block it is part of the folder.

        Args:
            names: its sounds.
            failed: how many of them could not be heard.
            rows: its rows.
            seconds: the length of its sounds.

        Raises:
            PathError: it cannot be written; the folder is as it was.
        """
        name = f"part-{self._next:06}.parquet"
        self._next += 1  # also if this comes to nothing: a number that has a line is never taken again
        told = {"part": name, "failed": failed, "rows": rows, "seconds": seconds, "sounds": list(names)}
        with replacing(self.folder / name) as file:
            yield file
            _sync(file)
            self._append(told)
        self._count(told)

    def _append(self, line: dict[str, Any]) -> None:
        content = json.dumps(line).encode() + b"\n"
        size = self._file.seek(0, os.SEEK_END)
        try:
            while content:
                content = content[self._file.write(content) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(size)
            raise PathError(
                f"{self._path}: cannot be written: {error.strerror}. Make room, or lift what forbids it; the same "
                f"command then goes on"
            ) from error

    def _count(self, told: dict[str, Any]) -> None:
        self.done.update(key(name) for name in told["sounds"])
        self.parts += 1
        self.sounds += len(told["sounds"])
        self.failed += told["failed"]
        self.rows += told["rows"]
        self.seconds += told["seconds"]

    def _read(self) -> int:
        """Take in what is there; return the number of the next part, which no part ever had."""
        number = whole = 0
        with self._path.open("rb") as file:
            for count, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # broken off while it was written
                    self._file.truncate(whole)
                    break
                whole += len(line)
                try:
                    told = json.loads(line)
                    if count == 1:
                        self.settings = {
                            "format": told["format"],
                            "settings": dict(told["settings"]),
                            "shown": told["shown"],
                        }
                        continue
                    number = max(number, _number(told["part"]) + 1)
                    if (self.folder / told["part"]).is_file():
                        self._count(told)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    raise RunError(f"{self._path} line {count}: is damaged. Begin anew in another folder") from None
        return number


def _number(part: str) -> int:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(part)
    return int(match[1])


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _hold(descriptor: int, folder: Path) -> None:
    """Keep other processes out until the file is closed, or this process ends."""
    taken = f"{folder}: another process works on it. Wait for it, or choose another --out"
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            raise RunError(taken) from None
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(taken) from None
