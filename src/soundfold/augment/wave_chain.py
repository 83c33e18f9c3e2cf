"""The chain of augmentations of waveforms, for recipes whose features are computed anew in every epoch.

As for spectrograms, and in the same order: the sound itself (place, shift, speed, pitch), then mixing with another
clip, backgrounds and noise, then filter and gain. What works on pictures alone (stretch, shift of bands, CutMix,
MixStyle, masks) follows on the features, by `draw` and `apply_draws` under the same recipe.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from soundfold.augment.equaliser import amplify, draw_curve, draw_gain, equalise
from soundfold.augment.mixing import Mixing, draw_mixing, mix_waveforms
from soundfold.augment.numbers import moved, taken
from soundfold.augment.speed import change_speed, draw_pitch, shift_pitch
from soundfold.augment.stretch import draw_rate
from soundfold.augment.time_shift import draw_place, draw_time_shift, silence_left, time_shift
from soundfold.augment.wave_noise import (
    Background,
    WaveNoise,
    add_background,
    add_wave_noise,
    draw_background,
    draw_wave_noise,
)
from soundfold.recipe import AugmentRecipe

__all__ = ["WaveDraws", "apply_and_mix_waveforms", "apply_wave_draws", "draw_waveform"]

_CURVE_POINTS = 64


@dataclass(frozen=True)
class WaveDraws:
    """The random numbers of a batch of waveforms; row i belongs to clip i. None is for what the recipe leaves off."""

    sample_rate: int
    shift: Tensor | None = None  # (batch,) samples
    rate: Tensor | None = None  # (batch,) above 1 is faster and higher
    pitch: Tensor | None = None  # (batch,) factor, above 1 is higher
    mixing: Mixing | None = None
    background: Background | None = None
    noise: WaveNoise | None = None
    curve_db: Tensor | None = None  # (batch, points)
    gain_db: Tensor | None = None  # (batch,)

    def to(self, device: torch.device) -> "WaveDraws":
        """Return the same numbers on a device, so that no step has to wait for them."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "WaveDraws":
        """Return the numbers of some of the clips; where clips are mixed, of whole batches or a share of one."""
        return taken(self, rows)


def draw_waveform(
    augment: AugmentRecipe, before: Tensor, after: Tensor, samples: int, sample_rate: int, generator: Generator, *,
    backgrounds: tuple[int, int] = (0, 0), bounds: Sequence[tuple[int, int]] | None = None,
) -> WaveDraws:  # fmt: skip
    """Draw everything random for a batch of waveforms, or for an epoch of them; nothing, if spectrograms are varied.

    Args:
        augment: what may vary, and how far.
        before, after: (batch,) int64, samples of silence ahead of and behind each centred clip.
        samples: length of a window.
        sample_rate: in Hz.
        generator: on the CPU.
        backgrounds: how many there are, and their length in samples, at least a window's; none are mixed in if there
            are none.
        bounds: first and last-plus-one clip of each batch, where there are several.
    """
    if augment.domain != "waveform":
        return WaveDraws(sample_rate)
    count = len(before)
    rate = draw_rate(count, augment.speed, generator) if augment.speed else None
    shift = draw_time_shift(count, augment.time_shift, samples, generator) if augment.time_shift else None
    if augment.place == "random":
        if rate is not None:
            before, after = (silence_left(silence, rate, samples) for silence in (before, after))
        placed = draw_place(before, after, generator)
        shift = placed if shift is None else shift + placed
    pitch = draw_pitch(count, augment.pitch_shift, generator) if augment.pitch_shift else None
    mixing = background = noise = curve_db = gain_db = None
    if augment.mix != "none" and augment.mix != "cutmix":
        mixing = draw_mixing(
            augment.mix, count, augment.mix_alpha, augment.mix_probability, samples, generator, bounds
        )  # fmt: skip
    if augment.background_probability and backgrounds[0]:
        background = draw_background(
            count, augment.background_probability, augment.background_snr_db, backgrounds[0],
            backgrounds[1] - samples, generator,
        )  # fmt: skip
    if augment.noise_probability:
        noise = draw_wave_noise(count, augment.noise_probability, augment.noise_snr_db, samples, generator)
    if augment.filter_db:
        curve_db = draw_curve(count, augment.filter_db, _CURVE_POINTS, generator)
    if augment.gain_db:
        gain_db = draw_gain(count, augment.gain_db, generator)
    return WaveDraws(sample_rate, shift, rate, pitch, mixing, background, noise, curve_db, gain_db)


def apply_wave_draws(waveform: Tensor, draws: WaveDraws, backgrounds: Tensor | None = None) -> Tensor:
    """Apply drawn numbers to waveforms, where the recipe mixes no targets.

    Args:
        waveform: (batch, channels, samples).
        draws: the batch's numbers, on its device.
        backgrounds: (backgrounds, channels or 1, length), those whose number and length were told to `draw_waveform`.

    Returns:
        the same shape; the batch itself where nothing is asked.

    Raises:
        ValueError: the draws mix clips, whose targets must be mixed with them; or the backgrounds are missing.
    """
    if draws.mixing is not None:
        raise ValueError("draws must mix no targets here, got some that do. Call apply_and_mix_waveforms")
    return _record(_sound(waveform, draws), draws, backgrounds)


def apply_and_mix_waveforms(
    waveform: Tensor, targets: Tensor, draws: WaveDraws, backgrounds: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Apply drawn numbers to waveforms and their targets (batch, n_labels), whether the recipe mixes or not.

    The clips must be one batch, or a run of whole ones, or a process's share of one.
    """
    waveform = _sound(waveform, draws)
    if draws.mixing is not None:
        waveform, targets = mix_waveforms(waveform, targets, draws.mixing)
    return _record(waveform, draws, backgrounds), targets


def _sound(waveform: Tensor, draws: WaveDraws) -> Tensor:
    """Vary each sound by itself."""
    if draws.rate is not None:
        waveform = change_speed(waveform, draws.rate, draws.shift)
    elif draws.shift is not None:
        waveform = time_shift(waveform, draws.shift)
    return waveform if draws.pitch is None else shift_pitch(waveform, draws.pitch, draws.sample_rate)


def _record(waveform: Tensor, draws: WaveDraws, backgrounds: Tensor | None) -> Tensor:
    """Vary what else was to be heard, and how it was recorded."""
    if draws.background is not None:
        if backgrounds is None:
            raise ValueError("backgrounds must be given, since the draws mix some in, got None. Pass their tensor")
        waveform = add_background(waveform, draws.background, backgrounds)
    if draws.noise is not None:
        waveform = add_wave_noise(waveform, draws.noise)
    if draws.curve_db is not None:
        waveform = equalise(waveform, draws.curve_db)
    return waveform if draws.gain_db is None else amplify(waveform, draws.gain_db)
