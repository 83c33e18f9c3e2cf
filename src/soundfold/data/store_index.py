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

from soundfold.atomic import naming, replacing
from soundfold.errors import PathError

__all__ = [
    "HELD",
    "INDEX_COLUMNS",
    "JOURNAL",
    "KEY",
    "STAMP",
    "newest",
    "publish",
    "read_index",
    "read_known",
    "without_dead",
    "writing",
]

KEY = ["path", "start", "end"]
STAMP = ["size", "mtime_ns", "ctime_ns"]
HELD = ["offset", "samples", "channels", "exponent", "sound_hash", "problem"]
INDEX_COLUMNS = (*KEY, *STAMP, "content", *HELD)
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
        with naming(path):
            yield
    except OSError as error:
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


def read_index(folder: Path) -> tuple[pd.DataFrame, Path]:
    """Return the published index, as far as its samples file holds it, and that file."""
    empty = pd.DataFrame(columns=list(INDEX_COLUMNS))
    if not (folder / _INDEX).exists():
        return empty, folder / _FIRST_SAMPLES
    try:
        index = pd.read_parquet(folder / _INDEX)
        samples = folder / index.pop("held_in").iloc[0]
    except (ValueError, KeyError, IndexError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # damaged: what is kept is only kept, and is made again
        return empty, folder / f"samples-{secrets.token_hex(4)}.i16"
    return _held_in(samples, index), samples


def read_known(folder: Path) -> tuple[pd.DataFrame, Path]:
    """Return what index and journal know, the journal's word last, and the samples file, which holds all of it."""
    known, samples = read_index(folder)
    journal = list(_read_journal(folder / JOURNAL))
    if journal:
        known = _held_in(samples, newest(known, journal))
    return known, samples


def _held_in(samples: Path, index: pd.DataFrame) -> pd.DataFrame:
    held = samples.stat().st_size // 2 if samples.exists() else 0
    within = (index["offset"] + _sizes(index) <= held).to_numpy()
    return index if within.all() else index[within].reset_index(drop=True)


def newest(known: pd.DataFrame, entries: list[list[Any]]) -> pd.DataFrame:
    """Return both joined; where both know a clip, the later word counts."""
    later = pd.DataFrame(entries, columns=list(INDEX_COLUMNS))
    joined = later if known.empty else pd.concat([known, later], ignore_index=True)
    return joined.drop_duplicates(KEY, keep="last").reset_index(drop=True)


def publish(folder: Path, index: pd.DataFrame, samples: Path) -> None:
    """Replace the index in one step; only then are the journal and any other samples file of no more use."""
    with replacing(folder / _INDEX) as part, writing(folder / _INDEX):
        index.assign(held_in=samples.name).to_parquet(part, index=False)
    (folder / JOURNAL).unlink(missing_ok=True)
    for other in folder.glob("samples*.i16"):
        if other != samples:
            with suppress(OSError):  # Windows keeps what another process has mapped; the next one takes it along
                other.unlink()


def without_dead(folder: Path, index: pd.DataFrame, samples: Path, asked: set[str]) -> tuple[pd.DataFrame, Path]:
    """Copy what a published index names to a new samples file once two thirds of the old one are dead.

    Dead are samples that no clip names any more, because its file has changed since, and those of clips whose file is
    gone. Samples that several clips share count once.

    Args:
        folder: the store's.
        index: the published index.
        samples: its samples file.
        asked: paths of clips that are in use, and stay even if their file is gone.

    Returns:
        The published index and its samples file: what was given, or the new ones, and then the old file is gone.
    """
    everything = samples.stat().st_size
    paths = index["path"].tolist()
    if not _worth_it(everything, _parts(index[[path in asked for path in paths]])):
        return index, samples
    there = {path: path in asked or os.path.lexists(path) for path in set(paths)}
    kept = index[[there[path] for path in paths]].reset_index(drop=True)
    parts = _parts(kept)
    if not _worth_it(everything, parts):
        return index, samples
    fresh = folder / f"samples-{secrets.token_hex(4)}.i16"
    with writing(fresh), samples.open("rb") as old, fresh.open("wb") as new:
        for offset, size in parts.items():
            old.seek(2 * offset)
            new.write(old.read(2 * size))
        new.flush()
        os.fsync(new.fileno())
    moved = dict(zip(parts, np.cumsum([0, *parts.values()])[:-1].tolist(), strict=True))
    kept["offset"] = [moved.get(offset, 0) for offset in kept["offset"].tolist()]
    publish(folder, kept, fresh)
    return kept, fresh


def _parts(index: pd.DataFrame) -> dict[int, int]:
    """Return offset and size of each piece of the samples file that an index names, in order, each once."""
    sizes = _sizes(index).to_numpy()
    pieces = zip(index["offset"].to_numpy()[sizes > 0].tolist(), sizes[sizes > 0].tolist(), strict=True)
    return dict(sorted(pieces))


def _worth_it(everything: int, parts: dict[int, int]) -> bool:
    live = 2 * sum(parts.values())
    return everything - live > max(_DEAD_BYTES, 2 * live)


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
