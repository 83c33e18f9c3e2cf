"""The windows that a sound is heard through, cut from blocks of any size as they come."""

import math
from collections.abc import Iterator

import numpy as np

from soundfold.audio import fit_length
from soundfold.errors import AudioError
from soundfold.runtime.card import ModelCard

__all__ = ["MOST_WINDOWS", "WindowCutter", "batched", "hop_samples", "stacked"]

MOST_WINDOWS = 4
"""Windows that go through a network together, at most; more take longer each, as they no longer fit the cache."""

Part = tuple[int, np.ndarray]
"""First sample of a window, and its waveform (channels, samples), which nobody may change."""


def hop_samples(card: ModelCard, hop_s: float | None) -> int:
    """Return a hop in samples; None stands for windows side by side.

    Raises:
        AudioError: it is shorter than a sample, or longer than a window and would pass over samples.
    """
    if hop_s is None:
        return card.window
    wanted = hop_s * card.sample_rate  # of a finite but huge number, infinity
    hop = round(wanted) if math.isfinite(wanted) else 0
    if not 1 <= hop <= card.window:
        raise AudioError(
            f"hop must be more than 0 (a sample at least) and at most the window of {card.window_s:g} s, "
            f"got {hop_s}. Give another"
        )
    return hop


class WindowCutter:
    """Cuts the windows that `audio.windows` names, holding less than one window of samples.

    A window leaves as soon as its last sample is there. Whether it was the sound's last is known at the end alone, and
    then a shorter one holds what no window has held so far. Windows that lie within a block are views of it.

    Args:
        window: samples in a window.
        hop: samples from one beginning to the next, 1 to `window`.
    """

    def __init__(self, window: int, hop: int) -> None:
        self._window, self._hop = window, hop
        self._held: np.ndarray | None = None  # of the window under way, what has come
        self._filled = 0
        self._known = 0  # samples at the beginning of `_held` that a window has held already
        self._start = 0

    @property
    def missing(self) -> int:
        """Samples until the next window is whole."""
        return self._window - self._filled

    def feed(self, block: np.ndarray) -> Iterator[Part]:
        """Yield the windows that a block (channels, n) completes; all must be taken before the next one is fed."""
        if self._held is None:
            self._held = np.empty((block.shape[0], self._window), np.float32)
        length = block.shape[1]
        begin = -self._filled  # of the window under way, in this block
        while begin + self._window <= length:
            if begin >= 0:
                yield self._start, block[:, begin : begin + self._window]
            else:
                self._held[:, -begin:] = block[:, : begin + self._window]
                yield self._start, self._held.copy()
                if self._hop < -begin:
                    self._held[:, : -begin - self._hop] = self._held[:, self._hop : -begin].copy()
            begin += self._hop
            self._known = self._window - self._hop
            self._start += self._hop
        self._filled = length - begin
        first = max(begin, 0)
        self._held[:, first - begin : self._filled] = block[:, first:]

    def finish(self) -> Iterator[Part]:
        """Yield the shorter window at the end, if there is one."""
        if self._held is not None and self._filled > self._known:
            yield self._start, self._held[:, : self._filled].copy()


def batched(parts: Iterator[Part]) -> Iterator[list[Part]]:
    """Yield windows in the numbers that go through a network together."""
    batch: list[Part] = []
    for part in parts:
        batch.append(part)
        if len(batch) == MOST_WINDOWS:
            yield batch
            batch = []
    if batch:
        yield batch


def stacked(parts: list[Part], window: int) -> np.ndarray:
    """Return windows as a network takes them (batch, channels, window), a shorter one amid silence.

    One alone is not copied.
    """
    whole = [fit_length(part, window) for _, part in parts]
    return whole[0][None] if len(whole) == 1 else np.stack(whole)
