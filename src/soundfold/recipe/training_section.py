"""The recipe's section `training`: how the network is fitted, and which of it goes together.

What cannot work is refused before any work begins.
"""

from typing import Literal

from pydantic import Field

from soundfold.recipe.section import Section

__all__ = ["TrainingRecipe", "check_training"]

Precision = Literal["auto", "32-true", "bf16-mixed", "bf16-true", "64-true"]

_OFF = {
    "warmup": 0, "weight_decay": 0, "head_lr": 1, "layer_decay": 1, "freeze": 0, "anchor": 0,
    "sampling": "each", "label_smoothing": 0, "accumulate": 1, "clip_norm": 0, "average": 0,
}  # fmt: skip
"""What is done step by step, and its value when it is not done: nothing of it for what is solved in one go."""


class TrainingRecipe(Section):
    """How the network is fitted."""

    labels: Literal["auto", "one", "several"] = Field(
        "auto",
        description="how many a clip bears; one: a class; several: any number; auto: several where a cell of a table "
        "parts them with ; or holds a list",
    )
    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(16, ge=1, le=65_536, description="clips per batch, over all devices together")
    accumulate: int = Field(
        1, ge=1, le=65_536, description="batches a step; its loss is the mean over the clips of all of them"
    )
    optimizer: Literal["adam", "adamw", "sgd", "lbfgs"] = Field(
        "adam",
        description="the optimiser; lbfgs: a head fitted in one go, see head_fit, for model.name = linear",
    )
    head_fit: Literal["logistic", "discriminant"] = Field(
        "logistic",
        description="how a linear head is fitted in one go; logistic: regression, see c; discriminant: linear "
        "discriminant analysis, shrunk and as sure as recordings that it has not met allow",
    )
    c: float = Field(0.01, gt=0, le=1e6, description="logistic: weight of the data against the size of the weights")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd: Nesterov's momentum; 0: none")
    weight_decay: float = Field(
        0.0, ge=0, le=10, description="adamw, sgd: weights shrink by rate times this; biases and normalisation do not"
    )
    sampling: Literal["each", "balanced"] = Field(
        "each", description="each: every clip once an epoch; balanced: as many clips, all classes equally often"
    )
    weighting: Literal["none", "classes", "recordings"] = Field(
        "none",
        description="what a clip counts in the loss; classes: all classes alike; recordings: classes alike, and a clip "
        "less the more clips its recording has",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="part of each target that is divided among all labels")
    lr: float = Field(0.001, gt=0, le=10, description="learning rate, the largest one of a schedule")
    schedule: Literal["one_cycle", "cosine", "linear", "constant"] = Field(
        "one_cycle",
        description="one_cycle: up to lr and down to nearly nothing, linearly; cosine, linear: from lr down to nothing "
        "along half a cosine or a line; constant: lr throughout",
    )
    warmup: float = Field(
        0.0, ge=0, le=1, description="cosine, linear, constant: part of all steps that first rise to lr in a line"
    )
    head_lr: float = Field(1.0, gt=0, le=1000, description="factor of lr for the last stage of the network")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor of lr from each stage of the network to the one before it; 1: lr for all"
    )
    freeze: int = Field(
        0, ge=0, le=1000, description="stages, from the input, that do not learn; their batch statistics stay too"
    )
    anchor: float = Field(
        0.0, ge=0, le=100, description="weight of half the squared distance to the starting weights in the loss"
    )
    trial: bool = Field(
        False,
        description="for model.start = probe: learn on only if that pays on a fifth of the training recordings that a "
        "first training leaves out; else the network stays as it began",
    )
    clip_norm: float = Field(0.0, ge=0, le=1e6, description="largest norm of a step's gradient; 0: any")
    average: float = Field(
        0.0, ge=0, lt=1, description="what a running mean of the weights keeps of itself a step; 0: the last weights"
    )
    precision: Precision = Field(
        "auto",
        description="number format of the computation, in Fabric's words; auto: bf16-mixed on processors that have it",
    )
    validate_every: int = Field(5, ge=1, description="epochs from one look at the held-out clips to the next")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything random")


def check_training(training: TrainingRecipe, model: str) -> None:
    """Hold the settings of training against each other, and against the kind of network.

    Args:
        training: the section.
        model: `model.name`.

    Raises:
        ValueError: two settings contradict each other; the message names both and the mend.
    """
    optimizer = training.optimizer
    if (model == "linear") != (optimizer == "lbfgs"):
        raise ValueError(
            f"training.optimizer must be lbfgs with model.name = linear, and only there, got {optimizer} with {model}. "
            f"Change one of them"
        )
    if optimizer == "lbfgs":
        for name, off in _OFF.items():
            if getattr(training, name) != off:
                raise ValueError(
                    f"training.{name} must be {off} with training.optimizer = lbfgs, which takes no steps, "
                    f"got {getattr(training, name)}. Say training.{name}={off}"
                )
    if training.weight_decay and optimizer == "adam":
        raise ValueError(
            f"training.weight_decay must be 0 with training.optimizer = adam, got {training.weight_decay:g}. "
            f"Set training.optimizer to adamw, or leave it out"
        )
    if training.warmup and training.schedule == "one_cycle":
        raise ValueError(
            f"training.warmup must be 0 with training.schedule = one_cycle, which rises by itself, "
            f"got {training.warmup:g}. Set training.schedule to cosine, linear or constant, or leave it out"
        )
    if training.sampling == "balanced" and training.weighting != "none":
        raise ValueError(
            f"training.weighting must be none with training.sampling = balanced, which lets all classes count alike "
            f"by itself, got {training.weighting}. Leave one of them out"
        )
