"""The network of the tutorial: four strided convolutions, about 25 thousand parameters."""

from torch import Tensor, nn

__all__ = ["TutorialNet"]

_WIDTHS = (8, 16, 32, 64)
_KERNELS = (5, 3, 3, 3)


class TutorialNet(nn.Module):
    """Spectrograms (batch, channels, n_mels, frames) → logits (batch, n_labels).

    Each block is convolution (stride 2) → ReLU → batch normalisation, in the tutorial's order; weights start
    Kaiming-normal (a = 0.1), biases at zero. Pooling is over all that is left, so any size of spectrogram fits.
    """

    def __init__(self, channels: int, n_labels: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        width_in = channels
        for width, kernel in zip(_WIDTHS, _KERNELS, strict=True):
            convolution = nn.Conv2d(width_in, width, kernel, stride=2, padding=kernel // 2)
            nn.init.kaiming_normal_(convolution.weight, a=0.1)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            blocks += [convolution, nn.ReLU(), nn.BatchNorm2d(width)]
            width_in = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width_in, n_labels)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.blocks(features).mean(dim=(-2, -1)))
        return logits
