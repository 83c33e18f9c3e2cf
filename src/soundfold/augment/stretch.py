"""TimeStretch and BandShift: resample a spectrogram along time or along its bands, between neighbours in a line.

What they are not. A waveform played faster is higher as well, and shorter; here tempo and pitch change apart, and at no
cost in echoes. But a click is smeared over as many frames as before and then squeezed with all else, and a shift by
whole bands is a change of pitch only where the bands are spaced by ratios (on a mel scale above about 1 kHz; below, it
moves partials by equal hertz and spoils their ratios). Interpolation blurs: a line of one frame becomes two of half
its height in decibels.
"""

import math

import torch
from torch import Generator, Tensor

__all__ = ["band_shift", "draw_band_shift", "draw_rate", "read_at", "time_stretch"]

_FINE = 17
"""Binary digits of a position behind the point; positions are whole numbers, so that they are exact on every device."""


def draw_rate(count: int, largest: float, generator: Generator) -> Tensor:
    """Draw one rate a clip, its logarithm uniform: as often `1 + largest` times as fast as it is that much slower.

    Args:
        count: number of clips.
        largest: largest change, as a part, not negative; 0.25 is 1.25 times as fast or as slow.

    Returns:
        (count,) float32 on the CPU; above 1 is faster.
    """
    spread = 2.0 * torch.rand(count, generator=generator, dtype=torch.float64) - 1.0
    return (spread * math.log1p(largest)).exp().float()


def draw_band_shift(count: int, largest: float, generator: Generator) -> Tensor:
    """Draw one shift a clip, uniform over ± `largest` bands: (count,) float32 on the CPU."""
    return ((2.0 * torch.rand(count, generator=generator, dtype=torch.float64) - 1.0) * largest).float()


def read_at(size: int, rate: Tensor, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return where on an axis each step is read when it is played at another rate and then rolled.

    The axis is a circle: what runs out at one end comes in at the other. The rate changes around its middle, where
    short clips stand centred.

    Args:
        size: steps of the axis.
        rate: (batch,) above 1 is faster.
        shift: (batch,) int64 steps by which the result is rolled; None for not at all.

    Returns:
        the step before each place, (batch, size) int64, which may lie outside the axis, to be taken modulo its size;
        and how far the place lies behind it, (batch, size) float32, 0 to 1. Exactly the own step and 0 at rate 1.
    """
    steps = torch.arange(size, device=rate.device)
    if shift is not None:
        steps = (steps - shift[:, None]) % size
    fixed = (rate * 2 ** (_FINE - 1)).round().long()[:, None]
    # twice the distance from the middle, times the rate, is in units of 2^-_FINE steps
    place = (2 * steps - (size - 1)) * fixed + (size - 1) * 2 ** (_FINE - 1)
    return place >> _FINE, (place & (2**_FINE - 1)).float() * 2.0**-_FINE


def time_stretch(batch: Tensor, rate: Tensor, shift: Tensor | None = None) -> Tensor:
    """Play every clip at its own rate, pitch as it was, and roll it; all its channels alike.

    The window keeps its length: a slower clip loses its ends, a faster one begins anew.

    Args:
        batch: (batch, channels, n_mels, frames).
        rate: (batch,) above 1 is faster.
        shift: (batch,) int64 frames; positive is later.

    Returns:
        the same shape.
    """
    size = batch.shape[-1]
    step, behind = read_at(size, rate, shift)
    before, after = (
        batch.gather(-1, (step + further)[:, None, None].remainder(size).expand_as(batch)) for further in (0, 1)
    )
    return torch.lerp(before, after, behind.to(batch.dtype)[:, None, None])


def band_shift(batch: Tensor, shift: Tensor) -> Tensor:
    """Move every clip along its bands by its own number of them; what leaves is lost, the outermost band fills in.

    Args:
        batch: (batch, channels, n_mels, frames).
        shift: (batch,) bands, fractions too; positive is higher.

    Returns:
        the same shape.
    """
    count, channels, bands, frames = batch.shape
    place = torch.arange(bands, device=batch.device) - shift[:, None]
    below = place.floor()
    # whole rows are copied at the speed of the memory, single values at a seventh of it
    rows = batch.reshape(-1, frames)
    first = torch.arange(count * channels, device=batch.device).view(count, channels, 1) * bands
    lower, upper = (
        rows.index_select(0, (first + near.long().clamp(0, bands - 1)[:, None]).flatten()).view(batch.shape)
        for near in (below, below + 1)
    )
    return torch.lerp(lower, upper, (place - below).to(batch.dtype)[:, None, :, None])
