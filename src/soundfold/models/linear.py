"""A linear head: what is learned on top of features that stay as they are."""

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["LinearNet"]


class LinearNet(nn.Module):
    """Features (batch, channels, bands, frames) → logits (batch, n_labels), one weight a value.

    Args:
        shape: (channels, bands, frames) of the features.
        n_labels: number of classes.
        pool: none: every value counts; mean_std: of each row its mean and its deviation over time, so that it does not
            matter when in the window a sound is heard.
    """

    def __init__(self, shape: tuple[int, int, int], n_labels: int, pool: Literal["none", "mean_std"] = "none") -> None:
        super().__init__()
        channels, bands, frames = shape
        self.pool = pool
        self.head = nn.Linear(channels * bands * (frames if pool == "none" else 2), n_labels)

    def pooled(self, features: Tensor) -> Tensor:
        """Return the values that have a weight each, (batch, values)."""
        if self.pool == "none":
            return features.flatten(1)
        mean, deviation = features.mean(dim=-1), features.std(dim=-1, correction=0)
        return torch.cat([mean.flatten(1), deviation.flatten(1)], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.pooled(features))
        return logits
