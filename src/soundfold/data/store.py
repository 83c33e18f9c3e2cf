"""The waveform store: every clip decoded once, as 16-bit samples in one memory-mapped file beside an index.

What is stored is the clip at the recipe's rate, in its own length, with no more channels than differ: mono stays one
channel and is doubled when it is read. The index keeps, for every clip, size and times of the file it came from, and a
hash of its content. While size and times are the same the file is not even opened; when they differ the content
decides, so what was touched, renamed, moved or copied is not decoded again. A file that could not be read is tried
again; a sound that is damaged is remembered as such until its file changes.

There is one store for each set of sound settings, whatever data sets use it: a data set may move, and tables in other
folders may name the same sounds. Clips that have gone from a data set stay while their files are there.

Samples are 16-bit with a power-of-two scale per clip, so 16-bit files at the recipe's rate are kept exactly, quiet
clips keep their detail, and float files above full scale are not clipped.
"""

import hashlib
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from platformdirs import user_cache_path

from soundfold.audio import SILENT_PEAK
from soundfold.cores import usable_cores
from soundfold.data.clips import Clips, LeftOut
from soundfold.data.store_build import bring_up_to_date
from soundfold.errors import DataError
from soundfold.recipe import SoundRecipe
from soundfold.wording import counted

__all__ = ["WaveformStore", "cache_folder", "forget_pages", "open_store"]

_LARGE_BLOCK_BYTES = 31 << 20  # just below what glibc would not count
_FORMAT = 4  # raise when the layout or the decoding changes, so that old stores are left alone


def cache_folder(chosen: str | Path | None = None) -> Path:
    """Return the folder of kept intermediate results: the one chosen, else SOUNDFOLD_CACHE, else the user's cache."""
    if chosen is not None:
        return Path(chosen)
    named = os.environ.get("SOUNDFOLD_CACHE")
    return Path(named) if named else user_cache_path("soundfold", appauthor=False)


@dataclass(frozen=True)
class WaveformStore:
    """Decoded clips; row i is row i of the clips table it was opened with.

    Attributes:
        folder: where the store lies.
        sound: the settings it was decoded with.
        index: one row a clip: file (its whole path), content (hash of the file), offset (samples), samples, channels,
            exponent, sound_hash ("" for silence), problem ("" if decoded).
    """

    folder: Path
    sound: SoundRecipe
    index: pd.DataFrame
    _samples: np.memmap | None

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the store to another process by its file's name: a mapped array would be copied whole."""
        file = None if self._samples is None else self._samples.filename
        return _reopened, (self.folder, self.sound, self.index, file)

    @property
    def identity(self) -> str:
        """A short hash of what is stored, in order: equal if and only if every clip's samples are."""
        digest = hashlib.blake2b(digest_size=12)
        for column in ("sound_hash", "samples", "channels", "exponent"):
            digest.update("\n".join(map(str, self.index[column])).encode())
        return digest.hexdigest()

    @property
    def usable(self) -> np.ndarray:
        """(clips,) booleans: which clips were decoded."""
        return (self.index["problem"] == "").to_numpy()

    @property
    def silent(self) -> np.ndarray:
        """(clips,) booleans: in which clips there is nothing to hear."""
        peaks = np.exp2(self.index["exponent"].to_numpy(np.float64))  # none is higher than that
        silent: np.ndarray = (self.index["sound_hash"] == "").to_numpy() | (peaks <= SILENT_PEAK)
        silent &= self.usable
        return silent

    def left_out(self, clips: Clips) -> tuple[LeftOut, ...]:
        """Return the clips that could not be decoded, with reasons."""
        problems = self.index["problem"]
        return tuple(LeftOut(clips.table["path"].iloc[row], problems.iloc[row]) for row in np.flatnonzero(~self.usable))

    def waveform(self, row: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return one clip, or its samples from `start` to `stop`, as (its own channels, samples) float32.

        Mono stays one channel.

        Raises:
            DataError: the clip could not be decoded.
        """
        stored, scale = self.stored(row)
        waveform: np.ndarray = stored[:, start:stop].astype(np.float32)
        waveform *= np.float32(scale)
        return waveform

    def stored(self, row: int) -> tuple[np.ndarray, float]:
        """Return one clip as it lies in the mapped file, (its own channels, samples) int16, and what 1 stands for.

        Raises:
            DataError: the clip could not be decoded.
        """
        offset, samples, channels, exponent, problem = (column[row] for column in self._columns)
        if problem or self._samples is None:
            problem = problem.rstrip(". ") or "is not in the store"
            raise DataError(f"{self.index['file'].iloc[row]}: {problem}. Keep it out of the data set")
        stored = self._samples[offset : offset + samples * channels].reshape(channels, samples)
        return stored, 2.0 ** (exponent - 15)

    @cached_property
    def _columns(self) -> tuple[list[Any], ...]:
        """What `waveform` looks up, as lists: a row of a table takes as long to find as a short clip to read."""
        return tuple(self.index[name].tolist() for name in ("offset", "samples", "channels", "exponent", "problem"))

    def forget_pages(self) -> None:
        """Give mapped pages back to the system, so that a pass over the store does not count as memory in use."""
        if self._samples is not None:
            forget_pages(self._samples)


def _reopened(folder: Path, sound: SoundRecipe, index: pd.DataFrame, file: str | None) -> WaveformStore:
    return WaveformStore(folder, sound, index, None if file is None else np.memmap(file, dtype="<i2", mode="r"))


def forget_pages(mapped: np.memmap) -> None:
    """Give the pages of a mapped file back to the system; they come again when they are read."""
    memory = getattr(mapped, "_mmap", None)
    if memory is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        memory.madvise(mmap.MADV_DONTNEED)


def open_store(
    clips: Clips,
    sound: SoundRecipe,
    *,
    cache: str | Path | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_wait: Callable[[], None] | None = None,
) -> WaveformStore:
    """Return the store of a data set, decoding what is not in it yet.

    A build that was killed goes on where it stopped. Two processes that ask for the same store at once build it once.

    Args:
        clips: the table; clips that cannot be decoded are marked in the index, not dropped.
        sound: rate, channels, and the longest clip.
        cache: folder of kept results; None for `cache_folder()`.
        workers: decoding threads; None for one a core.
        on_progress: called with clips done and clips to do.
        on_wait: called once if another process has to be waited for, which may be decoding another data set.

    Raises:
        DataError: not one clip could be decoded.
        PathError: the cache folder cannot be written, or its disk is full.
    """
    _keep_freed_memory()
    settings = f"{_FORMAT}|{sound.sample_rate}|{sound.channels}|{sound.downmix}|{sound.max_clip_s}"
    name = hashlib.blake2b(settings.encode(), digest_size=8).hexdigest()
    folder = cache_folder(cache) / f"sounds-{sound.sample_rate}-{name}"
    index, samples = bring_up_to_date(folder, clips, sound, workers or usable_cores(), on_progress, on_wait)
    good = index["problem"] == ""
    if not good.any():
        first = index.iloc[0]
        told = f"the first: {first['file']}: {first['problem']}"
        raise DataError(f"none of the {counted(len(index), 'clip')} can be used; {told}")
    return WaveformStore(folder, sound, index, samples)


def _keep_freed_memory() -> None:
    """Have the memory of one clip serve for the next, when decoding and when reading.

    glibc gives freed memory back to the system beyond a limit that follows the largest block freed so far. Where clips
    are about as large as the limit, fetching their memory anew, page by page, takes as long as decoding them. Nothing
    is written to this block, so it takes none; without glibc it changes nothing.
    """
    np.empty(_LARGE_BLOCK_BYTES, np.uint8)
