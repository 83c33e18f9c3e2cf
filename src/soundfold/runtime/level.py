"""How loud a sound is while it comes, and whether that is how a microphone should sound."""

import math
from typing import NamedTuple

import numpy as np

__all__ = ["Level", "LevelMeter"]

_FLOOR_DB = -90.0
_SILENT = 10 ** (-80 / 20)  # even a quiet room is some 20 dB louder through a working microphone
_SILENT_S = 3.0
_CLIPPED = 0.999
_CLIPPED_SAMPLES = 8  # single ones may be; a row of them in a second is a level that is too high
_OVER_S = 5.0


class Level(NamedTuple):
    """How loud it was lately, in dB of full scale: its mean power, and its highest sample."""

    rms_db: float
    peak_db: float


class LevelMeter:
    """Measures blocks, and tells once when they are silent or too loud, and again when that comes back.

    Args:
        sample_rate: of the blocks in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._silent = self._unclipped = 0
        self._told_silence = self._told_clipping = False
        self._clipped = 0

    def measure(self, block: np.ndarray) -> tuple[Level, list[str]]:
        """Return the level of a block (channels, samples), and what is to be told of the sound."""
        peak = float(np.abs(block).max(initial=0.0))
        rms = math.sqrt(float(np.mean(np.square(block, dtype=np.float64)))) if block.size else 0.0
        notes = [*self._silence(peak, block.shape[1]), *self._clipping(block)]
        return Level(_decibels(rms), _decibels(peak)), notes

    def _silence(self, peak: float, samples: int) -> list[str]:
        if peak > _SILENT:
            self._silent = 0
            if self._told_silence:
                self._told_silence = False
                return ["sound arrives again"]
            return []
        self._silent += samples
        if self._told_silence or self._silent < _SILENT_S * self._rate:
            return []
        self._told_silence = True
        return ["no sound arrives: is the microphone muted?"]

    def _clipping(self, block: np.ndarray) -> list[str]:
        clipped = int(np.count_nonzero(np.abs(block) >= _CLIPPED))
        self._unclipped = 0 if clipped else self._unclipped + block.shape[1]
        if self._unclipped > _OVER_S * self._rate:
            self._clipped, self._told_clipping = 0, False
        self._clipped += clipped
        if self._told_clipping or self._clipped < _CLIPPED_SAMPLES:
            return []
        self._told_clipping = True
        return ["the sound is cut off at full scale: turn the microphone down"]


def _decibels(amplitude: float) -> float:
    return max(_FLOOR_DB, 20 * math.log10(amplitude)) if amplitude > 0 else _FLOOR_DB
