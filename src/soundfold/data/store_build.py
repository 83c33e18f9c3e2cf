"""Bringing the waveform store up to date: find what is lacking, have it filled in, and publish the index in one step.

How a kill at any moment is survived: samples are appended to one file; a journal names the clips whose samples are
safely on disk; the index, which readers use, replaces its predecessor in one rename. The next build cuts the samples
file after the last clip that index or journal knows, and goes on from there.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from soundfold.data.clips import Clips
from soundfold.data.store_fill import Job, Progress, fill
from soundfold.data.store_index import (
    KEY,
    STAMP,
    newest,
    publish,
    read_index,
    read_known,
    without_dead,
    writing,
)
from soundfold.data.store_source import Source, stamp_of
from soundfold.recipe import SoundRecipe

__all__ = ["bring_up_to_date"]

Opened: TypeAlias = tuple[pd.DataFrame, np.memmap | None]


def bring_up_to_date(
    folder: Path,
    clips: Clips,
    sound: SoundRecipe,
    workers: int,
    on_progress: Progress | None,
    on_wait: Callable[[], None] | None = None,
) -> Opened:
    """Decode what the store lacks.

    Returns:
        The store's index in the order of the clips table, `file` (the clip's whole path) before its columns; and its
        samples, mapped, or None if there are none.

    Raises:
        PathError: the folder may not be written, or the disk is full.
    """
    wanted = _wanted(clips)
    found = _whole(folder, wanted)
    if found is not None:
        return found
    lock = FileLock(folder / "lock")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait is not None:
                on_wait()
            lock.acquire(poll_interval=0.2)
    try:
        return _brought_up_to_date(folder, wanted, sound, workers, on_progress)
    finally:
        lock.release()


def _whole(folder: Path, wanted: pd.DataFrame) -> Opened | None:
    """Return index and samples if nothing is lacking; no lock is needed, so a store can be read while another fills it.

    The journal is left out: it may be that of the next samples file already.
    """
    known, samples = read_index(folder)
    rows = _rows(wanted, known)
    if not _hold(wanted, known, rows).all():
        return None
    try:
        return _opened(wanted, known, rows, samples)
    except FileNotFoundError:  # replaced since
        return None


def _brought_up_to_date(
    folder: Path, wanted: pd.DataFrame, sound: SoundRecipe, workers: int, on_progress: Progress | None
) -> Opened:
    known, samples = read_known(folder)
    rows = _rows(wanted, known)
    to_do = ~_hold(wanted, known, rows)
    if to_do.any():
        known = newest(known, fill(folder, samples, _jobs(wanted[to_do]), known, sound, workers, on_progress))
        publish(folder, known, samples)
        known, samples = without_dead(folder, known, samples, set(wanted["path"]))
        rows = _rows(wanted, known)
    return _opened(wanted, known, rows, samples)  # mapped before others may replace the file


def _opened(wanted: pd.DataFrame, known: pd.DataFrame, rows: np.ndarray, samples: Path) -> Opened:
    index = known.iloc[rows].reset_index(drop=True)
    index.insert(0, "file", wanted["file"])
    return index, np.memmap(samples, dtype="<i2", mode="r") if index["samples"].any() else None


def _wanted(clips: Clips) -> pd.DataFrame:
    """Return file, key and the file's present stamp of every clip; −1 stands for a file that is gone and for no limit.

    The key's path leads through the data set's true folder, so that the same data reached by a link is the same.
    """
    table = clips.table
    stamps = {path: stamp_of(path) for path in table["path"].unique()}
    found = pd.DataFrame([stamps[path] for path in table["path"]], columns=STAMP, dtype="int64")
    root, true_root = f"{clips.root}{os.sep}", f"{clips.root.resolve()}{os.sep}"
    paths = table["path"].tolist()
    if root != true_root:
        paths = [true_root + path.removeprefix(root) if path.startswith(root) else path for path in paths]
    found.insert(0, "path", paths)
    found.insert(1, "start", table["start"].fillna(-1.0).to_numpy(dtype=float))
    found.insert(2, "end", table["end"].fillna(-1.0).to_numpy(dtype=float))
    found["file"] = table["path"].to_numpy()
    return found


def _rows(wanted: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
    """Return the row in the index of every clip, −1 for those it does not know."""
    row_of = {key: row for row, key in enumerate(_keys(known))}
    return np.array([row_of.get(key, -1) for key in _keys(wanted)], dtype=np.int64)


def _keys(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].tolist() for name in KEY), strict=True)


def _hold(wanted: pd.DataFrame, known: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Tell for every clip whether what is known of it still holds, as its file has not changed."""
    hold: np.ndarray = rows >= 0
    for column in STAMP if hold.any() else ():
        hold &= known[column].to_numpy()[rows] == wanted[column].to_numpy()
    return hold


def _jobs(lacking: pd.DataFrame) -> list[Job]:
    columns = [lacking[name].tolist() for name in ("file", *KEY, *STAMP)]
    files: dict[str, Source] = {}
    jobs = []
    for file, path, start, end, *stamp in zip(*columns, strict=True):
        source = files.get(file)
        if source is None:
            source = files[file] = Source(file, tuple(stamp))
        jobs.append(Job(source, path, start, end))
    return jobs
