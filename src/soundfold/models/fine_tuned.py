"""Pretrained networks that learn on: which part stays as published, and what the rest begins as.

What stays is a front end: the spectrogram and the first blocks, whose maps are the same in every epoch and are kept on
disk. What learns is the rest of the network with a head: a new one, or a fitted probe's.
"""

from itertools import accumulate, pairwise
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from soundfold.features.audioset_mel import AudiosetMel
from soundfold.models.efficientat import EfficientAT, build_efficientat, load_state
from soundfold.models.pretrained import read_weights
from soundfold.recipe import Recipe

__all__ = ["FrozenBlocks", "ProbedNetwork", "build_learning_part"]


class FrozenBlocks(nn.Module):
    """Waveforms (batch, 1, samples) at 32 kHz → maps (batch, channels, h, w) of a pretrained network's first blocks.

    Args:
        name: of the network.
        blocks: how many of its blocks.
        samples: length of the waveforms.
        portable: with the front end's operations as a model file can hold them.

    Attributes:
        shape: (channels, h, w).
        hop_length: samples from one column of the maps to the next.
    """

    def __init__(self, name: str, blocks: int, samples: int, *, portable: bool = False) -> None:
        super().__init__()
        self.mel = AudiosetMel(portable=portable, samples=samples)
        self.blocks = build_efficientat(name).features[:blocks].eval().requires_grad_(requires_grad=False)
        with torch.inference_mode():
            maps = self.blocks(torch.zeros(1, *self.mel.shape))
        self.shape: tuple[int, int, int] = tuple(maps.shape[1:])
        self.hop_length = self.mel.hop_length * round(self.mel.n_mels / self.shape[1])

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in evaluation, whatever the rest of a classifier does: these weights and statistics are given."""
        return super().train(mode=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the maps."""
        maps: Tensor = self.blocks(self.mel(waveform))
        return maps


class ProbedNetwork(nn.Module):
    """Spectrograms, or maps of the blocks before, → logits: a pretrained network, its views, and a linear layer.

    As the preset `probe` has it, but all of it can learn; see `EfficientAT.views`.

    Args:
        network: with the head for AudioSet's classes, one of the views.
        n_labels: number of classes.
        views: the first value and the end of each view.
    """

    def __init__(self, network: EfficientAT, n_labels: int, views: list[tuple[int, int]]) -> None:
        super().__init__()
        self.network = network
        self.views = views
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(views[-1][1]))
        self.register_buffer("std", torch.ones(views[-1][1]))
        self.head = nn.Linear(views[-1][1], n_labels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head((self.view(maps) - self.mean) / self.std)
        return logits

    def view(self, maps: Tensor) -> Tensor:
        """Return the views end to end, (batch, values)."""
        return torch.cat(self.network.views(maps, len(self.views)), dim=1)

    def set_head(self, mean: Tensor, std: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Begin as a fitted probe: its standardisation, (values,) each, and its linear layer."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.std.copy_(std)
            self.head.weight.copy_(weight)
            self.head.bias.copy_(bias)

    def stages(self) -> list[nn.Module]:
        """Return all that learns, from the sound to the answer; the linear layer is the last."""
        return [*self.network.stages(), self.head]


def build_learning_part(recipe: Recipe, n_labels: int, weights: Path | None) -> EfficientAT | ProbedNetwork:
    """Return what learns of one of EfficientAT's networks.

    Args:
        recipe: which network, what it begins as, how much of it belongs to the front end.
        n_labels: number of classes.
        weights: file of published weights; None for random ones, where a state dict is loaded later.

    Raises:
        ModelFileError: the file holds something else than this network's weights.
    """
    settings = recipe.model
    probed = settings.start == "probe"
    network = build_efficientat(settings.name, 527 if probed else n_labels)
    if weights is not None and settings.start != "random":
        load_state(network, read_weights(weights), str(weights), head=probed)
    learning = network.features[settings.kept_blocks :]
    assert isinstance(learning, nn.Sequential)
    network.features = learning
    network.frozen_statistics = settings.start != "random" and settings.batch_statistics == "kept"
    if not probed:
        return network
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # the head was fitted to answers without gaps
    sizes = network.view_sizes(recipe.features.views)
    return ProbedNetwork(network, n_labels, list(pairwise(accumulate(sizes, initial=0))))
