"""From probabilities to what is told: the likeliest label, all labels above their thresholds, or "unknown"."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soundfold.runtime.answer import UNKNOWN, Span
from soundfold.runtime.calibration import TOLD_FROM
from soundfold.runtime.card import ModelCard

__all__ = ["Verdict", "judge", "judge_sound", "span_of"]


class Verdict(NamedTuple):
    """What is told of a row of probabilities; the fields are those of `Prediction`."""

    label: str
    probability: float
    labels: tuple[str, ...] | None
    nearest: str | None


def judge(card: ModelCard, row: np.ndarray, *, silent: bool = False) -> Verdict:
    """Return what a model tells by its probabilities (labels,) of a window, or of a sound.

    A model of several labels that tells none of them does not know the sound; "unknown" is then an empty `labels`.
    Nothing is told of what is silent (see `runtime.silence`).
    """
    best = int(row.argmax())
    label, probability = card.labels[best], float(row[best])
    calibration = card.calibration
    thresholds = {} if calibration is None else calibration.thresholds
    if silent:
        return Verdict(UNKNOWN, probability, () if card.answer == "several" else None, label)
    if card.answer == "several":
        order = np.argsort(-row, kind="stable")
        told = tuple(card.labels[k] for k in order if row[k] > thresholds.get(card.labels[k], TOLD_FROM))
        return Verdict(label, probability, told, None)
    rule = None if calibration is None else calibration.rejection
    if probability < thresholds.get(label, 0.0) or (rule is not None and rule.is_unknown(row)):
        return Verdict(UNKNOWN, probability, None, label)
    return Verdict(label, probability, None, None)


def judge_sound(card: ModelCard, mean: np.ndarray, spans: Sequence[Span]) -> Verdict:
    """Return what a model tells of a whole sound: what its windows' mean says, but nothing if it knows none of them.

    Args:
        card: the model's.
        mean: (labels,) probabilities of the windows that are not silent, or of all if all are.
        spans: the windows.
    """
    verdict = judge(card, mean, silent=all(span.silent for span in spans))
    if card.answer == "one" and verdict.nearest is None and all(span.nearest is not None for span in spans):
        return Verdict(UNKNOWN, verdict.probability, None, verdict.label)
    return verdict


def span_of(card: ModelCard, start: int, stop: int, row: np.ndarray, *, silent: bool = False) -> Span:
    """Return the answer for a window.

    Args:
        card: the model's.
        start, stop: its first sample and the one after its last, at the model's rate.
        row: (labels,) probabilities.
        silent: there is nothing to hear in it.
    """
    verdict = judge(card, row, silent=silent)
    return Span(
        start_s=start / card.sample_rate,
        end_s=stop / card.sample_rate,
        label=verdict.label,
        probability=verdict.probability,
        probabilities=dict(zip(card.labels, row.tolist(), strict=True)),
        labels=verdict.labels,
        nearest=verdict.nearest,
        silent=silent,
    )
