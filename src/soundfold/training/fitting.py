"""One training under way: what it learns from, its network, and the places where a recipe decides how it learns.

`judge` turns a batch into a loss, `build_optimizer` and `build_schedule` say what is done with its gradients.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundfold.models import Classifier
from soundfold.recipe import Recipe
from soundfold.training.checkpoint import Checkpoint
from soundfold.training.feature_cache import FeatureCache
from soundfold.training.feature_source import FeatureSource
from soundfold.training.history import EpochRecord

__all__ = ["FitJob", "Fitting", "build_optimizer", "build_schedule", "judge"]


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
        train_weights: (n,) what each training clip counts; None for all alike.
        weights_file: pretrained weights, for a recipe that starts from any.
    """

    recipe: Recipe
    n_labels: int
    features: Path
    train: np.ndarray
    train_labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray
    folder: Path
    train_weights: np.ndarray | None = None
    weights_file: Path | None = None


@dataclass
class Fitting:
    """A training under way."""

    job: FitJob
    cache: FeatureCache
    source: FeatureSource
    first: np.ndarray  # (train,) the first window of each clip that may be heard
    count: np.ndarray  # (train,) how many of its windows may be heard
    classifier: Classifier
    layout: torch.memory_format  # of the batches and the weights
    network: nn.Module  # the classifier's network, as Fabric wraps it
    optimizer: torch.optim.Optimizer  # as Fabric wraps it
    scheduler: torch.optim.lr_scheduler.LRScheduler
    records: list[EpochRecord]  # of the epochs that the checkpoint holds

    @property
    def done(self) -> int:
        """Epochs that the checkpoint holds."""
        return len(self.records)

    def prepare(self, features: Tensor) -> Tensor:
        """Return features as the network takes them."""
        return _laid_out(self.classifier.prepare(features), self.layout)

    def classify(self, features: Tensor) -> Tensor:
        """Return logits, through Fabric's wrapping."""
        logits: Tensor = self.network(self.prepare(features))
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


def judge(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a batch costs and how many of its answers are right, both summed over the batch.

    Args:
        logits: (batch, n_labels) float32.
        target: (batch,) class numbers, or (batch, n_labels) parts of labels; the largest part is then the right answer.
    """
    loss = nn.functional.cross_entropy(logits, target, reduction="sum")
    right = target.argmax(dim=-1) if target.is_floating_point() else target
    return loss, (logits.argmax(dim=-1) == right).sum()


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of a network."""
    return torch.optim.Adam(network.parameters(), lr=recipe.training.lr, fused=True)


def build_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the schedule of an optimiser's settings.

    Args:
        optimizer: what it sets.
        recipe: the settings.
        steps: steps an epoch.
    """
    settings = recipe.training
    if settings.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.lr, total_steps=steps * settings.epochs, anneal_strategy="linear"
    )


def _laid_out(batch: Tensor, layout: torch.memory_format) -> Tensor:
    """Return a batch in some memory format; in channels-last, convolutions on a CPU take a third less time.

    Two channels side by side are what a complex number is, and making those goes at the speed of the memory; the
    general copy takes four times as long, a twentieth of the training step of a small network.
    """
    if layout == torch.channels_last and batch.shape[1] == 2 and batch.dtype == torch.float32:
        return torch.view_as_real(torch.complex(batch[:, 0], batch[:, 1])).permute(0, 3, 1, 2)
    return batch.contiguous(memory_format=layout)
