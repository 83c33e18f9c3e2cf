"""The optimiser of a training: which parameters it changes, at which rate, and which of them decay."""

from typing import Any

import torch
from torch import nn

from soundfold.recipe import Recipe, TrainingRecipe
from soundfold.training.stages import stages_of

__all__ = ["build_optimizer", "parameter_groups"]


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of a network; its first group is the head's, or the only one.

    Fused steps go over each parameter once, in one call.

    References:
        Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", ICLR. Loshchilov and Hutter (2019),
        "Decoupled Weight Decay Regularization", ICLR. Sutskever et al. (2013), "On the importance of initialization
        and momentum in deep learning", ICML.
    """
    settings = recipe.training
    groups = parameter_groups(network, settings)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr, weight_decay=0.0, fused=True)
    if settings.optimizer == "sgd":
        momentum = settings.momentum
        return torch.optim.SGD(groups, lr=settings.lr, momentum=momentum, nesterov=momentum > 0, fused=True)
    return torch.optim.Adam(groups, lr=settings.lr, fused=True)


def parameter_groups(network: nn.Module, settings: TrainingRecipe) -> list[dict[str, Any]]:
    """Return what learns, in groups of one rate and one weight decay each, the head's first.

    The last stage learns at `lr · head_lr`; the one before it at `lr · layer_decay`, the one before that at
    `lr · layer_decay²`, and so on. Parameters of one dimension, biases and those of normalisation, never decay: they
    set a level, and do not make the network more complex. What stands in no stage counts to the first.
    """
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if settings.layer_decay == settings.head_lr == 1 and not settings.weight_decay:
        return [{"params": learned, "lr": settings.lr}]
    stages = stages_of(network)
    place = {id(parameter): at for at, stage in enumerate(stages) for parameter in stage.parameters()}
    depth = [len(stages) - 1 - place.get(id(parameter), 0) for parameter in learned]  # 0 is the head
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for below in sorted(set(depth)):
        factor = settings.layer_decay**below if below else settings.head_lr
        for parameter, mine in zip(learned, depth, strict=True):
            if mine != below:
                continue
            decays = parameter.ndim > 1 and settings.weight_decay > 0
            group = groups.setdefault(
                (factor, decays),
                {
                    "params": [],
                    "lr": settings.lr * factor,
                    "weight_decay": settings.weight_decay if decays else 0.0,
                },
            )
            group["params"].append(parameter)
    return list(groups.values())
