"""The recipe's section `training`: how the network is fitted."""

from typing import Literal

from pydantic import Field

from soundfold.recipe.section import Section

__all__ = ["TrainingRecipe"]

Precision = Literal["auto", "32-true", "bf16-mixed", "bf16-true", "64-true"]


class TrainingRecipe(Section):
    """How the network is fitted."""

    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(16, ge=1, le=65_536, description="clips per step, over all devices together")
    optimizer: Literal["adam", "lbfgs"] = Field(
        "adam", description="the optimiser; lbfgs: logistic regression solved in one go, for model.name = linear"
    )
    c: float = Field(0.01, gt=0, le=1e6, description="lbfgs: weight of the data against the size of the weights")
    weighting: Literal["none", "classes", "recordings"] = Field(
        "none",
        description="what a clip counts in the loss; classes: all classes alike; recordings: classes alike, and a clip "
        "less the more clips its recording has",
    )
    lr: float = Field(0.001, gt=0, le=10, description="learning rate, the largest one of a schedule")
    schedule: Literal["one_cycle", "constant"] = Field(
        "one_cycle", description="one_cycle: up to lr and down to nearly nothing, linearly; constant: lr throughout"
    )
    precision: Precision = Field(
        "auto",
        description="number format of the computation, in Fabric's words; auto: bf16-mixed on processors that have it",
    )
    validate_every: int = Field(5, ge=1, description="epochs from one look at the held-out clips to the next")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything random")
