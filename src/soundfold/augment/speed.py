"""SpeedChange and PitchShift of waveforms, by reading them at other places, between samples by a cubic.

SpeedChange is a tape that runs faster: shorter and higher. What a faster one lifts over half the rate comes back
mirrored; up to a fifth faster that is what lay in the highest sixth of the spectrum, where there is little. A slower
one leaves a mirror of its highest tones above them, some 60 dB fainter than the rest.

PitchShift keeps the tempo by granular overlap-add: grains of 50 ms, each read faster or slower around its own middle,
half overlapping and faded over each other. It is an approximation. A steady tone lands on a multiple of the grains'
pace from where it was, so within 20 Hz of where it should be (half a low mel band), and flutters at that pace by a few
decibels, since neighbouring grains do not meet in phase; noise comes out about 1 dB fainter for the same reason, and a
click may be heard twice or not at all. A phase vocoder would hold tones better and smear all else.
"""

import math

import torch
from torch import Generator, Tensor

from soundfold.augment.stretch import draw_rate, read_at

__all__ = ["change_speed", "draw_pitch", "shift_pitch"]

_GRAIN_S = 0.05


def draw_pitch(count: int, largest: float, generator: Generator) -> Tensor:
    """Draw one factor of pitch a clip, uniform over ± `largest` semitones: (count,) float32 on the CPU."""
    return draw_rate(count, math.expm1(largest * math.log(2.0) / 12.0), generator)


def change_speed(waveform: Tensor, rate: Tensor, shift: Tensor | None = None) -> Tensor:
    """Play every clip at its own speed and roll it; the window keeps its length, all channels alike.

    Args:
        waveform: (batch, channels, samples).
        rate: (batch,) above 1 is faster and higher.
        shift: (batch,) int64 samples; positive is later.

    Returns:
        the same shape; a slower clip loses its ends, a faster one begins anew.
    """
    return _read(waveform, *read_at(waveform.shape[-1], rate, shift))


def shift_pitch(waveform: Tensor, factor: Tensor, sample_rate: int) -> Tensor:
    """Change the pitch of every clip and leave its tempo.

    Args:
        waveform: (batch, channels, samples).
        factor: (batch,) above 1 is higher; 2 is an octave.
        sample_rate: in Hz.

    Returns:
        the same shape.
    """
    samples = waveform.shape[-1]
    half = max(1, round(_GRAIN_S * sample_rate / 2))
    step, behind = read_at(2 * half, factor)
    # as many grains as cover the window and half a grain more
    firsts = torch.arange(0, samples + half, 2 * half, device=waveform.device)
    steps = (step[:, None] + firsts[:, None]).flatten(1)
    fractions = behind[:, None].expand(-1, len(firsts), -1).flatten(1)
    # two rows of grains, each filling the gaps of the other
    grains = [
        _read(waveform, steps[:, late : late + samples] - late, fractions[:, late : late + samples])
        for late in (0, half)
    ]
    within = torch.arange(samples, device=waveform.device) % (2 * half)
    weight = torch.sin((within + 0.5) * (math.pi / (2 * half))).square()
    return torch.lerp(grains[1], grains[0], weight.to(waveform.dtype))


def _read(waveform: Tensor, step: Tensor, behind: Tensor) -> Tensor:
    """Return waveforms between their samples, by the cubic through two samples whose slopes are their neighbours'.

    Args:
        waveform: (batch, channels, samples), taken as a circle.
        step: (batch, samples) int64, the sample before each place.
        behind: (batch, samples) how far the place lies behind it, 0 to 1.

    References:
        Catmull and Rom (1974), "A class of local interpolating splines".
    """
    size = waveform.shape[-1]
    around = torch.cat([waveform[..., -1:], waveform, waveform[..., :2]], dim=-1)
    place = step.remainder(size)[:, None].expand_as(waveform)
    before, left, right, after = (around[..., near : near + size].gather(-1, place) for near in range(4))
    # the cubic in Horner's form, with twice the slopes
    chord, t = right - left, behind.to(waveform.dtype)[:, None]
    slope, slope_after = right.sub_(before), after.sub_(left)
    bend = slope + slope_after - 4.0 * chord
    curve = bend.mul(t).sub_(bend).sub_(slope).add_(chord, alpha=2.0)
    return left.add_(curve.mul_(t).add_(slope).mul_(t), alpha=0.5)
