"""The training loop, on Lightning Fabric: any number of devices and nodes, one seed, one result.

Every process draws the random numbers of the WHOLE batch from the same generator and works on its share, gradients are
those of the whole batch, and batch normalisation is shared, so the number of processes does not change what is learned.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
from soundfold.training.feature_cache import FeatureCache, open_feature_cache, runs_of
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
    fitting = _begin(fabric, job)
    # the same answer every time, on a GPU too; leaves the caller's own setting alone
    with (
        torch.backends.cudnn.flags(deterministic=True, benchmark=False),
        _history(fabric, job.folder, fitting.records) as history,
    ):
        saved_at = time.monotonic()
        for epoch in range(fitting.done + 1, settings.epochs + 1):
            started = time.perf_counter()
            lr = fitting.optimizer.param_groups[0]["lr"]
            loss, accuracy = _train_epoch(fabric, job, fitting, epoch)
            train_s = time.perf_counter() - started
            if not np.isfinite(loss):
                raise DataError(
                    f"the loss must stay a number, got {loss} in epoch {epoch}. Lower training.lr (now {settings.lr:g})"
                )
            look = epoch % settings.validate_every == 0 or epoch == settings.epochs
            held_out = _look(fabric, job, fitting) if look and len(job.held_out) else (None, None)
            if history is not None:
                record = EpochRecord(epoch, loss, accuracy, held_out[0], held_out[1], lr, train_s)
                history.add(record)
                on_epoch(record)
                if time.monotonic() - saved_at > _CHECKPOINT_EVERY_S or epoch == settings.epochs:
                    save_checkpoint(fitting.checkpoint(history.records), job.folder / CHECKPOINT_NAME)
                    saved_at = time.monotonic()
    fabric.barrier()


@dataclass
class _Fitting:
    """A training under way."""

    cache: FeatureCache
    first: np.ndarray  # (train,) the first window of each clip that may be heard
    count: np.ndarray  # (train,) how many of its windows may be heard
    classifier: Classifier
    network: nn.Module  # the classifier's network, as Fabric wraps it
    optimizer: torch.optim.Optimizer  # as Fabric wraps it
    scheduler: torch.optim.lr_scheduler.LRScheduler
    records: list[EpochRecord]  # of the epochs that the checkpoint holds

    @property
    def done(self) -> int:
        """Epochs that the checkpoint holds."""
        return len(self.records)

    def classify(self, features: Tensor) -> Tensor:
        """Return logits, through Fabric's wrapping."""
        prepared = self.classifier.prepare(features).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(prepared)
        return logits.float()

    def checkpoint(self, records: list[EpochRecord]) -> Checkpoint:
        """Return all that a later process needs to go on after these epochs."""
        return Checkpoint(
            epoch=len(records),
            model=self.classifier.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scheduler=self.scheduler.state_dict(),
            history=[asdict(record) for record in records],
        )


def _begin(fabric: Fabric, job: FitJob) -> _Fitting:
    """Build what a training needs, or restore it from the run's checkpoint."""
    cache = open_feature_cache(job.features, job.recipe)
    first, count = cache.windows_of(job.train)
    if job.recipe.augment.crop == "start":
        count = np.ones_like(count)
    classifier = build_classifier(job.recipe, job.n_labels, job.recipe.training.seed)
    classifier.standardise.set_statistics(*cache.statistics(runs_of(first, count)))
    if fabric.world_size > 1:
        share_batch_norm(classifier)
    # channels last: a third faster on a CPU, and what tensor cores want
    classifier.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain = torch.optim.Adam(classifier.network.parameters(), lr=job.recipe.training.lr)
    scheduler = _schedule(plain, job.recipe, len(batch_bounds(len(job.train), job.recipe.training.batch_size)))
    with warnings.catch_warnings():
        # our DDP broadcasts no buffers; torch means to do without them altogether, and says so
        warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")
        network, optimizer = fabric.setup(classifier.network, plain)
    classifier.standardise.to(fabric.device)
    fitting = _Fitting(cache, first, count, classifier, network, optimizer, scheduler, records=[])
    path = job.folder / CHECKPOINT_NAME
    if path.exists():
        _restore(load_checkpoint(path), path, fitting)
    return fitting


