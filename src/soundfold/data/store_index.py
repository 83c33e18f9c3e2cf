"""The files of the waveform store: the index, the journal beside it, and the samples file that the index names.

Readers have the samples file mapped, so what it holds of an index is never changed or cut off; a smaller file comes
under a new name.
"""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from soundfold.atomic import replacing
from soundfold.errors import PathError

__all__ = ["INDEX_COLUMNS", "JOURNAL", "KEY", "STAMP", "newest", "publish", "read_known", "without_dead", "writing"]

INDEX_COLUMNS = (
    "path", "start", "end", "size", "mtime_ns", "ctime_ns",
    "offset", "samples", "channels", "exponent", "sound_hash", "problem",
)  # fmt: skip
KEY = ["path", "start", "end"]
STAMP = ["size", "mtime_ns", "ctime_ns"]
JOURNAL = "journal.jsonl"
_INDEX = "index.parquet"
_FIRST_SAMPLES = "samples.i16"
_DEAD_BYTES = 64 << 20  # so many bytes of sounds that have changed since may stay


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell what the system refuses in the block, with the name of the file, as an error with its mend.

    Raises:
        PathError: the disk is full, or the file may not be written.
        OSError: anything else, with the file's name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        mend = "name another folder for kept results with --cache or SOUNDFOLD_CACHE"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PathError(f"{error.filename}: no space left. Free some, or {mend}") from error
        if error.errno == errno.EFBIG:
            raise PathError(
                f"{error.filename}: may not grow further, the disk or a limit forbids it. Lift it, or {mend}"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PathError(f"{error.filename}: may not be written. Change that, or {mend}") from error
        raise


def read_known(folder: Path) -> tuple[pd.DataFrame, Path]:
    """Return what index and journal know, the journal's word last, and the samples file, which holds all of it."""
    known, name = pd.DataFrame(columns=list(INDEX_COLUMNS)), _FIRST_SAMPLES
    if (folder / _INDEX).exists():
        try:
            known = pd.read_parquet(folder / _INDEX)
            name = known.pop("held_in").iloc[0]
        except (ValueError, KeyError, IndexError):  # damaged: what is kept is only kept, and is made again
            return pd.DataFrame(columns=list(INDEX_COLUMNS)), folder / f"samples-{secrets.token_hex(4)}.i16"
    journal = list(_read_journal(folder / JOURNAL))
    if journal:
        known = newest(known, journal)
    samples = folder / name
    held = samples.stat().st_size // 2 if samples.exists() else 0
    return known[(known["offset"].astype("int64") + _sizes(known)).to_numpy() <= held].reset_index(drop=True), samples


def newest(known: pd.DataFrame, entries: list[list[Any]]) -> pd.DataFrame:
    """Return both joined; where both know a clip, the later word counts."""
    later = pd.DataFrame(entries, columns=list(INDEX_COLUMNS))
    joined = later if known.empty else pd.concat([known, later], ignore_index=True)
    return joined.drop_duplicates(KEY, keep="last").reset_index(drop=True)


def publish(folder: Path, index: pd.DataFrame, samples: Path) -> None:
    """Replace the index in one step; only then is the journal of no more use."""
    with replacing(folder / _INDEX) as part, writing(folder / _INDEX):
        index.assign(held_in=samples.name).to_parquet(part, index=False)
    (folder / JOURNAL).unlink(missing_ok=True)


def without_dead(folder: Path, index: pd.DataFrame, samples: Path) -> tuple[pd.DataFrame, Path]:
    """Copy what a published index names to a new samples file once more than half of the old one is dead.

    Returns:
        The published index and its samples file: what was given, or the new ones, and then the old file is gone.
    """
    sizes = _sizes(index).to_numpy(dtype=np.int64)
    dead = samples.stat().st_size - 2 * int(sizes.sum())
    if dead <= max(_DEAD_BYTES, 2 * int(sizes.sum())):
        return index, samples
    fresh = folder / f"samples-{secrets.token_hex(4)}.i16"
    with writing(fresh), samples.open("rb") as old, fresh.open("wb") as new:
        for offset, size in zip(index["offset"], sizes, strict=True):
            old.seek(2 * int(offset))
            new.write(old.read(2 * int(size)))
        new.flush()
        os.fsync(new.fileno())
    index = index.assign(offset=np.cumsum(sizes) - sizes)
    publish(folder, index, fresh)
    for other in folder.glob("samples*.i16"):  # those of copies that were killed, too
        if other != fresh:
            with suppress(OSError):  # Windows keeps what another process has mapped; the next copy takes it along
                other.unlink()
    return index, fresh


def _sizes(index: pd.DataFrame) -> "pd.Series[int]":
    return index["samples"].astype("int64") * index["channels"].astype("int64")


def _read_journal(path: Path) -> Iterator[list[Any]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            return  # the line that was being written when the process died; nothing stands after it
        if isinstance(entry, list) and len(entry) == len(INDEX_COLUMNS):
            yield entry
