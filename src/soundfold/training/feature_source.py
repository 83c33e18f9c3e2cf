"""Where batches of kept features come from: the mapped file, the device's own memory, or a stream that runs ahead.

A batch is 16-bit numbers with a range of their own per window until it is where it is used; only half the bytes travel.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from soundfold.training.feature_cache import FeatureCache, from_kept

__all__ = ["FeatureSource", "MappedFeatures", "ResidentFeatures", "StreamedFeatures", "feature_source"]

_SHARE = 0.5
"""Part of a device's free memory that features may fill; the rest is for the training."""
_COPY_ROWS = 256


class FeatureSource(Protocol):
    """Gives batches of features, float32 (rows, channels, n_mels, frames), on one device."""

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the features of each batch of windows in turn."""


def feature_source(cache: FeatureCache, device: torch.device) -> FeatureSource:
    """Return the quickest source for a device: resident where the features fit into its memory, streamed where not."""
    if device.type == "cpu":
        return MappedFeatures(cache)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if cache.kept_bytes > _SHARE * free:
            return StreamedFeatures(cache, device)
    return ResidentFeatures(cache, device)


class MappedFeatures:
    """Reads from the mapped file; the system keeps in memory what it can."""

    def __init__(self, cache: FeatureCache) -> None:
        self._cache = cache

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the features of each batch of windows in turn."""
        return (self._cache.gather(rows) for rows in batches)


class ResidentFeatures:
    """Holds all features in the device's memory; after this, nothing is read from the host again."""

    def __init__(self, cache: FeatureCache, device: torch.device) -> None:
        self._device = device
        count = len(cache.clip)
        first = cache.kept(np.arange(min(1, count)))
        self._kept = torch.empty((count, *first[0].shape[1:]), dtype=first[0].dtype, device=device)
        self._low = torch.from_numpy(cache.low).to(device)
        self._step = torch.from_numpy(cache.step).to(device)
        for start in range(0, count, _COPY_ROWS):
            rows = np.arange(start, min(start + _COPY_ROWS, count))
            self._kept[start : start + len(rows)] = cache.kept(rows)[0].to(device)

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the features of each batch of windows in turn; the numbers of all rows travel in one copy."""
        if not batches:
            return
        rows = _sent(torch.from_numpy(np.concatenate(batches)), self._device)
        for mine in torch.split(rows, [len(batch) for batch in batches]):
            yield from_kept(self._kept[mine], self._low[mine], self._step[mine])


class StreamedFeatures:
    """Reads from the mapped file one batch ahead, so that reading and copying overlap with the training."""

    def __init__(self, cache: FeatureCache, device: torch.device) -> None:
        self._cache, self._device = cache, device

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield the features of each batch of windows in turn."""
        with ThreadPoolExecutor(1) as pool:
            ahead = None
            for rows in [*batches, None]:
                following = None if rows is None else pool.submit(self._read, rows)
                if ahead is not None:
                    yield from_kept(*(part.to(self._device, non_blocking=True) for part in ahead.result()))
                ahead = following

    def _read(self, rows: np.ndarray) -> list[Tensor]:
        return [_pinned(part, self._device) for part in self._cache.kept(rows)]


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, without waiting for what the device has still to do."""
    return _pinned(tensor, device).to(device, non_blocking=True)


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor from which a copy to the device runs beside the computation: for a GPU, in pinned memory."""
    return tensor.pin_memory() if device.type == "cuda" else tensor
