"""A linear head: what is learned on top of features that stay as they are."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from soundfold.models.texture import Texture

__all__ = ["LinearNet"]


class LinearNet(nn.Module):
    """Features (batch, channels, bands, frames) → logits (batch, n_labels), one weight a value.

    Args:
        shape: (channels, bands, frames) of the features.
        n_labels: number of classes.
        pool: none: every value counts; mean_std: of each row its mean and its deviation over time, so that it does not
            matter when in the window a sound is heard; texture: the statistics of `Texture`.
        hop_s: seconds from one frame to the next; texture alone needs it.
        apart: of texture, each kind of statistics has a regression of its own.

    Attributes:
        views: the first value and the end of each part of the values that has a regression of its own; the layer is the
            mean of all.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_labels: int,
        pool: Literal["none", "mean_std", "texture"] = "none",
        hop_s: float = math.nan,
        *,
        apart: bool = False,
    ) -> None:
        super().__init__()
        channels, bands, frames = shape
        self.pool = pool
        self.texture = Texture(shape, hop_s) if pool == "texture" else None
        values = self.texture.size if self.texture else channels * bands * (frames if pool == "none" else 2)
        self.views = self.texture.views if self.texture and apart else [(0, values)]
        self.head = nn.Linear(values, n_labels)

    def pooled(self, features: Tensor) -> Tensor:
        """Return the values that have a weight each, (batch, values)."""
        if self.pool == "none":
            return features.flatten(1)
        if self.texture is not None:
            values: Tensor = self.texture(features)
            return values
        mean, deviation = features.mean(dim=-1), features.std(dim=-1, correction=0)
        return torch.cat([mean.flatten(1), deviation.flatten(1)], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.pooled(features))
        return logits
