"""Holding a network near the weights that it started with, where these know more than a few clips can teach."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["Anchor"]


class Anchor:
    """Half the squared distance to the starting weights, times a factor, as a part of the loss.

    Only its gradient is ever worked out, factor · (weight − start); the loss that is told leaves it out.

    Args:
        network: as it starts, on its device and in its number format; all that learns is held.
        weight: the factor.

    References:
        Li, Grandvalet and Davoine (2018), "Explicit inductive bias for transfer learning with convolutional networks",
        ICML: L²-SP.
    """

    def __init__(self, network: nn.Module, weight: float) -> None:
        self._weight = weight
        held = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
        self._names, self._parameters = list(held), list(held.values())
        self._start = [parameter.detach().clone() for parameter in self._parameters]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The starting weights by the names of the network's parameters."""
        return dict(zip(self._names, self._start, strict=True))

    @torch.no_grad()
    def pull(self) -> None:
        """Add the gradient to what the parameters have."""
        for parameter, start in zip(self._parameters, self._start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter - start, alpha=self._weight)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Hold on to an earlier start.

        Raises:
            KeyError, RuntimeError: a name is missing, or a shape does not fit.
        """
        for name, start in self.tensors.items():
            start.copy_(tensors[name])
