"""What layers have in common that stand in for torch's own while a network trains: how they are put in their place."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["batch_norm_like", "move_statistics", "replace_layers"]

_Layer = TypeVar("_Layer", bound=nn.Module)
_Norm = TypeVar("_Norm", bound=nn.BatchNorm2d)


def replace_layers(
    module: nn.Module,
    kind: type[_Layer],
    make: Callable[[_Layer], nn.Module | None],
    *,
    spare: Callable[[nn.Module], bool] = lambda _: False,
) -> None:
    """Replace layers anywhere inside a module.

    Args:
        module: is changed in place.
        kind: of the layers, this very class; layers of classes derived from it are left.
        make: layer → what shall stand in its place; None to leave it.
        spare: tells what is left whole, with all that is inside.
    """
    for name, child in module.named_children():
        made = make(child) if type(child) is kind else None
        if made is not None:
            setattr(module, name, made)
        elif not spare(child):
            replace_layers(child, kind, make, spare=spare)


def batch_norm_like(layer: nn.BatchNorm2d, kind: type[_Norm]) -> _Norm:
    """Return batch normalisation of another class with a layer's settings, weights and statistics."""
    norm = kind(layer.num_features, layer.eps, layer.momentum)
    norm.load_state_dict(layer.state_dict())
    return norm


@torch.no_grad()
def move_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move a layer's running statistics towards those of a batch, as `torch.nn.BatchNorm2d` does.

    Args:
        norm: is changed in place.
        mean, variance: (channels,) of the batch, the variance over one pixel less than there are.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    momentum = norm.momentum if norm.momentum is not None else 0.1
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)
    norm.num_batches_tracked += 1
