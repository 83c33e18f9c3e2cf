"""Mixup, between-class mixing and CutMix: two clips become one, and so do their targets.

Targets are shares of the labels, (batch, n_labels) floating point. A clip's mixture holds `share` of itself and the
rest of its partner; a share of 1 leaves it alone.

Mixup of spectrograms averages decibels, which no two sounds in the air do: the louder one all but hides the fainter.
Between-class mixing adds power, at levels such that the shares are heard, and so teaches what a mixture sounds like.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from soundfold.augment.decibels import Scale, change_power
from soundfold.augment.masks import outside
from soundfold.augment.numbers import moved, taken
from soundfold.augment.partners import Partners, draw_partners

__all__ = [
    "MixKind",
    "Mixing",
    "draw_mixing",
    "draw_share",
    "mix",
    "mix_pictures",
    "mix_power",
    "mix_waveforms",
]

MixKind = Literal["mixup", "between_class", "cutmix"]

_FAINTEST = 0.01  # a clip is brought up to its partner's loudness by no more than 40 dB, lest silence drown it
_LOUD_SAMPLES = 4096


@dataclass(frozen=True)
class Mixing:
    """The numbers of a batch's mixtures.

    Attributes:
        kind: how clips are mixed.
        partners: with whom.
        share: (batch,) float32, how much of a mixture, and of its target, is the clip itself.
        strip: (batch, 1, 2) int64, the frames that are the partner's; for CutMix.
    """

    kind: MixKind
    partners: Partners
    share: Tensor
    strip: Tensor | None = None

    def to(self, device: torch.device) -> "Mixing":
        """Return the same numbers on a device."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "Mixing":
        """Return the numbers of whole batches, or of a process's share of one; see `Partners`."""
        return taken(self, rows)

    def targets(self, targets: Tensor) -> Tensor:
        """Return the mixtures' targets of the clips' targets (batch, n_labels)."""
        return torch.lerp(self.partners.of(targets), targets, self.share.to(targets.dtype)[:, None])


def draw_share(count: int, alpha: float, probability: float, generator: Generator) -> Tensor:
    """Draw how much of itself each clip keeps: Beta(alpha, alpha), and 1 for those that are left alone.

    Args:
        count: number of clips.
        alpha: more than 0; 1 is uniform, less keeps near one of the two.
        probability: part of the clips that are mixed.

    Returns:
        (count,) float32 on the CPU, 0 to 1.
    """
    # torch draws from this distribution only with its global generator
    seed = int(torch.randint(2**62, (1,), generator=generator))
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count))
    mixed = torch.rand(count, generator=generator, dtype=torch.float64) < probability
    return torch.where(mixed, share, 1.0).float()


def draw_mixing(
    kind: MixKind, count: int, alpha: float, probability: float, frames: int, generator: Generator,
    bounds: Sequence[tuple[int, int]] | None = None,
) -> Mixing:  # fmt: skip
    """Draw partners and shares.

    Args:
        kind: how clips are mixed.
        count: number of clips.
        alpha, probability: as for `draw_share`.
        frames: steps of the time axis, for CutMix.
        bounds: the batches, where there are several; see `draw_partners`.
    """
    share = draw_share(count, alpha, probability, generator)
    partners = draw_partners(count, generator, bounds)
    if kind != "cutmix":
        return Mixing(kind, partners, share)
    width = ((1.0 - share) * frames).round().long()
    room = (frames - width + 1).double()
    first = (torch.rand(count, generator=generator, dtype=torch.float64) * room).long()
    strip = torch.stack([first, first + width], dim=-1)[:, None]
    return Mixing(kind, partners, 1.0 - width.float() / frames, strip)


def mix(batch: Tensor, targets: Tensor, drawn: Mixing, scale: Scale = "db") -> tuple[Tensor, Tensor]:
    """Mix spectrograms and their targets.

    CutMix puts a stretch of the partner in the clip's place, all bands of it, so that both keep their whole spectrum.

    Args:
        batch: (batch, channels, n_mels, frames).
        targets: (batch, n_labels) floating point.
        drawn: the batch's numbers.
        scale: what the spectrograms' numbers are, for between-class mixing.

    Returns:
        the same shapes.

    References:
        Zhang, Cissé, Dauphin and Lopez-Paz (2018), "mixup: Beyond empirical risk minimization", ICLR. Tokozume, Ushiku
        and Harada (2018), "Learning from between-class examples for deep sound recognition", ICLR; here without its
        A-weighting. Yun et al. (2019), "CutMix: Regularization strategy to train strong classifiers", ICCV.
    """
    if drawn.kind == "between_class":
        return change_power(batch, scale, partial(mix_power, drawn=drawn)), drawn.targets(targets)
    return mix_pictures(batch, drawn), drawn.targets(targets)


def mix_pictures(batch: Tensor, drawn: Mixing) -> Tensor:
    """Mix spectrograms as they are, (batch, channels, n_mels, frames): mixup or CutMix."""
    if drawn.strip is None:
        own = _column(drawn.share, batch)
    else:
        own = outside(drawn.strip, batch.shape[-1], batch.dtype)[:, None, None]
    return torch.lerp(drawn.partners.of(batch), batch, own)


def mix_power(power: Tensor, drawn: Mixing) -> Tensor:
    """Mix spectrograms of power (batch, channels, n_mels, frames) between classes; phases are taken to be unrelated."""
    own, other = _amplitudes(power.sum(dim=(1, 2)).amax(dim=-1), drawn)
    own, other = own.square(), other.square()
    mixed = drawn.partners.of(power).mul_(_column(other / (own + other), power))
    return mixed.addcmul_(power, _column(own / (own + other), power))


def mix_waveforms(waveform: Tensor, targets: Tensor, drawn: Mixing) -> tuple[Tensor, Tensor]:
    """Mix waveforms (batch, channels, samples) and their targets (batch, n_labels): mixup or between-class mixing."""
    partner = drawn.partners.of(waveform)
    if drawn.kind == "mixup":
        return torch.lerp(partner, waveform, _column(drawn.share, waveform)), drawn.targets(targets)
    power = waveform.square().mean(dim=1, keepdim=True)
    length = min(_LOUD_SAMPLES, waveform.shape[-1])
    own, other = _amplitudes(torch.nn.functional.avg_pool1d(power, length).amax(dim=(-2, -1)), drawn)
    scale = (own.square() + other.square()).rsqrt()
    mixed = waveform * _column(own * scale, waveform)
    return mixed.addcmul_(partner, _column(other * scale, waveform)), drawn.targets(targets)


def _amplitudes(loud: Tensor, drawn: Mixing) -> tuple[Tensor, Tensor]:
    """Return the weights p and 1 − p of amplitudes at which two clips are heard in the shares asked for.

    p = 1 / (1 + 10^((G₁ − G₂) / 20) · (1 − r) / r), with r the share and G the level in dB of a clip's loudest moment.

    Args:
        loud: (batch,) power of each clip's loudest moment.
    """
    share = drawn.share.to(loud.dtype)
    own = loud.sqrt()
    other = drawn.partners.of(own)
    faintest = torch.maximum(own, other).mul(_FAINTEST).clamp(min=torch.finfo(loud.dtype).tiny)
    own, other = torch.maximum(own, faintest), torch.maximum(other, faintest)
    mine, theirs = share * other, (1.0 - share) * own
    total = mine + theirs
    return mine / total, theirs / total


def _column(values: Tensor, like: Tensor) -> Tensor:
    """Return (batch,) as (batch, 1, …), to stand beside a batch."""
    return values.to(like.dtype).view(-1, *[1] * (like.ndim - 1))
