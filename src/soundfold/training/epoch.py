"""What an epoch hears: the order of the clips, which window of each, the random numbers, and the batches.

Everything is drawn for the whole epoch from a generator of its own, whoever then works on which part of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from soundfold.augment import Draws, WaveDraws, apply_and_mix, draw, draw_waveform
from soundfold.training.fitting import Fitting, parts_of

__all__ = [
    "Epoch", "Heard", "batch_bounds", "draw_windows", "epoch_chance", "epoch_generator", "hear", "plan_epoch",
    "step_bounds",
]  # fmt: skip

Heard = tuple[Tensor, ...]
"""What the network takes, and then what `judge` needs beside its answer, in that order; a row a clip of each.

Features (clips, channels, n_mels, frames), augmented and prepared; targets, (clips,) class numbers, or
(clips, n_labels) parts of labels where clips are mixed or bear several; and (clips,) what each counts, where not all
count alike.
"""


@dataclass(frozen=True)
class Epoch:
    """An epoch's plan; position i in all of it is the i-th clip to be heard.

    Attributes:
        rows: (clips,) windows of the feature cache.
        sounded: the numbers of what waveforms suffer, on the training's device; none where spectrograms are varied.
        draws: the numbers of what features suffer, there too.
        labels: (clips,) class numbers, or (clips, n_labels) 0 and 1 of several, on the training's device.
        weights: (clips,) what each counts, on the training's device; None for all alike.
        bounds: the first and the end position of each batch.
    """

    rows: np.ndarray
    sounded: WaveDraws
    draws: Draws
    labels: Tensor
    weights: Tensor | None
    bounds: list[tuple[int, int]]


def plan_epoch(fitting: Fitting, epoch: int, device: torch.device) -> Epoch:
    """Draw everything random of an epoch, and bring it to a device in one go."""
    job, cache = fitting.job, fitting.cache
    settings = job.recipe.training
    generator = epoch_generator(settings.seed, epoch)
    order = _order(job.train_labels, settings.sampling, generator)
    rows = draw_windows(cache.weight, fitting.first[order], fitting.count[order], generator)
    before, after = torch.from_numpy(cache.before[rows]), torch.from_numpy(cache.after[rows])
    bounds = batch_bounds(len(order), settings.batch_size)
    weights = job.weights
    sounded = _draw_sounds(fitting, rows, bounds, generator)
    draws = draw(
        job.recipe.augment, before, after, *cache.shape[1:], generator, scale=job.recipe.features.unit, bounds=bounds
    )
    return Epoch(
        rows=rows,
        sounded=sounded.to(device),
        draws=draws.to(device),
        labels=torch.from_numpy(job.train_labels[order]).to(device),
        weights=None if weights is None else torch.from_numpy(weights[order]).float().to(device),
        bounds=bounds,
    )


def hear(fitting: Fitting, plan: Epoch, spans: Sequence[slice]) -> Iterator[Heard]:
    """Yield what is learned from, for some spans of an epoch's positions in turn.

    Args:
        fitting: the training.
        plan: its epoch.
        spans: each a batch, a run of whole ones, or every n-th clip of one.
    """
    sounds = fitting.sounds
    source = fitting.source if sounds is None else sounds.source
    for batch, span in zip(source.stream([plan.rows[span] for span in spans]), spans, strict=True):
        sounded, draws, target = plan.sounded[span], plan.draws[span], plan.labels[span]
        weight: tuple[Tensor, ...] = () if plan.weights is None else (plan.weights[span],)
        mixing = sounded.mixing or draws.mixing  # never both
        if mixing is not None:
            target = parts_of(target, fitting.job.n_labels)
            # a mixture counts what its parts count, by their shares
            weight = tuple(mixing.targets(own[:, None])[:, 0] for own in weight)
        if sounds is not None:
            batch, target = sounds.vary(batch, target, sounded)
            batch = fitting.classifier.features(batch)
        batch, target = apply_and_mix(batch, target, draws)
        yield fitting.prepare(batch), target, *weight


def _draw_sounds(
    fitting: Fitting, rows: np.ndarray, bounds: Sequence[tuple[int, int]], generator: Generator
) -> WaveDraws:
    """Draw what happens to the waveforms of an epoch's windows; nothing where spectrograms are varied."""
    recipe, sounds = fitting.job.recipe, fitting.sounds
    if sounds is None:
        return WaveDraws(recipe.sound.sample_rate)
    before, after = (torch.from_numpy(silence[rows]) for silence in (sounds.windows.before, sounds.windows.after))
    return draw_waveform(
        recipe.augment, before, after, recipe.sound.window, recipe.sound.sample_rate, generator,
        backgrounds=sounds.backgrounds_told, bounds=bounds,
    )  # fmt: skip


