"""One training under way: what it learns from, its network, how a batch becomes a loss, and what a step is."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundfold.data.store import WaveformStore
from soundfold.models import Classifier
from soundfold.recipe import Recipe
from soundfold.training.anchoring import Anchor
from soundfold.training.averaging import WeightAverage
from soundfold.training.checkpoint import Checkpoint
from soundfold.training.feature_cache import FeatureCache
from soundfold.training.feature_source import Source
from soundfold.training.history import EpochRecord
from soundfold.training.wave_windows import Sounds

__all__ = ["FitJob", "Fitting", "judge", "parts_of"]


@dataclass(frozen=True)
class FitJob:
    """All that a training process needs to know; plain values and paths, so that it can be sent to other processes.

    Attributes:
        recipe: the settings.
        n_labels: number of classes.
        features: folder of the feature cache.
        train, train_labels: (n,) rows of the store, and class numbers; where clips bear several labels, these are
            (n, n_labels) float32, 0 and 1.
        held_out, held_out_labels: clips that are looked at after epochs and never learned from; may be empty.
        folder: the run's folder; a checkpoint in it is continued.
        train_weights: (n,) what each training clip counts, 1 on average; None for all alike.
        weights_file: pretrained weights, for a recipe that starts from any.
        store: decoded sounds, for a recipe that varies waveforms.
        backgrounds: .npy of what may sound behind them; None for nothing.
        train_recordings: (n,) number of the recording of each training clip; None where each clip stands for one.
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
    store: WaveformStore | None = None
    backgrounds: Path | None = None
    train_recordings: np.ndarray | None = None

    @property
    def several(self) -> bool:
        """Whether clips bear any number of labels, each an answer of its own, in place of one class."""
        return self.train_labels.ndim == 2

    @property
    def on_trial(self) -> bool:
        """Whether learning has to pay in a trial first, a choice that only a network has which begins as a probe."""
        return self.recipe.training.trial and self.recipe.model.start == "probe"

    @property
    def weights(self) -> np.ndarray | None:
        """What each training clip counts in the loss; None where the recipe lets all count alike."""
        if self.recipe.training.weighting == "none":
            return None
        return self.clip_weights

    @property
    def clip_weights(self) -> np.ndarray:
        """What each training clip counts, (n,): in a fit, and where the clips are asked about."""
        return np.ones(len(self.train)) if self.train_weights is None else self.train_weights

    @property
    def recordings(self) -> np.ndarray:
        """Number of the recording of each training clip, (n,); without known ones each clip stands for one."""
        return np.arange(len(self.train)) if self.train_recordings is None else self.train_recordings


@dataclass
class Fitting:
    """A training under way."""

    job: FitJob
    cache: FeatureCache
    source: Source
    first: np.ndarray  # (train,) the first window of each clip that may be heard
    count: np.ndarray  # (train,) how many of its windows may be heard
    classifier: Classifier
    layout: torch.memory_format  # of the batches and the weights
    network: nn.Module  # the classifier's network, as Fabric wraps it
    optimizer: torch.optim.Optimizer  # as Fabric wraps it
    scheduler: torch.optim.lr_scheduler.LRScheduler
    records: list[EpochRecord]  # of the epochs that the checkpoint holds
    frozen: list[nn.Module] = field(default_factory=list)  # stages that stay in evaluation
    average: WeightAverage | None = None
    anchor: Anchor | None = None
    sounds: Sounds | None = None  # where waveforms are varied

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

    def judge(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what a batch costs and how many answers are right; see the function `judge`."""
        smoothing = self.job.recipe.training.label_smoothing
        return judge(logits, target, weight, smoothing=smoothing, several=self.job.several)

    def train(self) -> None:
        """Switch to training, but for what is frozen."""
        self.network.train()
        for stage in self.frozen:
            stage.eval()

    def step(self) -> None:
        """Take a step along the gradients that are there."""
        settings = self.job.recipe.training
        if self.anchor is not None:
            self.anchor.pull()
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.scheduler.step()
        if self.average is not None:
            self.average.update(self.scheduler.last_epoch)  # counts the schedule's steps, whatever its name

    def as_result(self) -> AbstractContextManager[None]:
        """Give the network the weights that are its result, for a while: the average where one is kept."""
        return nullcontext() if self.average is None else self.average.standing_in()

    def checkpoint(self, records: list[EpochRecord]) -> Checkpoint:
        """Return all that a later process needs to go on after these epochs."""
        return Checkpoint(
            epoch=len(records),
            model=self.classifier.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scheduler=self.scheduler.state_dict(),
            history=[asdict(record) for record in records],
            average={} if self.average is None else self.average.tensors,
            start={} if self.anchor is None else self.anchor.tensors,
        )


def judge(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, *, smoothing: float = 0.0, several: bool = False
) -> tuple[Tensor, Tensor]:
    """Return what a batch costs and how many of its answers are right, both summed over the batch.

    One label a clip costs its cross-entropy. Of several, each is a question of its own, and a clip costs the mean of
    their binary cross-entropies; its answer is right if all labels are.

    Args:
        logits: (batch, n_labels) float32.
        target: (batch,) class numbers, or (batch, n_labels) parts of labels; the largest part is then the right answer,
            or of several labels each part of more than a half.
        weight: (batch,) what each clip counts in the loss; None for all alike. How many are right counts all alike.
        smoothing: part of the target that is divided among all labels, or of several between yes and no.
        several: clips bear any number of labels.

    References:
        Szegedy et al. (2016), "Rethinking the Inception architecture for computer vision", CVPR: label smoothing.
    """
    if several:
        smooth = target * (1.0 - smoothing) + 0.5 * smoothing
        costs = nn.functional.binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(dim=-1)
        loss = costs.sum() if weight is None else (costs * weight).sum()
        return loss, ((logits > 0) == (target > 0.5)).all(dim=-1).sum()
    reduction = "sum" if weight is None else "none"
    loss = nn.functional.cross_entropy(logits, target, reduction=reduction, label_smoothing=smoothing)
    if weight is not None:
        loss = (loss * weight).sum()
    right = target.argmax(dim=-1) if target.is_floating_point() else target
    return loss, (logits.argmax(dim=-1) == right).sum()


def parts_of(target: Tensor, n_labels: int) -> Tensor:
    """Return targets as parts of labels (batch, n_labels) float32, which can be mixed."""
    return target if target.is_floating_point() else nn.functional.one_hot(target, n_labels).float()


def _laid_out(batch: Tensor, layout: torch.memory_format) -> Tensor:
    """Return a batch in some memory format; in channels-last, convolutions on a CPU take a third less time.

    Two channels side by side are what a complex number is, and making those goes at the speed of the memory; the
    general copy takes four times as long, a twentieth of the training step of a small network.
    """
    if layout == torch.channels_last and batch.shape[1] == 2 and batch.dtype == torch.float32:
        return torch.view_as_real(torch.complex(batch[:, 0], batch[:, 1])).permute(0, 3, 1, 2)
    return batch.contiguous(memory_format=layout)
