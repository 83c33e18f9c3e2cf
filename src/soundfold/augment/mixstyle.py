"""Frequency-wise MixStyle: a clip keeps its sound and takes on how another one's bands are coloured.

Each band's mean and deviation over time tell much of the microphone and the place, and little of what is heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from soundfold.augment.mixing import draw_share
from soundfold.augment.numbers import moved, taken
from soundfold.augment.partners import Partners, draw_partners

__all__ = ["Style", "draw_style", "mix_style"]

_EVEN = 0.01
"""Variance added to every band's, in squared units of the spectrogram: what is even stays even."""


@dataclass(frozen=True)
class Style:
    """Whose statistics each clip of a batch takes on; (batch,) float32 shares that it keeps of its own."""

    partners: Partners
    share: Tensor

    def to(self, device: torch.device) -> "Style":
        """Return the same numbers on a device."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "Style":
        """Return the numbers of whole batches, or of a process's share of one; see `Partners`."""
        return taken(self, rows)


def draw_style(
    count: int, probability: float, alpha: float, generator: Generator, bounds: Sequence[tuple[int, int]] | None = None
) -> Style:
    """Draw partners, and shares of Beta(alpha, alpha) for the part of the clips that `probability` says."""
    share = draw_share(count, alpha, probability, generator)
    return Style(draw_partners(count, generator, bounds), share)


def mix_style(batch: Tensor, drawn: Style) -> Tensor:
    """Give every band of every clip a mean and a deviation between its own and its partner's; targets stay.

    Args:
        batch: (batch, channels, n_mels, frames).
        drawn: the batch's numbers.

    Returns:
        the same shape.

    References:
        Zhou et al. (2021), "Domain generalization with MixStyle", ICLR. Kim et al. (2022), "Domain generalization with
        relaxed instance frequency-wise normalization for multi-device acoustic scene classification", Interspeech.
        Schmid et al. (2022), "Knowledge distillation from transformers for low-complexity acoustic scene
        classification", DCASE Workshop.
    """
    mean = batch.mean(dim=(1, 3), keepdim=True)
    deviation = (batch - mean).square_().mean(dim=(1, 3), keepdim=True).add_(_EVEN).sqrt_()
    share = drawn.share.to(batch.dtype)[:, None, None, None]
    factor = torch.lerp(drawn.partners.of(deviation), deviation, share) / deviation
    # one multiplication and one addition a value, and nothing at all for a clip that keeps its own
    return torch.addcmul(torch.lerp(drawn.partners.of(mean), mean, share) - mean * factor, batch, factor)
