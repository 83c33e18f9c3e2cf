"""What a model file knows of its own trust: how its probabilities were calibrated, and when it says "unknown"."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Calibration"]


class Calibration(BaseModel):
    """How far a model's answers can be trusted, fitted on answers for recordings that their network had never met.

    The temperature is part of the graph: every program that runs the file gets calibrated probabilities.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    temperature: float = Field(gt=0, description="what the logits were divided by, in the graph")
    fitted_on: str = Field("", description="the answers that all of this was fitted on")
    precision: float | None = Field(default=None, gt=0, lt=1, description="precision that the thresholds were made for")
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="probability from which a label is told; above 1, never"
    )
