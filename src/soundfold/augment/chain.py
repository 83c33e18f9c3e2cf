"""The chain of augmentations of spectrograms: drawn for a whole batch, or epoch, at once, and applied in one place.

Draw and apply are apart, so that every process of a distributed run draws the numbers of the whole batch from the same
generator and applies its own share, and so that a view of the data can show just what training saw.

The order is that of a recording, and then of what only a picture can suffer:
1. place, shift and stretch in time, shift of bands: the sound itself, before it meets others;
2. mixing with another clip: what sounds together comes to one microphone;
3. noise: of the place and the microphone, so not mixed, and coloured by what follows;
4. filter and gain: the recording's; they belong to all that was recorded;
5. frequency-wise MixStyle: it exchanges what recordings leave on the bands, those of the steps before included;
6. masks: last, so that nothing fills the holes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from soundfold.augment.decibels import Scale, change_power, per_db
from soundfold.augment.equaliser import add_level, draw_curve, draw_gain
from soundfold.augment.masks import draw_strips, hide
from soundfold.augment.mixing import Mixing, draw_mixing, mix_pictures, mix_power
from soundfold.augment.mixstyle import Style, draw_style, mix_style
from soundfold.augment.noise import Noise, add_noise_power, draw_noise
from soundfold.augment.numbers import moved, taken
from soundfold.augment.stretch import band_shift, draw_band_shift, draw_rate, time_stretch
from soundfold.augment.time_shift import draw_place, draw_time_shift, silence_left, time_shift
from soundfold.recipe import AugmentRecipe

__all__ = ["Draws", "apply_and_mix", "apply_draws", "draw"]


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch; row i belongs to clip i. None is for what the recipe leaves off."""

    scale: Scale = "db"
    shift: Tensor | None = None  # (batch,) frames
    rate: Tensor | None = None  # (batch,) above 1 is faster
    bands: Tensor | None = None  # (batch,) bands, positive is higher
    mixing: Mixing | None = None
    noise: Noise | None = None
    level: Tensor | None = None  # (batch, n_mels) in the spectrogram's unit: filter and gain
    style: Style | None = None
    frequency: Tensor | None = None  # (batch, frequency_masks, 2) first and end of each strip
    time: Tensor | None = None  # (batch, time_masks, 2)

    def to(self, device: torch.device) -> "Draws":
        """Return the same numbers on a device, so that no step has to wait for them."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "Draws":
        """Return the numbers of some of the clips; where clips are mixed, of whole batches or a share of one."""
        return taken(self, rows)


def draw(
    augment: AugmentRecipe, before: Tensor, after: Tensor, n_mels: int, frames: int, generator: Generator, *,
    scale: Scale = "db", bounds: Sequence[tuple[int, int]] | None = None,
) -> Draws:  # fmt: skip
    """Draw everything random for a batch of spectrograms, or for an epoch of them.

    Where the recipe varies waveforms, what `draw_waveform` draws is left out here.

    Args:
        augment: what may vary, and how far.
        before, after: (batch,) int64, frames of silence ahead of and behind each centred clip.
        n_mels, frames: size of a spectrogram.
        generator: on the CPU, so that every device sees the same numbers.
        scale: whether the spectrograms are in decibels or natural logarithms.
        bounds: first and last-plus-one clip of each batch, one after another, where there are several: clips are
            mixed within their batch.
    """
    count, spectrograms = len(before), augment.domain == "spectrogram"
    rate = draw_rate(count, augment.time_stretch, generator) if augment.time_stretch else None
    shift = None
    if spectrograms and augment.time_shift:
        shift = draw_time_shift(count, augment.time_shift, frames, generator)
    if spectrograms and augment.place == "random":
        if rate is not None:
            before, after = (silence_left(silence, rate, frames) for silence in (before, after))
        placed = draw_place(before, after, generator)
        shift = placed if shift is None else shift + placed
    bands = draw_band_shift(count, augment.band_shift, generator) if augment.band_shift else None
    mixing = None
    if augment.mix != "none" and (spectrograms or augment.mix == "cutmix"):
        mixing = draw_mixing(
            augment.mix, count, augment.mix_alpha, augment.mix_probability, frames, generator, bounds
        )  # fmt: skip
    noise = level = style = None
    if spectrograms and augment.noise_probability:
        noise = draw_noise(count, augment.noise_probability, augment.noise_snr_db, n_mels, frames, generator)
    if spectrograms and augment.filter_db:
        level = draw_curve(count, augment.filter_db, n_mels, generator) * per_db(scale)
    if spectrograms and augment.gain_db:
        gain = draw_gain(count, augment.gain_db, generator)[:, None] * per_db(scale)
        level = gain.expand(count, n_mels) if level is None else level + gain
    if augment.mixstyle_probability:
        style = draw_style(count, augment.mixstyle_probability, augment.mixstyle_alpha, generator, bounds)
    masked = [
        draw_strips(count, strips, width, size, generator) if strips and width else None
        for strips, width, size in (
            (augment.frequency_masks, augment.frequency_mask, n_mels),
            (augment.time_masks, augment.time_mask, frames),
        )
    ]
    return Draws(scale, shift, rate, bands, mixing, noise, level, style, *masked)


def apply_draws(batch: Tensor, draws: Draws) -> Tensor:
    """Apply drawn numbers to spectrograms, where the recipe mixes no targets.

    Args:
        batch: (batch, channels, n_mels, frames).
        draws: the batch's numbers, on its device.

    Returns:
        the same shape; the batch itself where nothing is asked.

    Raises:
        ValueError: the draws mix clips, whose targets must be mixed with them.
    """
    if draws.mixing is not None:
        raise ValueError("draws must mix no targets here, got some that do. Call apply_and_mix")
    return _record(_scene(_sound(batch, draws), draws), draws)


def apply_and_mix(batch: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Apply drawn numbers to spectrograms and their targets, whether the recipe mixes or not.

    Args:
        batch: (batch, channels, n_mels, frames): one batch, or a run of whole ones, or a process's share of one.
        targets: (batch, n_labels) floating point, how much of each label a clip holds.
        draws: the same clips' numbers, on their device.

    Returns:
        the same shapes.
    """
    batch = _record(_scene(_sound(batch, draws), draws), draws)
    return batch, targets if draws.mixing is None else draws.mixing.targets(targets)


def _sound(batch: Tensor, draws: Draws) -> Tensor:
    """Vary each sound by itself."""
    if draws.rate is not None:
        batch = time_stretch(batch, draws.rate, draws.shift)
    elif draws.shift is not None:
        batch = time_shift(batch, draws.shift)
    return batch if draws.bands is None else band_shift(batch, draws.bands)


def _scene(batch: Tensor, draws: Draws) -> Tensor:
    """Vary what is heard beside it: another clip, noise. What adds power shares one way to power and back."""
    added: list[Callable[[Tensor], Tensor]] = []
    if draws.mixing is not None:
        if draws.mixing.kind == "between_class":
            added.append(partial(mix_power, drawn=draws.mixing))
        else:
            batch = mix_pictures(batch, draws.mixing)
    if draws.noise is not None:
        added.append(partial(add_noise_power, drawn=draws.noise))
    return change_power(batch, draws.scale, *added) if added else batch


def _record(batch: Tensor, draws: Draws) -> Tensor:
    """Vary how it was recorded, and hide parts of the picture."""
    if draws.level is not None:
        batch = add_level(batch, draws.level, draws.scale)
    if draws.style is not None:
        batch = mix_style(batch, draws.style)
    return hide(batch, draws.frequency, draws.time)
