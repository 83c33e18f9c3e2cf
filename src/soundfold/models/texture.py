"""What a sound is like as a whole, in some hundred numbers: how loud bands are, how they vary, how they go together.

Wind, an engine, a drill and a crowd are told by such statistics wherever in the clip one listens; which of them a
recording shares with others of its kind changes less from recording to recording than its picture does.

References:
    McDermott and Simoncelli (2011), "Sound Texture Perception via Statistics of the Auditory Periphery", Neuron 71.
    Chi, Ru and Shamma (2005), "Multiresolution Spectrotemporal Analysis of Complex Sounds", JASA 118: ripples.
"""

import math
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from soundfold.features.precision import in_full_precision

__all__ = ["Texture"]

_BANDS = 32
_TOGETHER = 16
"""Bands between which correlations are taken."""
_EDGES_HZ = (0.5, 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 22, 26, 31, 36, 43, 50)
"""Of the bands of modulation: from one beat in two seconds to a roughness that is nearly a tone."""
_RIPPLES = (4, 8, 14, 27)
"""Waves along all bands: the widest tells one hump of the spectrum from the next, the narrowest one harmonic."""
_PLACES = 12
"""Where along the bands each ripple is looked for."""
_RIPPLE_REACH = (1 / 48, 1 / 12)
"""Least and largest deviation of a ripple's window, as a part of all bands; between them it holds one wave or so."""
_WAVES_IN_REACH = 0.57
_SMALL = 1e-3
"""A variance that counts as none, beside that of the standardised features of a data set, which is 1."""
_FADE = 0.5
"""How far above the clip's floor a frame must be to count in full; a hard edge would make much of rounding."""


class Texture(nn.Module):
    """Log spectrograms (batch, channels, n_mels, frames), standardised → statistics (batch, values).

    Neighbouring bands are averaged to 32. Of each: mean, deviation, skewness, kurtosis and mean step over time, and the
    power of its variation in up to 16 bands of modulation (0.5 to 50 Hz); then the correlations over time of 16 bands.
    The mean spectrum and its variation are seen through ripples too, waves along the bands, up to four at each of
    twelve places: how strong each is in the mean, and in each band of modulation. Their power alone counts, so that it
    matters little how high a voice or an engine is. Frames that are silent, as all are that fill up a short clip, do
    not count. There is nothing to learn.

    Args:
        shape: (channels, n_mels, frames) of the spectrograms.
        hop_s: seconds from one frame to the next.

    Attributes:
        size: number of values.
        views: the first value and the end of each of five kinds of them, which are best judged apart: moments and steps
            of bands, their modulation, ripples of the mean, ripples of what varies, correlations. Few bands have none
            of some.

    >>> Texture((1, 96, 400), 0.01).size
    1608
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
        self.ripples: Tensor
        self.register_buffer("averages", _averages(n_mels, bands), persistent=False)
        self.register_buffer("fewer", _averages(bands, min(_TOGETHER, bands)), persistent=False)
        waves, modulations = _waves(frames, hop_s)
        self.register_buffer("waves", waves, persistent=False)
        self.register_buffer("modulations", modulations, persistent=False)
        above = torch.triu_indices(len(self.fewer), len(self.fewer), 1)
        self.register_buffer("pairs", above[0] * len(self.fewer) + above[1], persistent=False)
        self.register_buffer("ripples", _ripples(n_mels), persistent=False)
        beats, ripples = modulations.shape[1], len(self.ripples) // 2
        counts = (5 * bands, bands * beats, ripples, ripples * beats, len(self.pairs))
        ends = list(accumulate(channels * count for count in counts))
        self.size = ends[-1]
        self.views = [(first, end) for first, end in pairwise([0, *ends]) if end > first]

    @in_full_precision
    def forward(self, features: Tensor) -> Tensor:
        """Return the statistics."""
        features = features.float()  # a training in bfloat16 hands its held-out pictures over in that
        heard = self._heard(features)
        count = heard.sum(dim=-1).clamp(min=1)
        spectrum = (features * heard).sum(dim=-1, keepdim=True) / count.unsqueeze(-1)
        fine = (features - spectrum) * heard
        bands, varying = self.averages @ features, self.averages @ fine
        square = varying.square()
        variance = square.sum(dim=-1) / count
        soft = variance + _SMALL
        skewness = (square * varying).sum(dim=-1) / count / soft**1.5
        kurtosis = (square.square().sum(dim=-1) / count / soft.square()).log1p()
        both = heard[..., 1:] * heard[..., :-1]
        step = ((bands[..., 1:] - bands[..., :-1]).abs() * both).sum(dim=-1) / both.sum(dim=-1).clamp(min=1)
        values = [(self.averages @ spectrum).squeeze(-1), soft.sqrt(), skewness, kurtosis, step]
        values.append((self._modulation(varying, count) + _SMALL / 10).log())
        if len(self.ripples):
            values.append((_both_halves((self.ripples @ spectrum).square()) + _SMALL).log())
            values.append((_both_halves(self._modulation(self.ripples @ fine, count)) + _SMALL / 10).log())
        values.append(self._together(varying))
        return torch.cat([value.flatten(1) for value in values], dim=1)

    def _modulation(self, varying: Tensor, count: Tensor) -> Tensor:
        """Return the power of rows (…, rows, frames) in each band of modulation."""
        cosines, sines = (varying @ self.waves).chunk(2, dim=-1)
        power: Tensor = (cosines.square() + sines.square()) @ self.modulations / count.unsqueeze(-1)
        return power

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


def _both_halves(power: Tensor) -> Tensor:
    """Return the power of each ripple's cosine and sine together, of (…, ripples twice, values)."""
    cosines, sines = power.chunk(2, dim=-2)
    return cosines + sines


def _ripples(n_mels: int) -> Tensor:
    """Return cosines, then sines, along the bands under bell-shaped windows, (2 × ripples, n_mels).

    No ripple answers to a flat spectrum. One needs three bands a wave; with few bands there are fewer, or none.
    """
    at = (torch.arange(n_mels, dtype=torch.float64) + 0.5) / n_mels
    off = at - ((torch.arange(_PLACES, dtype=torch.float64) + 0.5) / _PLACES)[:, None]
    cosines, sines = [torch.zeros(0, n_mels, dtype=torch.float64)], [torch.zeros(0, n_mels, dtype=torch.float64)]
    for count in _RIPPLES:
        if 3 * count > n_mels:
            continue
        reach = min(max(_WAVES_IN_REACH / count, _RIPPLE_REACH[0]), _RIPPLE_REACH[1])
        window = (-0.5 * (off / reach).square()).exp()
        window /= window.sum(dim=1, keepdim=True)
        for waves, wave in ((cosines, torch.cos), (sines, torch.sin)):
            ripple = window * wave(2 * math.pi * count * off)
            waves.append(ripple - window * ripple.sum(dim=1, keepdim=True))
    return torch.cat([*cosines, *sines]).float()


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
