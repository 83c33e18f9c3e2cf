"""What a model file knows of its own trust: how its probabilities were calibrated, and when it says "unknown"."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

__all__ = ["TOLD_FROM", "Calibration", "Rejection", "rejection_features"]

TOLD_FROM = 0.5
"""Probability from which a label is heard where a model was given no thresholds, as `evaluation.predictions` has it."""

_LEAST = 1e-7  # of a probability in a logarithm: about what float32 tells from 0

Numbers = tuple[FiniteFloat, ...]


def rejection_features(probabilities: np.ndarray) -> np.ndarray:
    """Return what a rule for unknown sounds looks at: ln p (…, labels), its mean taken off each row.

    The same as the logits up to a constant, so that nothing but a file's answer is needed.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST))
    centred: np.ndarray = logits - logits.mean(axis=-1, keepdims=True)
    return centred


class Rejection(BaseModel):
    """A rule for unknown sounds: z = (features - centre) / spread, and what it looks at are z, z², and zᵢ·zⱼ for i < j.

    A sound is known where linear · z + square · z² + product · (z₀z₁, z₀z₂, …, z₁z₂, …) ≥ threshold.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    centre: Numbers
    spread: Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], Field(min_length=1)]
    linear: Numbers
    square: Numbers
    product: Numbers = Field(default=(), description="of each pair of labels, row by row; empty for none")
    threshold: FiniteFloat
    false_alarms_per_hour: float = Field(ge=0, description="windows of background told to be a class")
    by_window: bool = Field(
        default=False,
        description="it judges windows alone, and those that it refuses have no say in a longer sound; the rules of "
        "earlier files judge the mean over all",
    )

    @model_validator(mode="after")
    def _fit(self) -> "Rejection":
        if len({len(self.centre), len(self.spread), len(self.linear), len(self.square)}) > 1:
            raise ValueError("a rule must have a number for each label")
        labels = len(self.centre)
        if len(self.product) not in (0, labels * (labels - 1) // 2):
            raise ValueError("a rule must have a number for each pair of labels, or for none")
        return self

    def scores(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the score of each row of probabilities (…, labels): the higher, the surer it is a known sound."""
        z = (rejection_features(probabilities) - np.array(self.centre)) / np.array(self.spread)
        found: np.ndarray = z @ np.array(self.linear) + z**2 @ np.array(self.square)
        if self.product:
            first, second = np.triu_indices(z.shape[-1], 1)
            found = found + (z[..., first] * z[..., second]) @ np.array(self.product)
        return found

    def is_unknown(self, row: np.ndarray) -> bool:
        """Tell whether a window or sound with these probabilities (labels,) is none of the classes."""
        return bool(self.scores(row) < self.threshold)


class Calibration(BaseModel):
    """How far a model's answers can be trusted, fitted on answers for recordings that their network had never met.

    The temperature is part of the graph: every program that runs the file gets calibrated probabilities.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    temperature: float = Field(gt=0, allow_inf_nan=False, description="what the logits are divided by, in the graph")
    fitted_on: str = Field("", description="the answers that all of this was fitted on")
    ece_before: float | None = Field(default=None, description="calibration error as the networks answered")
    ece_after: float | None = Field(default=None, description="with the temperature of other folds")
    precision: float | None = Field(default=None, gt=0, lt=1, description="precision that the thresholds were made for")
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="probability from which a label is told; above 1, never"
    )
    rejection: Rejection | None = Field(default=None, description='when to say "unknown"; None for never')
