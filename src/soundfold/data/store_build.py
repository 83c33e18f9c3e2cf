"""Filling the waveform store: decode in parallel, append, journal, and publish the index in one step.

How a kill at any moment is survived: samples are appended to one file; a journal names the clips whose samples are
safely on disk; the index, which readers use, replaces its predecessor in one rename. The next build cuts the samples
file after the last clip that index or journal knows, and decodes the rest.
"""

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from filelock import FileLock

from soundfold.audio import load
from soundfold.data.clips import Clips
from soundfold.errors import AudioError, PathError
from soundfold.recipe import SoundRecipe

__all__ = ["INDEX_COLUMNS", "SAMPLES_NAME", "bring_up_to_date"]

SAMPLES_NAME = "samples.i16"
INDEX_COLUMNS = (
    "path", "start", "end", "size", "mtime_ns", "ctime_ns",
    "offset", "samples", "channels", "exponent", "sound_hash", "problem",
)  # fmt: skip
_KEY = ["path", "start", "end"]
_STAMP = ["size", "mtime_ns", "ctime_ns"]
_JOURNAL_EVERY_S = 2.0


def bring_up_to_date(
    folder: Path, clips: Clips, sound: SoundRecipe, workers: int, on_progress: Callable[[int, int], None] | None
) -> pd.DataFrame:
    """Decode what the store lacks; return its index in the order of the clips table."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        with lock:
            return _bring_up_to_date(folder, clips, sound, workers, on_progress)
    except PermissionError as error:
        raise PathError(
            f"{error.filename or folder}: may not be written. Name a folder for kept results with --cache or "
            f"SOUNDFOLD_CACHE"
        ) from None


def _bring_up_to_date(
    folder: Path, clips: Clips, sound: SoundRecipe, workers: int, on_progress: Callable[[int, int], None] | None
) -> pd.DataFrame:
    wanted = _wanted(clips)
    known = _read_known(folder)
    merged = wanted.merge(known, on=_KEY, how="left", suffixes=("", "_then"))
    current = np.ones(len(merged), dtype=bool)
    for column in _STAMP:
        current &= (merged[column] == merged[f"{column}_then"]).to_numpy()
    to_do = np.flatnonzero(~current)
    if len(to_do):
        jobs = [_Job(*values) for values in wanted.iloc[to_do].to_dict("split")["data"]]
        entries = _decode_all(folder, jobs, sound, workers, known, on_progress)
        known = _newest(known, pd.DataFrame(entries, columns=list(INDEX_COLUMNS)))
        _publish(folder, known)
        merged = wanted.merge(known, on=_KEY, how="left", suffixes=("", "_then"))
    return merged


@dataclass(frozen=True)
class _Job:
    """One clip to decode, with the stamp of its file at the time of asking."""

    path: str
    start: float
    end: float
    size: int
    mtime_ns: int
    ctime_ns: int


def _wanted(clips: Clips) -> pd.DataFrame:
    """Return the key and the file's present stamp of every clip; −1 stands for a file that is gone and for no limit."""
    table = clips.table
    stamps: dict[str, tuple[int, int, int]] = {}
    for path in table["path"].unique():
        try:
            status = os.stat(path)  # noqa: PTH116  a Path object a clip would cost more than the call
        except OSError:
            stamps[path] = (-1, -1, -1)
        else:
            stamps[path] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    found = pd.DataFrame([stamps[path] for path in table["path"]], columns=_STAMP, dtype="int64")
    found.insert(0, "path", table["path"].to_numpy())
    found.insert(1, "start", table["start"].fillna(-1.0).to_numpy(dtype=float))
    found.insert(2, "end", table["end"].fillna(-1.0).to_numpy(dtype=float))
    return found


def _read_known(folder: Path) -> pd.DataFrame:
    """Return what index and journal know, the journal's word last, without what the samples file does not hold."""
    index_path, samples = folder / "index.parquet", folder / SAMPLES_NAME
    known = pd.DataFrame(columns=list(INDEX_COLUMNS))
    if index_path.exists():
        known = pd.read_parquet(index_path)
    journal = list(_read_journal(folder / "journal.jsonl"))
    if journal:
        known = _newest(known, pd.DataFrame(journal, columns=list(INDEX_COLUMNS)))
    held = samples.stat().st_size // 2 if samples.exists() else 0
    ends = known["offset"].astype("int64") + known["samples"].astype("int64") * known["channels"].astype("int64")
    return known[ends.to_numpy() <= held].reset_index(drop=True)


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


