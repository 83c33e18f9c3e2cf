"""What a model answers: the label of a sound, or all of its labels, with the probabilities, and window by window.

A calibrated model may say that it does not know a sound. Its label is then `UNKNOWN`, `nearest` names the likeliest
class, and the probabilities are what they would be without that. Whether a sound is unknown, `nearest` tells and not
the label: a class may be called "unknown" too.
"""

from dataclasses import dataclass
from typing import Any

from soundfold.runtime.events import Event

__all__ = ["UNKNOWN", "Prediction", "Span"]

UNKNOWN = "unknown"
"""The label of a sound that is none of the model's classes, or not surely enough."""


@dataclass(frozen=True)
class Span:
    """The answer for one window of a sound; its fields mean what those of a `Prediction` do.

    `silent` says that there is nothing to hear in it. `latency_s` only a stream tells: the seconds from the moment when
    the window's last sample was there to its answer.
    """

    start_s: float
    end_s: float
    label: str
    probability: float
    probabilities: dict[str, float]
    labels: tuple[str, ...] | None = None
    nearest: str | None = None
    silent: bool = False
    latency_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the window as JSON tells it."""
        told: dict[str, Any] = {"start_s": self.start_s, "end_s": self.end_s, "label": self.label}
        more: dict[str, Any] = {"silent": True} if self.silent else {}
        late = {} if self.latency_s is None else {"latency_s": self.latency_s}
        return {**told, "probability": self.probability, **_told_if_there(self), **more, **late}


@dataclass(frozen=True)
class Prediction:
    """The answer for a sound: the mean over its windows, weighted by the sound each holds. Windows that the model's
    rule for unknown sounds refuses have no say in it, nor have silent ones, unless there are no others.

    Attributes:
        path: where the sound came from; "" for an array.
        label, probability: the likeliest class; the label is `UNKNOWN` where the model does not know the sound, and the
            probability is that of `nearest` then.
        probabilities: of every class, in the model's order; they sum to 1, unless the model answers with several
            labels: each then has one of its own.
        duration_s: length of the sound.
        timeline: the answer of each window, in order.
        labels: all above their thresholds (0.5, where the model was not given others), the likeliest first, of a model
            that answers with several; None of another.
        nearest: the likeliest class of a sound that the model does not know; None of one that it knows.
        events: the windows joined into what was heard from when to when, in order; see `runtime.events`.
    """

    path: str
    label: str
    probability: float
    probabilities: dict[str, float]
    duration_s: float
    timeline: tuple[Span, ...]
    labels: tuple[str, ...] | None = None
    nearest: str | None = None
    events: tuple[Event, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what `predict --json` prints of a sound; the timeline only where there is more than one window."""
        answer: dict[str, Any] = {
            "path": self.path,
            "label": self.label,
            "probability": self.probability,
            "probabilities": self.probabilities,
            "duration_s": self.duration_s,
            "events": [event.as_dict() for event in self.events],
        }
        if len(self.timeline) > 1:
            answer["timeline"] = [span.as_dict() for span in self.timeline]
        return {**answer, **_told_if_there(self)}


def _told_if_there(answer: Prediction | Span) -> dict[str, Any]:
    """Return what only some answers have."""
    several = {} if answer.labels is None else {"labels": list(answer.labels)}
    return several if answer.nearest is None else {**several, "nearest": answer.nearest}
