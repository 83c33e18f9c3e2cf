"""The whole classifier: front end, standardisation with the training set's statistics, network."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from soundfold.features import with_deltas
from soundfold.models.efficientat import EFFICIENTAT_WIDTHS
from soundfold.models.embedding import FrontEnd, build_front_end, hop_of
from soundfold.models.fine_tuned import build_learning_part
from soundfold.models.linear import LinearNet
from soundfold.models.residual import ResidualNet
from soundfold.models.textured import TexturedNet
from soundfold.models.timm_backbone import TIMM_PREFIX, build_backbone
from soundfold.models.tutorial import TutorialNet
from soundfold.recipe import Recipe

__all__ = ["Classifier", "Standardise", "build_classifier", "to_probabilities"]


class Standardise(nn.Module):
    """Features to mean 0 and deviation 1 by the TRAINING set's statistics, which are kept with the weights.

    Never by those of the batch: then a prediction would depend on its neighbours.

    Args:
        bands: give each of so many bands statistics of its own; None for one mean and one deviation over all.
        given: leave the features as they are, mean 0 and deviation 1 for good: pretrained weights know no others.
        by_clip: take each clip's loudest value for zero, in place of the training set's mean: how loud a recording was
            made says little of what is heard in it. A mean over what is not silence would do, if rounding noise at the
            floor did not count in one form of the front end and not in the other.
    """

    def __init__(self, bands: int | None = None, *, given: bool = False, by_clip: bool = False) -> None:
        super().__init__()
        self.given, self.by_clip = given, by_clip
        self.mean: Tensor
        self.std: Tensor
        shape = () if bands is None else (bands, 1)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def set_statistics(self, mean: ArrayLike, std: ArrayLike) -> None:
        """Set the statistics, one value or one a band; a deviation of zero (all sounds alike) counts as one."""
        if self.given:
            return
        column = (-1, 1) if self.mean.ndim else ()
        centre, spread = (torch.from_numpy(np.array(value, dtype=np.float32)).reshape(column) for value in (mean, std))
        self.mean.copy_(centre)
        self.std.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised features, the same shape."""
        centre = features.amax(dim=(-3, -2, -1), keepdim=True) if self.by_clip else self.mean
        return (features - centre) / self.std


class Classifier(nn.Module):
    """Waveforms (batch, channels, samples) → logits (batch, n_labels).

    `features` has nothing that is learned here: nothing at all, or pretrained weights, which its state dict holds.
    Pretrained weights that do learn are the network's.

    Args:
        recipe: settings of the front end and the network.
        n_labels: number of classes.
        portable: build the front end from operations that a model file can hold.
        weights: file of pretrained weights, where the recipe asks for any; None where a state dict follows.
    """

    def __init__(self, recipe: Recipe, n_labels: int, *, portable: bool = False, weights: Path | None = None) -> None:
        super().__init__()
        self.features = build_front_end(recipe, portable=portable, weights=weights)
        self.standardise = Standardise(
            self.features.shape[1] if recipe.features.per_band else None,
            given=recipe.features.kind == "audioset",
            by_clip=recipe.features.level == "clip",
        )
        self.channels, self.deltas = self.features.shape[0], recipe.features.deltas
        self.network = _build_network(recipe, self.features, n_labels, weights)

    def prepare(self, features: Tensor) -> Tensor:
        """Return features as the network takes them: standardised, one channel doubled where it hears two, slopes."""
        standard: Tensor = self.standardise(features)
        if standard.shape[1] != self.channels:
            standard = standard.expand(-1, self.channels, -1, -1)
        return with_deltas(standard, self.deltas)

    def classify(self, features: Tensor) -> Tensor:
        """Return logits of features that the front end made earlier."""
        logits: Tensor = self.network(self.prepare(features))
        return logits

    def forward(self, waveform: Tensor) -> Tensor:
        """Return logits of waveforms."""
        return self.classify(self.features(waveform))


def build_classifier(recipe: Recipe, n_labels: int, seed: int, weights: Path | None = None) -> Classifier:
    """Return a new classifier whose starting weights depend on the seed (and a file of pretrained ones) alone.

    Global random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(recipe, n_labels, weights=weights)


def to_probabilities(logits: Tensor, *, several: bool) -> Tensor:
    """Return logits (…, n_labels) as probabilities: of one label a clip, or of several each for itself."""
    return logits.sigmoid() if several else logits.softmax(dim=-1)


def _build_network(recipe: Recipe, front_end: FrontEnd, n_labels: int, weights: Path | None) -> nn.Module:
    shape = front_end.shape
    if recipe.model.name in EFFICIENTAT_WIDTHS:
        return build_learning_part(recipe, n_labels, weights)
    channels = recipe.sound.channels * (recipe.features.deltas + 1)
    hop_s = hop_of(front_end, recipe) / recipe.sound.sample_rate
    if recipe.model.name == "linear":
        return LinearNet((channels, *shape[1:]), n_labels, recipe.model.pool, hop_s, apart=recipe.model.texture_apart)
    if recipe.model.name == "residual":
        network = ResidualNet(channels, n_labels, recipe.model.width, recipe.model.dropout)
        if not recipe.model.texture:
            return network
        regression = LinearNet((channels, *shape[1:]), n_labels, "texture", hop_s, apart=recipe.model.texture_apart)
        return TexturedNet(network, regression, hop_s, recipe.model.texture_say)
    if recipe.model.name.startswith(TIMM_PREFIX):
        return build_backbone(recipe, (channels, *shape[1:]), n_labels, weights)
    return TutorialNet(channels, n_labels)
