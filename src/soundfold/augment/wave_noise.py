"""AddedNoise and BackgroundMixing on waveforms, each at a drawn signal-to-noise ratio.

Powers are means over the whole window and all channels, so a short clip in silence is louder over its noise than told.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from soundfold.augment.noise import draw_ratio
from soundfold.augment.numbers import moved, taken

__all__ = ["Background", "WaveNoise", "add_background", "add_wave_noise", "draw_background", "draw_wave_noise"]

_SPARE = 2**18
"""Samples by which a strip of noise is longer than a window, at most: so many places to begin at."""


@dataclass(frozen=True)
class WaveNoise:
    """The noise of a batch.

    Attributes:
        ratio: (batch,) float32, power of the noise over the clip's.
        colour: (batch,) int64, which strip.
        start: (batch,) int64, where in the strip a clip's noise begins.
        strips: (2, length) float32, white and pink noise, which all clips share.
    """

    ratio: Tensor
    colour: Tensor
    start: Tensor
    strips: Tensor

    def to(self, device: torch.device) -> "WaveNoise":
        """Return the same numbers on a device."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "WaveNoise":
        """Return the numbers of some of the clips."""
        return taken(self, rows, shared=("strips",))


@dataclass(frozen=True)
class Background:
    """Which background each clip of a batch gets.

    Attributes:
        ratio: (batch,) float32, power of the background over the clip's.
        which: (batch,) int64, row of the backgrounds.
        start: (batch,) int64, the background's first sample.
    """

    ratio: Tensor
    which: Tensor
    start: Tensor

    def to(self, device: torch.device) -> "Background":
        """Return the same numbers on a device."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "Background":
        """Return the numbers of some of the clips."""
        return taken(self, rows)


def draw_wave_noise(
    count: int, probability: float, least_snr_db: float, samples: int, generator: Generator
) -> WaveNoise:
    """Draw white or pink noise for a batch of waveforms: level, colour and place of each clip, and the strips.

    Args:
        count: number of clips.
        probability: part of the clips that get noise.
        least_snr_db: smallest signal-to-noise ratio in dB; the largest is 20 dB more.
        samples: length of a window.
    """
    ratio = draw_ratio(count, probability, least_snr_db, generator).float()
    colour = torch.randint(2, (count,), generator=generator)
    spare = min(samples, _SPARE)
    start = torch.randint(spare + 1, (count,), generator=generator)
    white = torch.randn(samples + spare, generator=generator)
    spectrum = torch.fft.rfft(white)
    # power falls as 1 / f from the first bin on, and there is none at 0 Hz
    falling = torch.arange(len(spectrum)).clamp(min=1).rsqrt()
    falling[0] = 0.0
    pink = torch.fft.irfft(spectrum * falling, n=len(white))
    return WaveNoise(ratio, colour, start, torch.stack([white, pink / pink.square().mean().sqrt()]))


def draw_background(
    count: int, probability: float, least_snr_db: float, backgrounds: int, spare: int, generator: Generator
) -> Background:
    """Draw which background each clip gets, from where in it, and at what level.

    Args:
        count: number of clips.
        probability, least_snr_db: as for `draw_wave_noise`.
        backgrounds: how many there are, at least 1.
        spare: samples by which they are longer than a window, 0 or more.
    """
    ratio = draw_ratio(count, probability, least_snr_db, generator).float()
    which = torch.randint(backgrounds, (count,), generator=generator)
    return Background(ratio, which, torch.randint(spare + 1, (count,), generator=generator))


def add_wave_noise(waveform: Tensor, drawn: WaveNoise) -> Tensor:
    """Add noise to waveforms (batch, channels, samples); all channels alike."""
    return _add(waveform, _cut(drawn.strips[:, None], drawn.colour, drawn.start, waveform.shape[-1]), drawn.ratio)


def add_background(waveform: Tensor, drawn: Background, backgrounds: Tensor) -> Tensor:
    """Add backgrounds to waveforms.

    Args:
        waveform: (batch, channels, samples).
        drawn: the batch's numbers.
        backgrounds: (backgrounds, channels or 1, at least samples), on the batch's device.

    Returns:
        the same shape.
    """
    return _add(waveform, _cut(backgrounds, drawn.which, drawn.start, waveform.shape[-1]), drawn.ratio)


def _cut(sounds: Tensor, which: Tensor, start: Tensor, samples: int) -> Tensor:
    """Return (batch, channels, samples) out of sounds (count, channels, length): each from one of them."""
    _, channels, length = sounds.shape
    line = which[:, None] * channels + torch.arange(channels, device=which.device)
    first = (line * length + start[:, None])[..., None]
    return sounds.reshape(-1).take(first + torch.arange(samples, device=which.device))


def _add(waveform: Tensor, other: Tensor, ratio: Tensor) -> Tensor:
    """Add another sound (batch, channels or 1, samples), its power brought to `ratio` times the clip's."""
    other = other.to(waveform.dtype)
    own, power = (sound.square().mean(dim=(-2, -1), keepdim=True) for sound in (waveform, other))
    tiny = torch.finfo(waveform.dtype).tiny
    return torch.addcmul(waveform, other, (own * ratio.to(own.dtype)[:, None, None] / power.clamp(min=tiny)).sqrt())
