"""What a model answers: the label of a sound, or all of its labels, with the probabilities, and window by window."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Prediction", "Span"]


@dataclass(frozen=True)
class Span:
    """The answer for one window of a sound."""

    start_s: float
    end_s: float
    label: str
    probability: float
    probabilities: dict[str, float]
    labels: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the window as JSON tells it."""
        told: dict[str, Any] = {"start_s": self.start_s, "end_s": self.end_s, "label": self.label}
        told["probability"] = self.probability
        return told if self.labels is None else {**told, "labels": list(self.labels)}


@dataclass(frozen=True)
class Prediction:
    """The answer for a sound: the mean over its windows, weighted by the sound each holds.

    Attributes:
        path: where the sound came from; "" for an array.
        label, probability: the likeliest class.
        probabilities: of every class, in the model's order; they sum to 1, unless the model answers with several
            labels: each then has one of its own.
        duration_s: length of the sound.
        timeline: the answer of each window, in order.
        labels: all above 0.5, the likeliest first, of a model that answers with several; None of another.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]
    duration_s: float
    timeline: tuple[Span, ...]
    labels: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what `predict --json` prints of a sound; the timeline only where there is more than one window."""
        answer: dict[str, Any] = {
            "path": self.path,
            "label": self.label,
            "probability": self.probability,
            "probabilities": self.probabilities,
            "duration_s": self.duration_s,
        }
        if len(self.timeline) > 1:
            answer["timeline"] = [span.as_dict() for span in self.timeline]
        return answer if self.labels is None else {**answer, "labels": list(self.labels)}
