"""Resampling for somebody who waits for the newest samples.

soxr works through a sound in blocks of its own and holds back what it has of the next: up to 160 ms for a model of
8 kHz that listens at 48 kHz. Most of that is known already. A sample depends on little of the sound around it, so the
newest that are known follow from the last piece of sound alone, resampled as if it were a whole one; they equal, within
1e-5 of full scale, what the stream brings later, which is then passed over.
"""

import math

import numpy as np

from soundfold.audio.resample import BlockResampler, resample
from soundfold.audio.source import Waveform

__all__ = ["PromptResampler"]

_REACH = 100
"""Samples, of the lower of the two rates, to both sides of a sample that it depends on. With 60, 1e-4 was seen to be
missing; with 100, and up to 300, no more than rounding."""
_MOST_HELD_S = 0.5
"""What the stream may hold back, so that a piece of sound reaches to what is out; more than it was ever seen to."""


class PromptResampler:
    """Resamples blocks as `BlockResampler` does, and gives what is known beyond that when asked.

    Args:
        sample_rate: rate of the blocks in Hz.
        new_rate: the wanted rate in Hz.

    Raises:
        AudioError: a rate cannot be.
    """

    def __init__(self, sample_rate: int, new_rate: int) -> None:
        self._stream = BlockResampler(sample_rate, new_rate)
        self._rates = sample_rate, new_rate
        common = math.gcd(sample_rate, new_rate)
        self._step_in, self._step_out = sample_rate // common, new_rate // common  # samples after which both coincide
        self._reach = math.ceil(_REACH * sample_rate / min(sample_rate, new_rate))
        self._most = 2 * self._reach + self._step_in + round(_MOST_HELD_S * sample_rate)
        self._recent: Waveform = np.empty((0, 0), np.float32)
        self._n_in = self._n_out = 0
        self._ahead = 0  # samples that were given before the stream brought them

    def feed(self, block: Waveform) -> Waveform:
        """Return what a block `(channels, n)` brings: `(channels, m)`, possibly without samples.

        Raises:
            AudioError: the block has another number of channels than those before.
        """
        resampled = self._new(self._stream.feed(block))
        if self._step_in != self._step_out and block.shape[1]:
            self._n_in += block.shape[1]
            joined = np.concatenate([self._recent, block], axis=1) if self._recent.size else block
            self._recent = joined[:, -self._most :].copy()
        return resampled

    def ahead(self, wanted: int) -> Waveform:
        """Return the next `wanted` samples, before the stream brings them, if they are known; else none."""
        nothing = np.empty((self._recent.shape[0], 0), np.float32)
        stop = self._n_out + wanted
        if not self._recent.size or -(-stop * self._rates[0] // self._rates[1]) + self._reach > self._n_in:
            return nothing
        first = self._n_in - self._recent.shape[1]
        start_in = max(0, self._n_out * self._rates[0] // self._rates[1] - self._reach) // self._step_in * self._step_in
        if start_in < first:
            return nothing
        start_out = start_in // self._step_in * self._step_out
        known = resample(self._recent[:, start_in - first :], *self._rates)
        self._ahead += wanted
        self._n_out = stop
        return known[:, stop - wanted - start_out : stop - start_out]

    def finish(self) -> Waveform:
        """Return the rest `(channels, m)`, possibly without samples; nothing can be fed after it."""
        return self._new(self._stream.finish())

    def _new(self, resampled: Waveform) -> Waveform:
        """Return what was not given before."""
        passed = min(self._ahead, resampled.shape[1])
        self._ahead -= passed
        self._n_out += resampled.shape[1] - passed
        return resampled[:, passed:]
