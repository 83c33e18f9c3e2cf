"""The running mean of a network's weights, which answers better on new sounds than the last step's weights do.

Batch statistics are averaged as the weights are: they belong to them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """An exponential moving average of all floating-point values that a network keeps.

    The mean is kept in float32 at least: steps of a thousandth are lost in 16 bits.

    Args:
        network: on its device and in its number format; its tensors must stay where they are.
        decay: what the mean keeps of itself in a step, 0 to 1. Early on it keeps less, (1 + t) / (10 + t) after t
            steps, so that the random start is soon forgotten.

    References:
        Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim.
        Tarvainen and Valpola (2017), "Mean teachers are better role models", NeurIPS.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        live = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
        self._names, self._live = list(live), list(live.values())
        self._mean = [tensor.to(torch.promote_types(tensor.dtype, torch.float32), copy=True) for tensor in self._live]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The averages by the names of the network's state dict."""
        return dict(zip(self._names, self._mean, strict=True))

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take the network as it is now into the mean.

        Args:
            steps: how many the optimiser has taken, this one included.
        """
        kept = min(self._decay, (1 + steps) / (10 + steps))
        live = [tensor.to(mean.dtype) for tensor, mean in zip(self._live, self._mean, strict=True)]
        torch._foreach_lerp_(self._mean, live, 1.0 - kept)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with an earlier mean.

        Raises:
            KeyError, RuntimeError: a name is missing, or a shape does not fit.
        """
        for name, mean in self.tensors.items():
            mean.copy_(tensors[name])

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """Put the mean in the network's place for a while."""
        with torch.no_grad():
            own = [tensor.clone() for tensor in self._live]
            torch._foreach_copy_(self._live, self._mean)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._live, own)
