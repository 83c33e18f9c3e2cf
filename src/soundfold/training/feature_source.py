"""Where batches of kept windows come from: the mapped file, the device's own memory, or a stream that runs ahead.

What is kept are features, or waveforms where features are made anew in every epoch. A batch is 16-bit numbers with a
range of their own per window until it is where it is used; only half the bytes travel.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["KeptWindows", "Mapped", "Resident", "Source", "Streamed", "source_of"]

_SHARE = 0.5
"""Part of a device's free memory that kept windows may fill; the rest is for the training."""
_COPY_ROWS = 256


class KeptWindows(Protocol):
    """Windows on the host, as they are kept."""

    def __len__(self) -> int:
        """Return how many there are."""

    @property
    def kept_bytes(self) -> int:
        """Bytes of all of them."""

    def kept(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """Return some of them as they are kept: values, and what else belongs to each row."""

    def restored(self, *kept: Tensor) -> Tensor:
        """Return kept parts as float32, on any device."""


class Source(Protocol):
    """Gives batches of windows, float32, on one device."""

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield each batch of windows in turn."""


def source_of(kept: KeptWindows, device: torch.device, *, ahead: bool = False) -> Source:
    """Return the quickest source for a device: resident where all fits into its memory, streamed where not.

    Args:
        kept: the windows.
        device: where batches are wanted.
        ahead: whether a batch is so large that even a CPU should have it read while it computes.
    """
    if device.type == "cpu":
        return Streamed(kept, device) if ahead else Mapped(kept)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if kept.kept_bytes > _SHARE * free:
            return Streamed(kept, device)
    return Resident(kept, device)


class Mapped:
    """Reads from the mapped file; the system keeps in memory what it can."""

    def __init__(self, kept: KeptWindows) -> None:
        self._kept = kept

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield each batch of windows in turn."""
        return (self._kept.restored(*self._kept.kept(rows)) for rows in batches)


class Resident:
    """Holds all windows in the device's memory; after this, nothing is read from the host again."""

    def __init__(self, kept: KeptWindows, device: torch.device) -> None:
        self._device, self._restored = device, kept.restored
        count = len(kept)
        self._parts = [
            torch.empty((count, *part.shape[1:]), dtype=part.dtype, device=device) for part in kept.kept(np.arange(0))
        ]
        for start in range(0, count, _COPY_ROWS):
            rows = np.arange(start, min(start + _COPY_ROWS, count))
            for whole, part in zip(self._parts, kept.kept(rows), strict=True):
                whole[start : start + len(rows)] = part.to(device)

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield each batch of windows in turn; the numbers of all rows travel in one copy."""
        if not batches:
            return
        rows = _sent(torch.from_numpy(np.concatenate(batches)), self._device)
        for mine in torch.split(rows, [len(batch) for batch in batches]):
            yield self._restored(*(part[mine] for part in self._parts))


class Streamed:
    """Reads from the mapped file one batch ahead, so that reading and copying overlap with the training."""

    def __init__(self, kept: KeptWindows, device: torch.device) -> None:
        self._kept, self._device = kept, device

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """Yield each batch of windows in turn."""
        with ThreadPoolExecutor(1) as pool:
            ahead = None
            for rows in [*batches, None]:
                following = None if rows is None else pool.submit(self._read, rows)
                if ahead is not None:
                    parts = (part.to(self._device, non_blocking=True) for part in ahead.result())
                    yield self._kept.restored(*parts)
                ahead = following

    def _read(self, rows: np.ndarray) -> list[Tensor]:
        return [_pinned(part, self._device) for part in self._kept.kept(rows)]


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, without waiting for what the device has still to do."""
    return _pinned(tensor, device).to(device, non_blocking=True)


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor from which a copy to the device runs beside the computation: for a GPU, in pinned memory."""
    return tensor.pin_memory() if device.type == "cuda" else tensor
