"""The whole classifier: front end, standardisation with the training set's statistics, network."""

import torch
from torch import Tensor, nn

from soundfold.features import build_features
from soundfold.models.tutorial import TutorialNet
from soundfold.recipe import Recipe

__all__ = ["Classifier", "Standardise", "build_classifier"]


class Standardise(nn.Module):
    """Features to mean 0 and deviation 1 by the TRAINING set's statistics, which are kept with the weights.

    Never by those of the batch: then a prediction would depend on its neighbours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def set_statistics(self, mean: float, std: float) -> None:
        """Set the statistics; a deviation of zero (all sounds alike) counts as one."""
        self.mean.fill_(mean)
        self.std.fill_(std if std > 0 else 1.0)

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised features, the same shape."""
        return (features - self.mean) / self.std


class Classifier(nn.Module):
    """Waveforms (batch, channels, samples) → logits (batch, n_labels).

    `features` has no learned values; `standardise` and `network` are what `weights.safetensors` holds.

    Args:
        recipe: settings of the front end and the network.
        n_labels: number of classes.
        portable: build the front end from operations that a model file can hold.
    """

    def __init__(self, recipe: Recipe, n_labels: int, *, portable: bool = False) -> None:
        super().__init__()
        self.features = build_features(recipe, portable=portable)
        self.standardise = Standardise()
        self.channels = recipe.sound.channels
        self.network = TutorialNet(self.channels, n_labels)

    def prepare(self, features: Tensor) -> Tensor:
        """Return features as the network takes them: standardised, and one channel doubled where it hears two."""
        standard: Tensor = self.standardise(features)
        return standard if standard.shape[1] == self.channels else standard.expand(-1, self.channels, -1, -1)

    def classify(self, features: Tensor) -> Tensor:
        """Return logits of features that the front end made earlier."""
        logits: Tensor = self.network(self.prepare(features))
        return logits

    def forward(self, waveform: Tensor) -> Tensor:
        """Return logits of waveforms."""
        return self.classify(self.features(waveform))


def build_classifier(recipe: Recipe, n_labels: int, seed: int) -> Classifier:
    """Return a new classifier whose starting weights depend on the seed alone; global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(recipe, n_labels)
