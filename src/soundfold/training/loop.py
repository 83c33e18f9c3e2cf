"""The training loop, on Lightning Fabric: any number of devices and nodes, one seed, one result.

Every process draws the random numbers of the WHOLE batch from the same generator and works on its share, gradients are
those of the whole batch, and batch normalisation is shared, so the number of processes does not change what is learned.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from soundfold.augment import apply_draws, draw
from soundfold.errors import DataError, RunError
from soundfold.models import Classifier, build_classifier
from soundfold.recipe import Recipe
from soundfold.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from soundfold.training.feature_cache import FeatureCache, open_feature_cache
from soundfold.training.history import EpochRecord, History
from soundfold.training.scoring import clip_probabilities
from soundfold.training.shared_norm import share_batch_norm

__all__ = ["CHECKPOINT_NAME", "FitJob", "fit_in_process"]

CHECKPOINT_NAME = "checkpoint.safetensors"
_CHECKPOINT_EVERY_S = 2.0


@dataclass(frozen=True)
class FitJob:
    """All that a training process needs to know; plain values and paths, so that it can be sent to other processes.

    Attributes:
        recipe: the settings.
        n_labels: number of classes.
        features: folder of the feature cache.
        train, train_labels: (n,) rows of the store, and class numbers.
        held_out, held_out_labels: clips that are looked at after epochs and never learned from; may be empty.
        folder: the run's folder; a checkpoint in it is continued.
    """

    recipe: Recipe
    n_labels: int
    features: Path
    train: np.ndarray
    train_labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray
    folder: Path


def fit_in_process(fabric: Fabric, job: FitJob, on_epoch: Callable[[EpochRecord], None]) -> None:
    """Train in one process of possibly many; the last checkpoint in the run's folder is the result.

    Raises:
        DataError: the loss is no longer a number.
        RunError: the folder's checkpoint is damaged.
    """
    settings = job.recipe.training
    cache = open_feature_cache(job.features, job.recipe)
    classifier = build_classifier(job.recipe, job.n_labels, settings.seed)
    first, count = cache.windows_of(job.train)
    if job.recipe.augment.crop == "start":
        count = np.ones_like(count)
        heard = first
    else:
        heard = np.concatenate([np.arange(start, start + size) for start, size in zip(first, count, strict=True)])
    classifier.standardise.set_statistics(*cache.statistics(heard))
    if fabric.world_size > 1:
        share_batch_norm(classifier)

    steps = -(-len(job.train) // settings.batch_size)
    optimizer = torch.optim.Adam(classifier.network.parameters(), lr=settings.lr)
    scheduler = _schedule(optimizer, job.recipe, steps)
    checkpoint_path = job.folder / CHECKPOINT_NAME
    done = 0
    if checkpoint_path.exists():
        checkpoint = load_checkpoint(checkpoint_path)
        _restore(checkpoint, checkpoint_path, classifier, optimizer, scheduler)
        done = checkpoint.epoch
    # channels last: a third faster on a CPU, and what tensor cores want
    classifier.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network, optimizer = fabric.setup(classifier.network, optimizer)
    classifier.standardise.to(fabric.device)
    labels = torch.from_numpy(job.train_labels)

    def classify(features: Tensor) -> Tensor:
        logits: Tensor = network(classifier.prepare(features).contiguous(memory_format=torch.channels_last))
        return logits

    def save(epoch: int) -> None:
        state = Checkpoint(epoch, classifier.state_dict(), optimizer.state_dict(), scheduler.state_dict())
        save_checkpoint(state, checkpoint_path)

    with _history(fabric, job.folder, done) as history:
        saved_at = time.monotonic()
        for epoch in range(done + 1, settings.epochs + 1):
            started = time.perf_counter()
            network.train()
            loss_sum = torch.zeros((), device=fabric.device)
            right = torch.zeros((), device=fabric.device)
            lr = optimizer.param_groups[0]["lr"]
            for features, target, share in _batches(fabric, job, cache, first, count, labels, epoch):
                optimizer.zero_grad()
                logits = classify(features).float()
                losses = nn.functional.cross_entropy(logits, target, reduction="sum")
                fabric.backward(losses * share)
                optimizer.step()
                scheduler.step()
                loss_sum += losses.detach()
                right += (logits.argmax(dim=-1) == target).sum()
            totals = _summed(fabric, torch.stack([loss_sum, right])) / len(job.train)
            train_s = time.perf_counter() - started
            if not np.isfinite(totals[0]):
                raise DataError(
                    f"the loss must stay a number, got {totals[0]} in epoch {epoch}. Lower training.lr "
                    f"(now {settings.lr:g})"
                )
            look = epoch % settings.validate_every == 0 or epoch == settings.epochs
            held_out = _look(fabric, classify, network, cache, job) if look and len(job.held_out) else (None, None)
            record = EpochRecord(epoch, float(totals[0]), float(totals[1]), held_out[0], held_out[1], lr, train_s)
            if history is not None:
                history.add(record)
                on_epoch(record)
                if time.monotonic() - saved_at > _CHECKPOINT_EVERY_S or epoch == settings.epochs:
                    save(epoch)
                    saved_at = time.monotonic()
    fabric.barrier()


def _schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.OneCycleLR | torch.optim.lr_scheduler.ConstantLR:
    settings = recipe.training
    if settings.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.lr, total_steps=steps * settings.epochs, anneal_strategy="linear"
    )


def _restore(
    checkpoint: Checkpoint,
    path: Path,
    classifier: Classifier,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    try:
        classifier.load_state_dict(checkpoint.model)
        optimizer.load_state_dict(checkpoint.optimizer)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: does not fit this recipe's network ({reason}). Choose another --out") from None
    scheduler.load_state_dict(checkpoint.scheduler)


def _batches(
    fabric: Fabric,
    job: FitJob,
    cache: FeatureCache,
    first: np.ndarray,
    count: np.ndarray,
    labels: Tensor,
    epoch: int,
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yield this process's share of each batch: augmented features, targets, and the factor of its summed loss.

    The factor makes the mean over processes (which Fabric takes of the gradients) the mean over the whole batch, even
    where the last batch does not divide evenly.
    """
    settings, generator = job.recipe.training, epoch_generator(job.recipe.training.seed, epoch)
    order = torch.randperm(len(job.train), generator=generator).numpy()
    pick = torch.rand(len(order), generator=generator, dtype=torch.float64).numpy()
    rows = first[order] + (pick * count[order]).astype(np.int64)
    before, after = torch.from_numpy(cache.before[rows]), torch.from_numpy(cache.after[rows])
    draws = draw(job.recipe.augment, before, after, *cache.shape[1:], generator)
    for start in range(0, len(order), settings.batch_size):
        stop = min(start + settings.batch_size, len(order))
        mine = slice(start + fabric.global_rank, stop, fabric.world_size)
        features = apply_draws(cache.gather(rows[mine]).to(fabric.device), draws[mine])
        target = labels[order[mine]].to(fabric.device)
        yield features, target, fabric.world_size / (stop - start)


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return the generator of one epoch's random numbers: the same for every number of devices and after a resume."""
    # an odd multiplier keeps neighbouring seeds from replaying each other's epochs
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + epoch) % 2**63)


