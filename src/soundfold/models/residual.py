"""Our own family of networks, to be trained from scratch: residual convolutions, with one dial for the size.

Made for spectrograms of a few seconds and for few recordings. A strided stem keeps the cost low; bands are averaged at
the end, and over time both the mean and the maximum count, so that a short sound is heard in a long window; dropout
stands before the one linear layer.

References:
    He, Zhang, Ren and Sun (2016), "Deep Residual Learning for Image Recognition", CVPR.
    He et al. (2019), "Bag of Tricks for Image Classification with Convolutional Neural Networks", CVPR: shortcuts that
    average before they project, and residual branches that begin at zero.
"""

import torch
from torch import Tensor, nn

__all__ = ["ResidualNet"]

_GROWTH = (1, 2, 4, 6)
"""Channels of each stage, in units of the dial; the picture is halved before all but the first."""


class ResidualNet(nn.Module):
    """Spectrograms (batch, channels, n_mels, frames) → logits (batch, n_labels).

    Args:
        channels: of the spectrograms.
        n_labels: number of classes.
        width: the dial: channels of the first stage; parameters grow with its square, about 870 times.
        dropout: part of the last values that is left out in training.

    >>> sum(values.numel() for values in ResidualNet(1, 10, width=12).parameters())
    126814
    """

    def __init__(self, channels: int, n_labels: int, width: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        )
        blocks: list[nn.Module] = []
        width_in = width
        for stage, growth in enumerate(_GROWTH):
            blocks.append(_Residual(width_in, growth * width, stride=2 if stage else 1))
            width_in = growth * width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width_in, n_labels))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        over_time = self.blocks(self.stem(features)).mean(dim=-2)
        pooled = torch.cat([over_time.mean(dim=-1), over_time.amax(dim=-1)], dim=1)
        logits: Tensor = self.head(pooled)
        return logits

    def stages(self) -> list[nn.Module]:
        """Return all that learns, from the sound to the answer."""
        return [self.stem, *self.blocks, self.head]


class _Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut; where sizes differ, the shortcut averages, then projects."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(width)
        nn.init.zeros_(last.weight)  # so that the block begins as its shortcut, and gradients pass
        self.branch = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            last,
        )
        shortcut: list[nn.Module] = []
        if stride > 1:
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if width_in != width:
            shortcut += [nn.Conv2d(width_in, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.branch(maps) + self.shortcut(maps)
        return result.relu()
