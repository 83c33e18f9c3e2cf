"""A pretrained network as a front end: waveform in, one vector a clip out, which nothing here ever changes.

Views of the network are put end to end (`EfficientAT.views`): the signed root of its embedding, its logits for
AudioSet's 527 classes, the mean of its last residual block, and, where four are asked for, those of two blocks before.
"""

from itertools import accumulate, pairwise
from pathlib import Path
from typing import Self, TypeAlias

import torch
from torch import Tensor, nn

from soundfold.features import LogMel, Mfcc, Pcen, build_features
from soundfold.features.audioset_mel import AudiosetMel
from soundfold.models.efficientat import FEW_VIEWS, build_efficientat, load_state
from soundfold.models.encoder_files import ENCODER_PREFIX
from soundfold.models.fine_tuned import FrozenBlocks
from soundfold.models.pretrained import read_weights
from soundfold.models.transformers_encoder import TransformersEncoder, build_encoder
from soundfold.recipe import Recipe

__all__ = ["Embedding", "FrontEnd", "build_front_end", "hop_of"]


class Embedding(nn.Module):
    """Waveforms (batch, 1, samples) at 32 kHz → (batch, 1, values, 1), a picture with a band a value and one frame.

    Args:
        name: of the pretrained network.
        views: how many; see `EfficientAT.views`.
        portable: with the front end's operations as a model file can hold them.

    Attributes:
        shape: (1, values, 1).
        views: the first value and the end of each view.
    """

    sample_rate = AudiosetMel.sample_rate

    def __init__(self, name: str, views: int = FEW_VIEWS, *, portable: bool = False) -> None:
        super().__init__()
        self.mel = AudiosetMel(portable=portable)
        self.network = build_efficientat(name).eval().requires_grad_(requires_grad=False)
        sizes = self.network.view_sizes(views)
        self.views = list(pairwise(accumulate(sizes, initial=0)))
        self.shape = (1, sum(sizes), 1)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in evaluation, whatever the rest of a classifier does: these weights and statistics are given."""
        return super().train(mode=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the views of each clip, end to end."""
        return torch.cat(self.network.views(self.mel(waveform), len(self.views)), dim=1)[:, None, :, None]


FrontEnd: TypeAlias = AudiosetMel | LogMel | Mfcc | Pcen | FrozenBlocks | Embedding | TransformersEncoder


def build_front_end(recipe: Recipe, *, portable: bool = False, weights: Path | None = None) -> FrontEnd:
    """Return what turns waveforms into what the network takes; with its pretrained weights where it has any.

    Args:
        recipe: which front end.
        portable: build it from operations that a model file can hold.
        weights: file of pretrained weights; None for random ones, where a state dict is loaded later.

    Raises:
        SoundfoldError: the file holds something else than this network's weights, or as `build_encoder`.
    """
    kept = recipe.model.kept_blocks
    if kept:
        frozen = FrozenBlocks(recipe.model.name, kept, recipe.sound.window, portable=portable)
        if weights is not None:
            whole = build_efficientat(recipe.model.name)
            load_state(whole, read_weights(weights), str(weights))
            frozen.blocks.load_state_dict(whole.features[:kept].state_dict())
        return frozen
    if recipe.features.kind != "embedding":
        return build_features(recipe, portable=portable)
    if recipe.features.network.startswith(ENCODER_PREFIX):
        return build_encoder(recipe, portable=portable, weights=weights)
    embedding = Embedding(recipe.features.network, recipe.features.views, portable=portable)
    if weights is not None:
        load_state(embedding.network, read_weights(weights), str(weights))
    return embedding


def hop_of(front_end: FrontEnd, recipe: Recipe) -> int:
    """Return the samples from one frame of a front end to the next: its own where it is given, else the recipe's."""
    hop: int = getattr(front_end, "hop_length", recipe.features.hop_length)
    return hop
