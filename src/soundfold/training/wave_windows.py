"""Windows of waveforms, for training that varies sounds as samples and makes their features anew in every epoch.

They come out of the waveform store, the very windows whose features the cache keeps, centred in silence as there, so
that an epoch's plan names either by the same row.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundfold.augment import WaveDraws, apply_and_mix_waveforms
from soundfold.data.store import WaveformStore
from soundfold.training.feature_cache import FeatureCache
from soundfold.training.feature_source import Source, source_of

__all__ = ["Sounds", "WaveWindows", "open_sounds"]

_RESIDENT_BYTES = 256 * 2**20


class WaveWindows:
    """The store's samples by window, as `feature_source` takes what is kept.

    Args:
        store: decoded sounds.
        cache: the features of the same clips, for where windows lie.
        length: samples of a window.

    Attributes:
        channels: one where every clip is mono, as in the cache; `Classifier.prepare` doubles its features.
        before, after: (windows,) samples of silence around the centred sound.
    """

    def __init__(self, store: WaveformStore, cache: FeatureCache, length: int) -> None:
        self._store, self._clip, self._length = store, cache.clip, length
        self._sound = cache.weight
        self._start = cache.start
        self.channels = int(store.index["channels"].max())
        self.before = (length - cache.weight) // 2
        self.after = length - cache.weight - self.before
        self._touched = 0

    def __len__(self) -> int:
        return len(self._clip)

    @property
    def kept_bytes(self) -> int:
        """Bytes of all windows as `kept` gives them, the silence around short clips included."""
        return 2 * len(self) * self.channels * self._length

    def kept(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return windows as 16-bit samples (rows, channels, samples), and (rows,) what 1 stands for in each."""
        values = np.zeros((len(rows), self.channels, self._length), np.int16)
        scales = np.empty(len(rows), np.float32)
        for place, row in enumerate(rows):
            stored, scales[place] = self._store.stored(self._clip[row])
            start, before, sound = self._start[row], self.before[row], self._sound[row]
            values[place, :, before : before + sound] = stored[:, start : start + sound]  # one channel fills two
        self._touched += values.nbytes
        if self._touched > _RESIDENT_BYTES:
            self._store.forget_pages()
            self._touched = 0
        return torch.from_numpy(values), torch.from_numpy(scales)

    def restored(self, *kept: Tensor) -> Tensor:
        """Return what `kept` gave as float32 samples."""
        values, scales = kept
        return values.float().mul_(scales[:, None, None])


@dataclass(frozen=True)
class Sounds:
    """What a training hears that varies waveforms.

    Attributes:
        windows: where samples lie in each window.
        source: gives batches of them.
        backgrounds: (pieces, channels, samples) on the training's device; None for none.
    """

    windows: WaveWindows
    source: Source
    backgrounds: Tensor | None

    @property
    def backgrounds_told(self) -> tuple[int, int]:
        """How many backgrounds there are, and their samples, as `draw_waveform` wants to know them."""
        return (0, 0) if self.backgrounds is None else (len(self.backgrounds), self.backgrounds.shape[-1])

    def vary(self, waveform: Tensor, targets: Tensor, draws: WaveDraws) -> tuple[Tensor, Tensor]:
        """Apply drawn numbers to waveforms (batch, channels, samples) and their targets."""
        return apply_and_mix_waveforms(waveform, targets, draws, self.backgrounds)


def open_sounds(
    store: WaveformStore, cache: FeatureCache, backgrounds: Path | None, length: int, device: torch.device
) -> Sounds:
    """Return the waveforms of a training, brought as near to a device as they fit.

    Args:
        store, cache, length: as for `WaveWindows`.
        backgrounds: .npy of (pieces, channels, samples) float32; None for none.
        device: where the training computes.
    """
    windows = WaveWindows(store, cache, length)
    pieces = None
    if backgrounds is not None:
        # mapped, so that trainings side by side share it; "c" for a tensor that torch need not warn about
        pieces = torch.from_numpy(np.load(backgrounds, mmap_mode="c")).to(device)
    return Sounds(windows, source_of(windows, device, ahead=True), pieces)
