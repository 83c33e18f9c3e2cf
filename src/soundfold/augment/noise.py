"""AddedNoise on spectrograms: steady noise of any colour between brown and white, added as power.

The noise of a batch is cut from one strip, drawn with the other numbers: each clip begins elsewhere in it. Noise for
every clip by itself would take as much memory as the clips.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from soundfold.augment.decibels import Scale, change_power
from soundfold.augment.numbers import moved, taken

__all__ = ["Noise", "add_noise", "add_noise_power", "draw_noise", "draw_ratio"]

_SNR_RANGE_DB = 20.0
_TILT_DB = 15.0
"""White noise rises by about this much from the lowest mel band to the highest, pink noise not at all."""
_LENGTH = 2  # of the strip, in windows


@dataclass(frozen=True)
class Noise:
    """The noise of a batch.

    Attributes:
        power: (batch, n_mels) float32, over the clip's mean power.
        start: (batch,) int64, where in the strip a clip's noise begins.
        strip: (n_mels, columns) float32, how the power of noise fluctuates; its mean is 1. All clips share it.
    """

    power: Tensor
    start: Tensor
    strip: Tensor

    def to(self, device: torch.device) -> "Noise":
        """Return the same numbers on a device."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "Noise":
        """Return the numbers of some of the clips."""
        return taken(self, rows, shared=("strip",))


def draw_ratio(count: int, probability: float, least_snr_db: float, generator: Generator) -> Tensor:
    """Draw how much noise each clip gets, over its own power: (count,) float64, 0 for those that get none.

    The signal-to-noise ratio is uniform in dB from `least_snr_db` to 20 dB more.
    """
    snr_db = least_snr_db + _SNR_RANGE_DB * torch.rand(count, generator=generator, dtype=torch.float64)
    noisy = torch.rand(count, generator=generator, dtype=torch.float64) < probability
    return torch.where(noisy, (snr_db * (-math.log(10.0) / 10.0)).exp(), 0.0)


def draw_noise(
    count: int, probability: float, least_snr_db: float, n_mels: int, frames: int, generator: Generator
) -> Noise:
    """Draw noise for a batch: level, colour and place in the strip of each clip, and the strip.

    Args:
        count: number of clips.
        probability: part of the clips that get noise.
        least_snr_db: smallest ratio of a clip's mean power to the noise's, in dB; the largest is 20 dB more.
        n_mels, frames: size of a spectrogram.
    """
    ratio = draw_ratio(count, probability, least_snr_db, generator)
    tilt_db = (2.0 * torch.rand(count, 1, generator=generator, dtype=torch.float64) - 1.0) * _TILT_DB
    colour = torch.exp(tilt_db * torch.linspace(0.0, math.log(10.0) / 10.0, n_mels, dtype=torch.float64))
    power = ratio[:, None] * colour / colour.mean(dim=-1, keepdim=True)
    start = (torch.rand(count, generator=generator, dtype=torch.float64) * ((_LENGTH - 1) * frames + 1)).long()
    # the power of noise in a bin is exponentially distributed; a band is some two bins, few low and many high ones
    bins = torch.empty(2, n_mels, _LENGTH * frames).exponential_(generator=generator)
    return Noise(power.float(), start, bins.mean(dim=0))


def add_noise(batch: Tensor, drawn: Noise, scale: Scale = "db") -> Tensor:
    """Add noise to log-mel spectrograms; all channels alike. The level counts from the mean over the whole window.

    Args:
        batch: (batch, channels, n_mels, frames).
        drawn: the batch's numbers.
        scale: what the spectrograms' numbers are.

    Returns:
        the same shape.
    """
    return change_power(batch, scale, partial(add_noise_power, drawn=drawn))


def add_noise_power(power: Tensor, drawn: Noise) -> Tensor:
    """Add noise to spectrograms of power (batch, channels, n_mels, frames)."""
    level = drawn.power.to(power.dtype)[:, None, :, None] * power.mean(dim=(-3, -2, -1), keepdim=True)
    windows = drawn.strip.to(power.dtype).unfold(-1, power.shape[-1], 1).transpose(0, 1)
    return torch.addcmul(power, windows.index_select(0, drawn.start)[:, None], level)
