"""Backgrounds for augmentation: the sounds of a folder, decoded once and cut into pieces of one window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from soundfold.audio import load
from soundfold.data.files import scan_sounds
from soundfold.errors import AudioError, DataError, PathError
from soundfold.recipe import SoundRecipe

__all__ = ["read_backgrounds"]

_Item = TypeVar("_Item")
_MOST_BYTES = 256 * 2**20
_MOST_S = 600.0
"""A longer sound is refused."""


def read_backgrounds(folder: str | Path, sound: SoundRecipe) -> np.ndarray:
    """Decode the sounds of a folder, at every depth, and cut them into windows.

    A sound longer than a window gives several pieces, without what is left at its end; a shorter one is repeated until
    it fills one. Of more than 256 MB, an even choice over the folder is kept.

    Args:
        folder: where the sounds lie.
        sound: rate, channels and length of the windows.

    Returns:
        (pieces, channels, samples) float32.

    Raises:
        PathError: the folder is not there, or may not be read.
        DataError: it holds no sound, or one that cannot be decoded.
    """
    root = Path(folder)
    if not root.is_dir():
        raise PathError(f"{root}: augment.background_folder must be a folder of sounds. Check its name")
    found = [root.joinpath(*parts) for parts in scan_sounds(root).sounds]
    if not found:
        raise DataError(f"{root}: holds no sounds to be backgrounds. Name another augment.background_folder")
    most = max(1, _MOST_BYTES // (4 * sound.channels * sound.window))
    paths = _thinned(found, most)
    pieces: list[np.ndarray] = []
    for path in paths:
        try:
            waveform = load(path, sound.sample_rate, sound.channels, downmix=sound.downmix, max_s=_MOST_S)
        except (AudioError, PathError) as error:
            raise DataError(f"{error} It is in augment.background_folder") from None
        length = waveform.shape[1]
        if length < sound.window:
            waveform = np.tile(waveform, -(-sound.window // length))
        starts = range(0, waveform.shape[1] - sound.window + 1, sound.window)
        # copies, so that the rest of the sound is not kept with them
        pieces += [
            waveform[:, start : start + sound.window].copy() for start in _thinned(starts, max(1, most // len(paths)))
        ]
    return np.stack(pieces)


def _thinned(items: Sequence[_Item], most: int) -> Sequence[_Item]:
    """Return every n-th of some items, so that there are at most so many."""
    return items[:: -(-len(items) // most)]
