"""A network and a regression on the texture of the same sound, which answer together.

They err in different ways: the network knows events and their shapes, the regression what goes on all through the clip.
The regression is fitted before the network learns, and stays as it is. In training the network answers alone; it would
have nothing left to learn beside a regression that already knows its training clips by heart.
"""

from torch import Tensor, nn

from soundfold.models.linear import LinearNet
from soundfold.models.residual import ResidualNet

__all__ = ["TexturedNet"]

_NETWORK_S = 0.03
"""What a frame of the network's lasts, about. Texture needs more of them, to hear beats of 50 Hz; shapes do not."""


class TexturedNet(nn.Module):
    """Spectrograms (batch, channels, n_mels, frames) → logits (batch, n_labels): in training the network's alone.

    Args:
        network: learns.
        regression: fitted elsewhere, on the texture of the same spectrograms.
        hop_s: seconds from one frame to the next; the network is given the means of as many as make about 30 ms.
        say: the regression's part in the mean of both logits, 0 to 1.
    """

    def __init__(self, network: ResidualNet, regression: LinearNet, hop_s: float, say: float) -> None:
        super().__init__()
        self.say = say
        self.frames = max(1, round(_NETWORK_S / hop_s))
        self.network = network
        self.regression = regression.requires_grad_(requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.network(nn.functional.avg_pool2d(features, (1, min(self.frames, features.shape[-1]))))
        if self.training:
            return logits
        told: Tensor = self.regression(features)
        return (1 - self.say) * logits + self.say * told

    def stages(self) -> list[nn.Module]:
        """Return all that learns, from the sound to the answer."""
        return self.network.stages()
