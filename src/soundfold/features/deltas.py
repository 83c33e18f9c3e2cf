"""Deltas: how fast each value of a spectrogram rises or falls, as further channels."""

import torch
from torch import Tensor, nn

from soundfold.features.log_mel import LogMel
from soundfold.features.mfcc import Mfcc
from soundfold.features.pcen import Pcen
from soundfold.features.precision import in_full_precision

__all__ = ["WithDeltas", "deltas", "with_deltas"]


def deltas(features: Tensor) -> Tensor:
    """Return the slope along time per frame, fitted to five frames: Σ n·(x[t + n] − x[t − n]) / (2 Σ n²), n = 1, 2.

    The first and last frames are repeated outwards. Equal to torchaudio's `compute_deltas` with its default window.

    Args:
        features: (batch, channels, bands, frames).

    Returns:
        the same shape.

    >>> deltas(torch.tensor([[[[0.0, 1.0, 2.0, 3.0, 4.0]]]]))[0, 0, 0, 2]
    tensor(1.)
    """
    ahead, behind = features[..., :1], features[..., -1:]
    padded = torch.cat([ahead, ahead, features, behind, behind], dim=-1)
    near = padded[..., 3:-1] - padded[..., 1:-3]
    far = padded[..., 4:] - padded[..., :-4]
    return (near + 2.0 * far) / 10.0


def with_deltas(features: Tensor, orders: int) -> Tensor:
    """Return features (batch, channels, bands, frames), then their slopes, then the slopes of these, as channels."""
    blocks = [features]
    for _ in range(orders):
        blocks.append(deltas(blocks[-1]))
    return torch.cat(blocks, dim=1) if orders else features


class WithDeltas(nn.Module):
    """A front end with deltas: all its channels, then their slopes, then the slopes of these.

    Args:
        front_end: waveforms (batch, channels, samples) → (batch, channels, bands, frames).
        orders: 1 for slopes, 2 for slopes of slopes too.

    Attributes:
        shape: (channels · (orders + 1), bands, frames).
    """

    def __init__(self, front_end: LogMel | Mfcc | Pcen, orders: int) -> None:
        super().__init__()
        self.front_end, self.orders = front_end, orders
        channels, bands, frames = front_end.shape
        self.shape = (channels * (orders + 1), bands, frames)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return features with their slopes."""
        return with_deltas(self.front_end(waveform), self.orders)
