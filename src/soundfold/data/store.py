"""The waveform store: every clip decoded once, as 16-bit samples in one memory-mapped file beside an index.

What is stored is the clip at the recipe's rate, in its own length, with no more channels than differ: mono stays one
channel and is doubled when it is read. The index keeps, for every clip, the size and times of the file it came from; a
file that has changed since is decoded anew, and one that could not be read is tried again; a sound that is damaged is
remembered as such until its file changes. A store belongs to one data set and one set of sound settings; its folder's
name is made from them. Clips that have gone from the data set stay in it, as another table may name them.

Samples are 16-bit with a power-of-two scale per clip, so 16-bit files at the recipe's rate are kept exactly, quiet
clips keep their detail, and float files above full scale are not clipped.
"""

import hashlib
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from platformdirs import user_cache_path

from soundfold.data.clips import Clips, LeftOut
from soundfold.data.store_build import bring_up_to_date
from soundfold.errors import DataError
from soundfold.recipe import SoundRecipe

__all__ = ["WaveformStore", "cache_folder", "forget_pages", "open_store"]

_FORMAT = 2  # raise when the layout or the decoding changes, so that old stores are left alone


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
        index: one row a clip: file (its whole path), offset (samples), samples, channels, exponent, sound_hash ("" for
            silence), problem ("" if decoded).
    """

    folder: Path
    sound: SoundRecipe
    index: pd.DataFrame
    _samples: np.memmap | None

    def __len__(self) -> int:
        return len(self.index)

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

    def left_out(self, clips: Clips) -> tuple[LeftOut, ...]:
        """Return the clips that could not be decoded, with reasons."""
        problems = self.index["problem"]
        return tuple(LeftOut(clips.table["path"].iloc[row], problems.iloc[row]) for row in np.flatnonzero(~self.usable))

    def waveform(self, row: int) -> np.ndarray:
        """Return one clip as (its own channels, samples) float32; mono stays one channel.

        Raises:
            DataError: the clip could not be decoded.
        """
        entry = self.index.iloc[row]
        if entry["problem"] or self._samples is None:
            problem = entry["problem"].rstrip(". ") or "is not in the store"
            raise DataError(f"{entry['file']}: {problem}. Keep it out of the data set")
        start, size = int(entry["offset"]), int(entry["samples"]) * int(entry["channels"])
        stored = self._samples[start : start + size].reshape(int(entry["channels"]), int(entry["samples"]))
        return stored.astype(np.float32) * np.float32(2.0 ** (int(entry["exponent"]) - 15))

    def forget_pages(self) -> None:
        """Give mapped pages back to the system, so that a pass over the store does not count as memory in use."""
        if self._samples is not None:
            forget_pages(self._samples)


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
) -> WaveformStore:
    """Return the store of a data set, decoding what is not in it yet.

    A build that was killed goes on where it stopped. Two processes that ask for the same store at once build it once.

    Args:
        clips: the table; clips that cannot be decoded are marked in the index, not dropped.
        sound: rate, channels, and the longest clip.
        cache: folder of kept results; None for `cache_folder()`.
        workers: decoding threads; None for one a core.
        on_progress: called with clips done and clips to do.

    Raises:
        DataError: not one clip could be decoded.
        PathError: the cache folder cannot be written, or its disk is full.
    """
    root = clips.root.resolve()  # the same data reached through a link is the same store
    settings = f"{_FORMAT}|{root}|{sound.sample_rate}|{sound.channels}|{sound.downmix}|{sound.max_clip_s}"
    name = hashlib.blake2b(settings.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    folder = cache_folder(cache) / f"{_plain(root.name)}-{name}"
    index, samples = bring_up_to_date(folder, clips, sound, workers or os.cpu_count() or 1, on_progress)
    good = index["problem"] == ""
    if not good.any():
        first = index.iloc[0]
        raise DataError(f"none of the {len(index)} clips can be used; the first: {first['file']}: {first['problem']}")
    return WaveformStore(folder, sound, index, samples)


def _plain(name: str) -> str:
    """Return a folder's name with nothing in it that a file system could refuse."""
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)
    return kept[:40] or "data"
