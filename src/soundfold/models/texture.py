"""What a sound is like as a whole, in a few hundred numbers: how loud bands are, how they vary, how they go together.

Wind, an engine, a drill and a crowd are told by such statistics wherever in the clip one listens; which of them a
recording shares with others of its kind changes less from recording to recording than its picture does.

References:
    McDermott and Simoncelli (2011), "Sound Texture Perception via Statistics of the Auditory Periphery", Neuron 71.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from soundfold.features.precision import in_full_precision

__all__ = ["Texture"]

_BANDS = 32
_TOGETHER = 16
"""Bands between which correlations are taken."""
_EDGES_HZ = (0.5, 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 22, 26, 31, 36, 43, 50)
"""Of the bands of modulation: from one beat in two seconds to a roughness that is nearly a tone."""
_SMALL = 1e-3
"""A variance that counts as none, beside that of the standardised features of a data set, which is 1."""
_FADE = 0.5
"""How far above the clip's floor a frame must be to count in full; a hard edge would make much of rounding."""


class Texture(nn.Module):
    """Log spectrograms (batch, channels, n_mels, frames), standardised → statistics (batch, values).

    Neighbouring bands are averaged to 32. Of each: mean, deviation, skewness, kurtosis and mean step over time, and the
    power of its variation in up to 16 bands of modulation (0.5 to 50 Hz); then the correlations over time of 16 bands.
    Frames that are silent, as all are that fill up a short clip, do not count. There is nothing to learn.

    Args:
        shape: (channels, n_mels, frames) of the spectrograms.
        hop_s: seconds from one frame to the next.

    Attributes:
        size: number of values.

    >>> Texture((1, 96, 400), 0.01).size
    792
    """

    def __init__(self, shape: tuple[int, int, int], hop_s: float) -> None:
        super().__init__()
        channels, n_mels, frames = shape
        bands = min(_BANDS, n_mels)
        self.averages: Tensor
        self.fewer: Tensor
        self.waves: Tensor
        self.modulations: Tensor
        self.pairs: Tensor
        self.register_buffer("averages", _averages(n_mels, bands), persistent=False)
        self.register_buffer("fewer", _averages(bands, min(_TOGETHER, bands)), persistent=False)
        waves, modulations = _waves(frames, hop_s)
        self.register_buffer("waves", waves, persistent=False)
        self.register_buffer("modulations", modulations, persistent=False)
        above = torch.triu_indices(len(self.fewer), len(self.fewer), 1)
        self.register_buffer("pairs", above[0] * len(self.fewer) + above[1], persistent=False)
        self.size = channels * (bands * (5 + modulations.shape[1]) + len(self.pairs))

    @in_full_precision
    def forward(self, features: Tensor) -> Tensor:
        """Return the statistics."""
        features = features.float()  # a training in bfloat16 hands its held-out pictures over in that
        heard = self._heard(features)
        bands = self.averages @ features
        count = heard.sum(dim=-1).clamp(min=1)
        mean = (bands * heard).sum(dim=-1) / count
        varying = (bands - mean.unsqueeze(-1)) * heard
        square = varying.square()
        variance = square.sum(dim=-1) / count
        soft = variance + _SMALL
        skewness = (square * varying).sum(dim=-1) / count / soft**1.5
        kurtosis = (square.square().sum(dim=-1) / count / soft.square()).log1p()
        both = heard[..., 1:] * heard[..., :-1]
        step = ((bands[..., 1:] - bands[..., :-1]).abs() * both).sum(dim=-1) / both.sum(dim=-1).clamp(min=1)
        cosines, sines = (varying @ self.waves).chunk(2, dim=-1)
        power = (cosines.square() + sines.square()) @ self.modulations / count.unsqueeze(-1)
        values = [mean, soft.sqrt(), skewness, kurtosis, step, (power + _SMALL / 10).log(), self._together(varying)]
        return torch.cat([value.flatten(1) for value in values], dim=1)

    def _heard(self, features: Tensor) -> Tensor:
        """Return how much each frame counts, 0 at the clip's floor to 1, (batch, channels, 1, frames)."""
        floor = features.amin(dim=(-2, -1), keepdim=True)
        return ((features.amax(dim=-2, keepdim=True) - floor) / _FADE).clamp(max=1)

    def _together(self, varying: Tensor) -> Tensor:
        """Return the correlation of each pair of bands."""
        coarse = self.fewer @ varying
        length = (coarse.square().sum(dim=-1, keepdim=True) + _SMALL * varying.shape[-1]).sqrt()
        unit = coarse / length
        return (unit @ unit.transpose(-1, -2)).flatten(-2).index_select(-1, self.pairs)


def _averages(many: int, few: int) -> Tensor:
    """Return a matrix (few, many) that averages neighbours, as evenly as whole numbers allow."""
    owner = torch.arange(many) * few // many
    member = (owner == torch.arange(few)[:, None]).float()
    return member / member.sum(dim=1, keepdim=True)


def _waves(frames: int, hop_s: float) -> tuple[Tensor, Tensor]:
    """Return windowed cosines and sines (frames, 2 × frequencies), and which band of modulation has which frequency.

    Bands that hold no frequency, because there are too few frames or too few of them a second, are left out.
    """
    frequencies = torch.arange(1, frames // 2 + 1, dtype=torch.float64) / (frames * hop_s)
    inside = [(frequencies >= low) & (frequencies < high) for low, high in pairwise(_EDGES_HZ)]
    bands = torch.stack([band / band.sum() for band in inside if band.any()], dim=1)
    used = bands.sum(dim=1) > 0
    at = torch.arange(frames, dtype=torch.float64)
    phase = 2 * math.pi * hop_s * at[:, None] * frequencies[used]
    window = torch.hann_window(frames, periodic=False, dtype=torch.float64)[:, None]
    return torch.cat([phase.cos() * window, phase.sin() * window], dim=1).float(), bands[used].float()
