"""A network's forward pass, looked at before it is trained: its layers that multiply, and their answers."""

import torch
from torch import Tensor, nn

from soundfold.models import Classifier

__all__ = ["has_map_of_one_frame", "operations", "prepared_clip"]


def prepared_clip(classifier: Classifier) -> Tensor:
    """Return a clip of zeros as a classifier's network takes it."""
    return classifier.prepare(torch.zeros(1, *classifier.features.shape))


def operations(network: nn.Module, batch: Tensor) -> int:
    """Return the multiplications and additions of a network's convolutions and products in a forward pass."""
    answers = _answers(network, batch)
    return sum(2 * shape.numel() * layer.get_parameter("weight")[0].numel() for layer, shape in answers)


def has_map_of_one_frame(classifier: Classifier) -> bool:
    """Return whether a convolution of the network answers with a map that is one frame wide."""
    answers = _answers(classifier.network, prepared_clip(classifier))
    return any(isinstance(layer, nn.Conv2d) and shape[-1] == 1 for layer, shape in answers)


def _answers(network: nn.Module, batch: Tensor) -> list[tuple[nn.Module, torch.Size]]:
    """Return convolutions and linear layers in the order of a forward pass, each with its answer's shape."""
    met: list[tuple[nn.Module, torch.Size]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, _, answer: met.append((layer, answer.shape)))
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.inference_mode():
        network.eval()(batch)
    for hook in hooks:
        hook.remove()
    return met
