"""What an epoch hears: the order of the clips, which window of each, the random numbers, and the batches.

Everything is drawn for the whole epoch from a generator of its own, whoever then works on which part of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from soundfold.augment import Draws, apply_and_mix, apply_draws, draw
from soundfold.training.fitting import Fitting

__all__ = ["Epoch", "Heard", "batch_bounds", "epoch_generator", "hear", "plan_epoch"]


class Heard(NamedTuple):
    """What the network takes, and then what `judge` needs beside its answer, in that order; a row a clip of each."""

    features: Tensor  # (clips, channels, n_mels, frames), augmented and prepared
    target: Tensor  # (clips,) class numbers, or (clips, n_labels) parts of labels where clips are mixed


@dataclass(frozen=True)
class Epoch:
    """An epoch's plan; position i in all of it is the i-th clip to be heard.

    Attributes:
        rows: (clips,) windows of the feature cache.
        draws: the augmentation's numbers, on the training's device.
        labels: (clips,) class numbers, on the training's device.
        bounds: the first and the end position of each batch.
    """

    rows: np.ndarray
    draws: Draws
    labels: Tensor
    bounds: list[tuple[int, int]]


def plan_epoch(fitting: Fitting, epoch: int, device: torch.device) -> Epoch:
    """Draw everything random of an epoch, and bring it to a device in one go."""
    job, cache = fitting.job, fitting.cache
    settings = job.recipe.training
    generator = epoch_generator(settings.seed, epoch)
    order = torch.randperm(len(job.train), generator=generator).numpy()
    pick = torch.rand(len(order), generator=generator, dtype=torch.float64).numpy()
    rows = fitting.first[order] + (pick * fitting.count[order]).astype(np.int64)
    before, after = torch.from_numpy(cache.before[rows]), torch.from_numpy(cache.after[rows])
    bounds = batch_bounds(len(order), settings.batch_size)
    draws = draw(
        job.recipe.augment, before, after, *cache.shape[1:], generator, scale=job.recipe.features.scale, bounds=bounds
    )
    return Epoch(
        rows=rows,
        draws=draws.to(device),
        labels=torch.from_numpy(job.train_labels[order]).to(device),
        bounds=bounds,
    )


def hear(fitting: Fitting, plan: Epoch, spans: Sequence[slice]) -> Iterator[Heard]:
    """Yield what is learned from, for some spans of an epoch's positions in turn.

    Args:
        fitting: the training.
        plan: its epoch.
        spans: each a batch, a run of whole ones, or every n-th clip of one.
    """
    for features, span in zip(fitting.source.stream([plan.rows[span] for span in spans]), spans, strict=True):
        draws, target = plan.draws[span], plan.labels[span]
        if draws.mixing is None:
            yield Heard(fitting.prepare(apply_draws(features, draws)), target)
        else:
            parts = nn.functional.one_hot(target, fitting.job.n_labels).float()
            mixed, parts = apply_and_mix(features, parts, draws)
            yield Heard(fitting.prepare(mixed), parts)


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Return the first and the end position of each batch; a last batch of one clip joins the one before it.

    Batch normalisation has nothing to compare one clip with.

    >>> batch_bounds(9, 4)
    [(0, 4), (4, 9)]
    """
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and batch_size > 1 and count - starts[-1] == 1:
        del starts[-1]
    return list(zip(starts, [*starts[1:], count], strict=True))


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return the generator of one epoch's random numbers: the same for every number of devices and after a resume."""
    # an odd multiplier keeps neighbouring seeds from replaying each other's epochs
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + epoch) % 2**63)