def _train_epoch(fabric: Fabric, job: FitJob, fitting: _Fitting, epoch: int) -> tuple[float, float]:
    """Learn from every training clip once; return mean loss and share of right answers, as they were on the way."""
    fitting.network.train()
    # summed on the device: reading a value in every step would make the device wait for the host
    loss_sum = torch.zeros((), device=fabric.device)
    right = torch.zeros((), device=fabric.device)
    for features, target, share in _batches(fabric, job, fitting, epoch):
        fitting.optimizer.zero_grad()
        logits = fitting.classify(features)
        losses = nn.functional.cross_entropy(logits, target, reduction="sum")
        fabric.backward(losses * share)
        fitting.optimizer.step()
        fitting.scheduler.step()
        loss_sum += losses.detach()
        right += (logits.argmax(dim=-1) == target).sum()
    loss, accuracy = _summed(fabric, torch.stack([loss_sum, right])) / len(job.train)
    return float(loss), float(accuracy)


def _schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.OneCycleLR | torch.optim.lr_scheduler.ConstantLR:
    settings = recipe.training
    if settings.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.lr, total_steps=steps * settings.epochs, anneal_strategy="linear"
    )


def _restore(checkpoint: Checkpoint, path: Path, fitting: _Fitting) -> None:
    try:
        fitting.classifier.load_state_dict(checkpoint.model)
        fitting.optimizer.load_state_dict(checkpoint.optimizer)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: does not fit this recipe's network ({reason}). Choose another --out") from None
    fitting.scheduler.load_state_dict(checkpoint.scheduler)
    fitting.records = [EpochRecord(**record) for record in checkpoint.history]  # type: ignore[arg-type]


def _batches(fabric: Fabric, job: FitJob, fitting: _Fitting, epoch: int) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yield this process's share of each batch: augmented features, targets, and the factor of its summed loss.

    The factor makes the mean over processes (which Fabric takes of the gradients) the mean over the whole batch, even
    where the last batch does not divide evenly.
    """
    settings, cache = job.recipe.training, fitting.cache
    generator = epoch_generator(settings.seed, epoch)
    order = torch.randperm(len(job.train), generator=generator).numpy()
    pick = torch.rand(len(order), generator=generator, dtype=torch.float64).numpy()
    rows = fitting.first[order] + (pick * fitting.count[order]).astype(np.int64)
    before, after = torch.from_numpy(cache.before[rows]), torch.from_numpy(cache.after[rows])
    draws = draw(job.recipe.augment, before, after, *cache.shape[1:], generator)
    labels = torch.from_numpy(job.train_labels[order])
    for start, stop in batch_bounds(len(order), settings.batch_size):
        mine = slice(start + fabric.global_rank, stop, fabric.world_size)
        features = apply_draws(cache.gather(rows[mine]).to(fabric.device), draws[mine])
        yield features, labels[mine].to(fabric.device), fabric.world_size / (stop - start)


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


def _look(fabric: Fabric, job: FitJob, fitting: _Fitting) -> tuple[float, float]:
    """Return mean loss and accuracy of the held-out clips."""
    fitting.network.eval()
    mine = slice(fabric.global_rank, None, fabric.world_size)
    truth = job.held_out_labels[mine]
    loss, right = 0.0, 0
    if len(truth):
        probabilities = clip_probabilities(fitting.classify, fitting.cache, job.held_out[mine], fabric.device)
        told = probabilities[np.arange(len(truth)), truth]
        loss = float(-np.log(np.maximum(told, 1e-12)).sum())
        right = int((probabilities.argmax(axis=1) == truth).sum())
    mean_loss, accuracy = _summed(fabric, torch.tensor([loss, right], dtype=torch.float64)) / len(job.held_out)
    return float(mean_loss), float(accuracy)


def _summed(fabric: Fabric, values: Tensor) -> np.ndarray:
    """Return values summed over all processes."""
    total = fabric.all_reduce(values.double().to(fabric.device), reduce_op="sum") if fabric.world_size > 1 else values
    assert isinstance(total, Tensor)
    return total.double().cpu().numpy()


@contextmanager
def _history(fabric: Fabric, folder: Path, records: list[EpochRecord]) -> Iterator[History | None]:
    """Give the run's history to the first process, and nothing to the others."""
    if not fabric.is_global_zero:
        yield None
        return
    with History(folder, records) as history:
        yield history