def draw_windows(weight: np.ndarray, first: np.ndarray, count: np.ndarray, generator: Generator) -> np.ndarray:
    """Draw by which of its windows each clip is heard: each as often as it holds sound, as they count in an answer.

    Args:
        weight: (windows,) samples of sound in each, more than 0; a clip's windows stand together.
        first: (clips,) the first of each clip.
        count: (clips,) how many of them may be heard, from the first.
        generator: of the draws, one a clip.

    Returns:
        (clips,) numbers of windows.
    """
    pick = torch.rand(len(count), generator=generator, dtype=torch.float64).numpy()
    before = np.concatenate([[0], np.cumsum(weight, dtype=np.int64)])
    sound = before[first + count] - before[first]
    drawn = np.searchsorted(before, before[first] + (pick * sound).astype(np.int64), side="right") - 1
    return np.asarray(drawn)


def _order(labels: np.ndarray, sampling: str, generator: Generator) -> np.ndarray:
    """Draw which clips an epoch hears, as many as there are, and in which order.

    Balanced: every class equally often, to within one clip; a clip of several labels may be drawn for any of them, and
    those of none are a class too. A rare class's clips come again and again, each as often as
    the others to within once; of a common class a part is heard.
    """
    count = len(labels)
    order = torch.randperm(count, generator=generator).numpy()
    if sampling == "each":
        return order
    borne = labels[:, None] == np.unique(labels) if labels.ndim == 1 else labels > 0
    if labels.ndim == 2:
        borne = np.concatenate([borne, ~borne.any(axis=1, keepdims=True)], axis=1)
    classes = [np.flatnonzero(those) for those in borne[order].T if those.any()]
    quota = np.full(len(classes), count // len(classes))
    quota[torch.randperm(len(classes), generator=generator).numpy()[: count % len(classes)]] += 1
    heard = [np.resize(order[those], times) for those, times in zip(classes, quota, strict=True)]
    return np.asarray(np.concatenate(heard)[torch.randperm(count, generator=generator).numpy()])


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


def step_bounds(bounds: Sequence[tuple[int, int]], accumulate: int) -> list[tuple[int, int]]:
    """Return the first and the end position of the step that each batch belongs to: so many batches in a row.

    >>> step_bounds([(0, 4), (4, 8), (8, 11)], 2)
    [(0, 8), (0, 8), (8, 11)]
    """
    groups = [bounds[first : first + accumulate] for first in range(0, len(bounds), accumulate)]
    return [(group[0][0], group[-1][1]) for group in groups for _ in group]


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return the generator of one epoch's random numbers: the same for every number of devices and after a resume."""
    # an odd multiplier keeps neighbouring seeds from replaying each other's epochs
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + epoch) % 2**63)


@contextmanager
def epoch_chance(seed: int, epoch: int, process: int, device: torch.device) -> Iterator[None]:
    """Let layers that draw by themselves, as dropout does, draw the same in an epoch every time, after a resume too.

    They know no generator but torch's own, which gets its state back afterwards. Each process draws for its share.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(epoch_generator(seed, epoch).initial_seed() + process)
        yield
