"""How the learning rate changes from step to step; each group of parameters keeps its own factor of it."""

import math

import torch

from soundfold.recipe import Recipe

__all__ = ["build_schedule", "rate_factor"]


def build_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the schedule of an optimiser's settings.

    Args:
        optimizer: what it sets; the largest rate of each group is the one that the group has now.
        recipe: the settings.
        steps: steps an epoch.

    References:
        Smith and Topin (2018), "Super-convergence: Very fast training of neural networks using large learning rates",
        arXiv:1708.07120. Loshchilov and Hutter (2017), "SGDR: Stochastic gradient descent with warm restarts", ICLR;
        here without restarts.
    """
    settings = recipe.training
    total = steps * settings.epochs
    if settings.schedule == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=total,
            anneal_strategy="linear",
            # Adam's goes down as the rate goes up; with sgd it is a setting, and stays what was asked for
            cycle_momentum=settings.optimizer != "sgd",
        )
    if settings.schedule == "constant" and not settings.warmup:
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    warmup = round(settings.warmup * total)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(settings.schedule, step, warmup, total)
    )


def rate_factor(schedule: str, step: int, warmup: int, total: int) -> float:
    """Return the part of the largest rate that a step takes.

    Args:
        schedule: cosine, linear or constant.
        step: from 0.
        warmup: steps of the rise from nearly nothing, in a straight line.
        total: steps of the whole training. A fall reaches nothing after the last step, so that each one counts.

    >>> [rate_factor("linear", step, 3, 7) for step in range(7)]
    [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    gone = min(1.0, (step - warmup) / max(1, total - warmup))
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * gone))
    return 1.0 - gone if schedule == "linear" else 1.0
