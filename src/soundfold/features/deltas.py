"""Deltas: how fast each value of a spectrogram rises or falls, as further channels."""

import torch
from torch import Tensor

__all__ = ["deltas", "with_deltas"]


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
