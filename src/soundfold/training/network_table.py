"""Networks of one architecture as the rows of tables, so that one operation works on all of them.

The networks themselves go on existing: their weights and batch statistics become views of their rows. Whoever holds
one, to look at held-out clips with it or to save it, always finds its latest values.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["NetworkTable"]


class _Place(NamedTuple):
    """Where a parameter stands in its network's row, and in which order its values lie there."""

    begin: int
    end: int
    order: tuple[int, ...]  # its axes as they follow each other in memory
    shape: tuple[int, ...]  # in that order
    back: tuple[int, ...]  # the axes of what lies in memory, in the parameter's own order


class NetworkTable:
    """Weights of several networks, a row a network, and what else they hold.

    Attributes:
        weights: (networks, values) all values that are learned, one parameter after another.
        kept: name → (networks, …): batch statistics, and parameters that are not learned.

    Args:
        networks: alike but for their values.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self._places: dict[str, _Place] = {}
        end = 0
        for name, parameter in _learned(networks[0]):
            begin, end = end, end + parameter.numel()
            # in the parameter's own order in memory, which convolutions in channels-last go by
            strides = parameter.stride()
            order = tuple(sorted(range(parameter.ndim), key=lambda axis: -strides[axis]))
            back = tuple(sorted(range(parameter.ndim), key=lambda place: order[place]))
            shape = tuple(parameter.shape[axis] for axis in order)
            self._places[name] = _Place(begin, end, order, shape, back)
        with torch.no_grad():
            self.weights = torch.cat([self.row(dict(_learned(network))) for network in networks])
            kept = [dict(_kept(network)) for network in networks]
            self.kept = {name: torch.stack([mine[name] for mine in kept]) for name in kept[0]}
        for row, network in enumerate(networks):
            for name, view in self.views(self.weights, slice(row, row + 1)).items():
                network.get_parameter(name).data = view[0]
            for name, tensor in _kept(network):
                tensor.data = self.kept[name][row]

    @property
    def names(self) -> list[str]:
        """The parameters that are learned."""
        return list(self._places)

    def row(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return one network's tensors, shaped like its parameters, as a table of one row."""
        return self.rows({name: tensor[None] for name, tensor in tensors.items()})

    def rows(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return tensors (networks, …), shaped like the parameters of each, as a table (networks, values)."""
        parts = [
            tensors[name].permute(0, *(axis + 1 for axis in place.order)).flatten(1)
            for name, place in self._places.items()
        ]
        return torch.cat(parts, dim=1)

    def views(self, table: Tensor, rows: slice) -> dict[str, Tensor]:
        """Return the values of some networks in a table like `weights` by name, each (networks, …), as views."""
        mine = table[rows]
        return {
            name: mine[:, place.begin : place.end]
            .view(len(mine), *place.shape)
            .permute(0, *(axis + 1 for axis in place.back))
            for name, place in self._places.items()
        }


def _learned(network: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad)


def _kept(network: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from network.named_buffers()
    yield from ((name, parameter) for name, parameter in network.named_parameters() if not parameter.requires_grad)