def _newest(known: pd.DataFrame, entries: pd.DataFrame) -> pd.DataFrame:
    """Return both tables joined; where both know a clip, the later word counts."""
    joined = entries if known.empty else pd.concat([known, entries], ignore_index=True)
    return joined.drop_duplicates(_KEY, keep="last").reset_index(drop=True)


def _decode_all(
    folder: Path,
    jobs: list[_Job],
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
        (folder / SAMPLES_NAME).open("r+b" if (folder / SAMPLES_NAME).exists() else "w+b") as samples,
        (folder / "journal.jsonl").open("ab") as journal,
        ThreadPoolExecutor(workers) as pool,
    ):
        samples.truncate(position * 2)
        samples.seek(position * 2)
        # a torn last line must not swallow the first new one
        journal.write(b"\n")
        waiting: deque[Future[tuple[bytes, int, int, int, str, str]]] = deque()
        ahead = iter(jobs)
        try:
            for number, job in enumerate(jobs):
                while len(waiting) < 4 * workers and (following := next(ahead, None)) is not None:
                    waiting.append(pool.submit(_decode, following, sound))
                data, length, channels, exponent, sound_hash, problem = waiting.popleft().result()
                samples.write(data)
                entry = [job.path, job.start, job.end, job.size, job.mtime_ns, job.ctime_ns,
                         position, length, channels, exponent, sound_hash, problem]  # fmt: skip
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
            raise
    return entries


def _save(samples: BinaryIO, journal: BinaryIO, unsaved: list[list[Any]]) -> None:
    """Make samples durable first, then name them in the journal."""
    samples.flush()
    os.fsync(samples.fileno())
    journal.write("".join(json.dumps(entry) + "\n" for entry in unsaved).encode())
    journal.flush()
    os.fsync(journal.fileno())
    unsaved.clear()


def _publish(folder: Path, index: pd.DataFrame) -> None:
    """Replace the index in one step; only then is the journal of no more use."""
    part = folder / "index.parquet.part"
    index.to_parquet(part, index=False)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(folder / "index.parquet")
    (folder / "journal.jsonl").unlink(missing_ok=True)


def _decode(job: _Job, sound: SoundRecipe) -> tuple[bytes, int, int, int, str, str]:
    """Return samples as bytes, length, channels, exponent, hash of the sound, and the problem if there is one."""
    try:
        waveform = load(
            job.path,
            sound.sample_rate,
            sound.channels,
            downmix=sound.downmix,
            start_s=job.start if job.start >= 0 else None,
            end_s=job.end if job.end >= 0 else None,
            max_s=sound.max_clip_s,
        )
    except (AudioError, PathError, OSError) as error:
        return b"", 0, 1, 0, "", str(error).removeprefix(f"{job.path}: ")
    if len(waveform) == 2 and (waveform.strides[0] == 0 or np.array_equal(waveform[0], waveform[1])):
        waveform = waveform[:1]
    channels, length = waveform.shape
    exponent = _exponent(float(np.abs(waveform).max()))
    scaled = np.rint(waveform * np.float32(2.0 ** (15 - exponent)))
    quantised = np.minimum(scaled, 32_767).astype("<i2")  # a peak of just +2^exponent loses one step; −2^exponent fits
    data = quantised.tobytes()
    digest = hashlib.blake2b(data, digest_size=8, key=bytes([exponent & 0xFF, channels]))
    return data, length, channels, exponent, digest.hexdigest(), ""


def _exponent(peak: float) -> int:
    """Return the smallest e with peak ≤ 2^e, so that 16-bit files come back exactly, those at full scale included."""
    if peak == 0:
        return 0
    fraction, exponent = np.frexp(peak)
    return max(-100, int(exponent) - int(fraction == 0.5))
