"""Filling the waveform store: decode in parallel, append, journal, and publish the index in one step.

How a kill at any moment is survived: samples are appended to one file; a journal names the clips whose samples are
safely on disk; the index, which readers use, replaces its predecessor in one rename. The next build cuts the samples
file after the last clip that index or journal knows, and decodes the rest.
"""

import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from filelock import FileLock

from soundfold.data.clips import Clips
from soundfold.data.store_clip import Decoded, Job, decode
from soundfold.data.store_index import (
    INDEX_COLUMNS,
    JOURNAL,
    KEY,
    STAMP,
    newest,
    publish,
    read_known,
    without_dead,
    writing,
)
from soundfold.recipe import SoundRecipe

__all__ = ["bring_up_to_date"]

_JOURNAL_EVERY_S = 2.0
_WAITING_BYTES = 256 << 20  # decoded samples that may wait for one slow clip before them
_TRY_AGAIN = -2  # a size that no file has and no missing file stands for: the entry counts for this opening only


def bring_up_to_date(
    folder: Path, clips: Clips, sound: SoundRecipe, workers: int, on_progress: Callable[[int, int], None] | None
) -> tuple[pd.DataFrame, np.memmap | None]:
    """Decode what the store lacks.

    Returns:
        The store's index in the order of the clips table, `file` (the clip's whole path) before its columns; and its
        samples, mapped, or None if there are none.

    Raises:
        PathError: the folder may not be written, or the disk is full.
    """
    lock = FileLock(folder / "lock")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        index, samples = _bring_up_to_date(folder, clips, sound, workers, on_progress)
        # mapped before others may replace the file
        held = np.memmap(samples, dtype="<i2", mode="r") if index["samples"].any() else None
    finally:
        lock.release()
    return index[["file", *INDEX_COLUMNS]], held


def _bring_up_to_date(
    folder: Path, clips: Clips, sound: SoundRecipe, workers: int, on_progress: Callable[[int, int], None] | None
) -> tuple[pd.DataFrame, Path]:
    wanted = _wanted(clips)
    known, samples = read_known(folder)
    merged = wanted.merge(known, on=KEY, how="left", suffixes=("", "_then"))
    current = np.ones(len(merged), dtype=bool)
    for column in STAMP:
        current &= (merged[column] == merged[f"{column}_then"]).to_numpy()
    to_do = np.flatnonzero(~current)
    if len(to_do):
        jobs = [Job(*values) for values in wanted.iloc[to_do][["file", *KEY, *STAMP]].to_dict("split")["data"]]
        known = newest(known, _decode_all(folder, samples, jobs, sound, workers, known, on_progress))
        publish(folder, known, samples)
        known, samples = without_dead(folder, known, samples)
        merged = wanted.merge(known, on=KEY, how="left", suffixes=("", "_then"))
    return merged, samples


def _wanted(clips: Clips) -> pd.DataFrame:
    """Return file, key and the file's present stamp of every clip; −1 stands for a file that is gone and for no limit.

    The key's path is relative to the data set's folder, so that the same data reached by another way is the same.
    """
    table = clips.table
    stamps: dict[str, tuple[int, int, int]] = {}
    for path in table["path"].unique():
        try:
            status = os.stat(path)  # noqa: PTH116  a Path object a clip would cost more than the call
        except OSError:
            stamps[path] = (-1, -1, -1)
        else:
            stamps[path] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    found = pd.DataFrame([stamps[path] for path in table["path"]], columns=STAMP, dtype="int64")
    root, true_root = f"{clips.root}{os.sep}", f"{clips.root.resolve()}{os.sep}"
    found.insert(0, "path", [path.removeprefix(root).removeprefix(true_root) for path in table["path"]])
    found["file"] = table["path"].to_numpy()
    found.insert(1, "start", table["start"].fillna(-1.0).to_numpy(dtype=float))
    found.insert(2, "end", table["end"].fillna(-1.0).to_numpy(dtype=float))
    return found


def _decode_all(
    folder: Path,
    samples_path: Path,
    jobs: list[Job],
    sound: SoundRecipe,
    workers: int,
    known: pd.DataFrame,
    on_progress: Callable[[int, int], None] | None,
) -> list[list[Any]]:
    """Decode jobs on threads (the decoders leave the interpreter alone) and append the samples in order."""
    ends = known["offset"] + known["samples"] * known["channels"]
    position = int(ends.max()) if len(ends) else 0
    entries: list[list[Any]] = []
    unsaved: list[list[Any]] = []
    saved_at = time.monotonic()
    with (
        writing(samples_path),  # also what closing cannot write
        samples_path.open("r+b" if samples_path.exists() else "w+b") as samples,
        (folder / JOURNAL).open("ab") as journal,
        ThreadPoolExecutor(workers) as pool,
    ):
        samples.truncate(position * 2)
        samples.seek(position * 2)
        # a torn last line must not swallow the first new one
        journal.write(b"\n")
        room = _Room(_WAITING_BYTES)
        waiting: deque[Future[Decoded]] = deque()
        ahead = iter(enumerate(jobs))
        try:
            for number, job in enumerate(jobs):
                while len(waiting) < 4 * workers and (following := next(ahead, None)) is not None:
                    waiting.append(pool.submit(_decode_in_turn, room, *following, sound))
                decoded = waiting.popleft().result()
                samples.write(decoded.samples.data)
                room.leave(decoded.samples.nbytes)
                channels, length = decoded.samples.shape
                size = job.size if decoded.lasting else _TRY_AGAIN
                entry = [job.path, job.start, job.end, size, job.mtime_ns, job.ctime_ns,
                         position, length, channels, decoded.exponent, decoded.sound_hash, decoded.problem]  # fmt: skip
                position += length * channels
                entries.append(entry)
                unsaved.append(entry)
                if on_progress is not None:
                    on_progress(number + 1, len(jobs))
                if time.monotonic() - saved_at > _JOURNAL_EVERY_S:
                    _save(samples, journal, unsaved)
                    saved_at = time.monotonic()
            _save(samples, journal, unsaved)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            room.open_up()
            raise
    return entries


class _Room:
    """Room for decoded samples that wait to be written in order.

    Who comes when it is full waits, but for the clip that is next to be written: all others wait for that one.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most = most_bytes
        self._held = 0
        self._next = 0
        self._changed = threading.Condition()

    def enter(self, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._most or number <= self._next)

    def fill(self, size: int) -> None:
        with self._changed:
            self._held += size

    def leave(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._next += 1
            self._changed.notify_all()

    def open_up(self) -> None:
        with self._changed:
            self._most = math.inf
            self._changed.notify_all()


def _decode_in_turn(room: _Room, number: int, job: Job, sound: SoundRecipe) -> Decoded:
    room.enter(number)
    decoded = decode(job, sound)
    room.fill(decoded.samples.nbytes)
    return decoded


def _save(samples: BinaryIO, journal: BinaryIO, unsaved: list[list[Any]]) -> None:
    """Make samples durable first, then name them in the journal."""
    samples.flush()
    os.fsync(samples.fileno())
    with writing(Path(journal.name)):
        journal.write("".join(json.dumps(entry) + "\n" for entry in unsaved).encode())
        journal.flush()
        os.fsync(journal.fileno())
    unsaved.clear()
