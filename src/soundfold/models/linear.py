"""A linear head: what is learned on top of an embedding that stays as it is."""

from torch import Tensor, nn

__all__ = ["LinearNet"]


class LinearNet(nn.Module):
    """Features (batch, channels, bands, frames) → logits (batch, n_labels), one weight a value.

    Args:
        shape: (channels, bands, frames) of the features.
        n_labels: number of classes.
    """

    def __init__(self, shape: tuple[int, int, int], n_labels: int) -> None:
        super().__init__()
        channels, bands, frames = shape
        self.head = nn.Linear(channels * bands * frames, n_labels)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(features.flatten(1))
        return logits
