"""Gain and RandomFilter: as if recorded by another microphone, in another room, at another level.

Both are a number of decibels a band, so they are drawn apart and applied together. On waveforms the same curve is a
zero-phase filter, as long as the window and applied round it, by Fourier transform.
"""

import math

import torch
from torch import Generator, Tensor

from soundfold.augment.decibels import Scale

__all__ = ["add_level", "amplify", "draw_curve", "draw_gain", "equalise"]

_KNOTS = 5
_JITTER = 0.8  # of the distance between knots that stand evenly
_STEEP = 1e4
_LINEAR = 32.0
"""A waveform's curve is spaced as a mel scale is: evenly up to about a 32nd of half the rate, by ratios above."""


def draw_gain(count: int, largest_db: float, generator: Generator) -> Tensor:
    """Draw one gain a clip, uniform over ± `largest_db`: (count,) float32 on the CPU, in dB."""
    return ((2.0 * torch.rand(count, generator=generator, dtype=torch.float64) - 1.0) * largest_db).float()


def draw_curve(count: int, largest_db: float, points: int, generator: Generator) -> Tensor:
    """Draw one frequency response a clip: straight lines in dB between five knots.

    Two knots stand at the ends and three between, uniform about where they would stand evenly and never so close that
    the curve would have a step; each is uniform over ± `largest_db`. Near FilterAugment (Nam, Kim and Park 2022,
    ICASSP), linear type.

    Args:
        count: number of clips.
        largest_db: largest boost or cut in dB.
        points: where the curve is told, evenly spaced from the lowest to the highest frequency.

    Returns:
        (count, points) float32 on the CPU, in dB.
    """
    spread = torch.rand(count, _KNOTS - 2, generator=generator, dtype=torch.float64) - 0.5
    inner = (torch.arange(1, _KNOTS - 1) + _JITTER * spread) / (_KNOTS - 1)
    level = (2.0 * torch.rand(count, _KNOTS, generator=generator, dtype=torch.float64) - 1.0) * largest_db
    place = torch.cat([torch.zeros(count, 1), inner, torch.ones(count, 1)], dim=-1).double()
    grid = torch.linspace(0.0, 1.0, points, dtype=torch.float64).expand(count, points).contiguous()
    right = torch.searchsorted(place, grid).clamp(1, _KNOTS - 1)
    start, end = place.gather(-1, right - 1), place.gather(-1, right)
    along = (grid - start) / (end - start)
    return torch.lerp(level.gather(-1, right - 1), level.gather(-1, right), along).float()


def add_level(batch: Tensor, level: Tensor, scale: Scale = "db") -> Tensor:
    """Add to every band of every clip what its level changes by; all frames and channels alike.

    Nothing is heard at a clip's lowest value, be it silence around a short sound or what fell under the floor, so no
    filter colours it. In decibels that floor stays as far under the loudest value as it was; in logarithms it stays.

    Args:
        batch: (batch, channels, n_mels, frames).
        level: (batch, n_mels) in the spectrogram's own unit.
        scale: what the spectrograms' numbers are.

    Returns:
        the same shape.
    """
    raised = batch + level.to(batch.dtype)[:, None, :, None]
    every = (-3, -2, -1)
    lowest = floor = batch.amin(dim=every, keepdim=True)
    if scale == "db":
        floor = lowest + (raised.amax(dim=every, keepdim=True) - batch.amax(dim=every, keepdim=True))
    # what lies on the floor may not leave it; a hundredth of the unit above it, nothing holds back any more. On a CPU a
    # limit so steep takes half the time of a choice between two tensors
    limit = torch.add(floor, batch - lowest, alpha=_STEEP)
    return torch.minimum(raised, limit).clamp_(min=floor)


def amplify(waveform: Tensor, gain_db: Tensor) -> Tensor:
    """Return waveforms (batch, channels, samples) louder by (batch,) decibels; nothing is clipped."""
    factor = torch.exp(gain_db.to(waveform.dtype) * (math.log(10.0) / 20.0))
    return waveform * factor[:, None, None]


def equalise(waveform: Tensor, curve_db: Tensor) -> Tensor:
    """Return waveforms through a filter each; all channels alike.

    Args:
        waveform: (batch, channels, samples).
        curve_db: (batch, points) in dB, from 0 Hz to half the rate, spaced as a mel scale is.

    Returns:
        the same shape.
    """
    if not len(waveform):  # a process's share of a small batch; MKL's transform refuses it
        return waveform
    samples, points = waveform.shape[-1], curve_db.shape[-1]
    spectrum = torch.fft.rfft(waveform)
    bins = spectrum.shape[-1]
    frequency = torch.arange(bins, device=waveform.device, dtype=torch.float32) / max(1, bins - 1)
    place = torch.log1p(_LINEAR * frequency) * ((points - 1) / math.log1p(_LINEAR))
    below = place.floor().clamp(max=points - 2)
    left = below.long()
    db = torch.lerp(curve_db.index_select(-1, left), curve_db.index_select(-1, left + 1), place - below)
    change = torch.expm1(db.to(waveform.dtype) * (math.log(10.0) / 20.0))
    # only what the filter changes goes through the transform and back, so that a flat one changes nothing
    changed: Tensor = torch.fft.irfft(spectrum * change[:, None], n=samples)
    return waveform + changed