def _look(
    fabric: Fabric, classify: Callable[[Tensor], Tensor], network: nn.Module, cache: FeatureCache, job: FitJob
) -> tuple[float, float]:
    """Return mean loss and accuracy of the held-out clips."""
    network.eval()
    mine = slice(fabric.global_rank, None, fabric.world_size)
    truth = job.held_out_labels[mine]
    loss, right = 0.0, 0
    if len(truth):
        probabilities = clip_probabilities(classify, cache, job.held_out[mine], fabric.device)
        told = probabilities[np.arange(len(truth)), truth]
        loss = float(-np.log(np.maximum(told, 1e-12)).sum())
        right = int((probabilities.argmax(axis=1) == truth).sum())
    sums = _summed(fabric, torch.tensor([loss, right], dtype=torch.float64)) / len(job.held_out)
    return float(sums[0]), float(sums[1])


def _summed(fabric: Fabric, values: Tensor) -> np.ndarray:
    """Return values summed over all processes."""
    total = fabric.all_reduce(values.double().to(fabric.device), reduce_op="sum") if fabric.world_size > 1 else values
    assert isinstance(total, Tensor)
    return total.double().cpu().numpy()


@contextmanager
def _history(fabric: Fabric, folder: Path, done: int) -> Iterator[History | None]:
    """Give the run's history to the first process, and nothing to the others."""
    if not fabric.is_global_zero:
        yield None
        return
    with History(folder, done) as history:
        yield history
