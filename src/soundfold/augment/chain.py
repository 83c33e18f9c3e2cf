"""The chain of augmentations that a recipe asks for: drawn for a whole batch at once, applied in one place.

Draw and apply are apart, so that every process of a distributed run draws the numbers of the whole batch from the same
generator and applies its own share, and so that a view of the data can show just what training saw.
"""

from dataclasses import dataclass

from torch import Generator, Tensor

from soundfold.augment.masks import draw_strips, hide
from soundfold.augment.time_shift import draw_place, draw_time_shift, time_shift
from soundfold.recipe import AugmentRecipe

__all__ = ["Draws", "apply_draws", "draw"]


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch; row i belongs to clip i."""

    shift: Tensor  # (batch,) frames
    frequency: tuple[Tensor, Tensor]  # first and end of each strip, (batch, frequency_masks)
    time: tuple[Tensor, Tensor]  # (batch, time_masks)

    def __getitem__(self, rows: slice) -> "Draws":
        """Return the numbers of some of the clips."""
        frequency = (self.frequency[0][rows], self.frequency[1][rows])
        return Draws(self.shift[rows], frequency, (self.time[0][rows], self.time[1][rows]))


def draw(
    augment: AugmentRecipe, before: Tensor, after: Tensor, n_mels: int, frames: int, generator: Generator
) -> Draws:
    """Draw everything random for a batch of spectrograms.

    Args:
        augment: what may vary, and how far.
        before, after: (batch,) int64, frames of silence ahead of and behind each centred clip.
        n_mels, frames: size of a spectrogram.
        generator: on the CPU, so that every device sees the same numbers.
    """
    count = len(before)
    shift = draw_time_shift(count, augment.time_shift, frames, generator)
    if augment.place == "random":
        shift = shift + draw_place(before, after, generator)
    return Draws(
        shift=shift,
        frequency=draw_strips(count, augment.frequency_masks, augment.frequency_mask, n_mels, generator),
        time=draw_strips(count, augment.time_masks, augment.time_mask, frames, generator),
    )


def apply_draws(batch: Tensor, draws: Draws) -> Tensor:
    """Apply drawn numbers to spectrograms (batch, channels, n_mels, frames): place and shift, then masks."""
    return hide(time_shift(batch, draws.shift), draws.frequency, draws.time)
