"""From probabilities to what is told: the likeliest label, all labels above their thresholds, or "unknown"."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soundfold.runtime.answer import UNKNOWN, Span
from soundfold.runtime.calibration import TOLD_FROM
from soundfold.runtime.card import ModelCard

__all__ = ["Verdict", "has_no_say", "judge", "judge_sound", "span_of"]


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
    return _of_one(card, row, unknown=_is_refused(card, row))


def has_no_say(card: ModelCard, span: Span, row: np.ndarray) -> bool:
    """Tell whether a window, answered with these probabilities (labels,), has no say in what is told of a longer sound.

    What the rule refuses is unknown; so windows that are known, most of all, need not be held against it again.
    """
    return span.nearest is not None and _judges_windows(card) and _is_refused(card, row)


def judge_sound(card: ModelCard, mean: np.ndarray, spans: Sequence[Span]) -> Verdict:
    """Return what a model tells of a whole sound: what its windows' mean says, but nothing if it knows none of them.

    A rule for unknown sounds that judges windows is not asked about their mean: that of several sounds, one after the
    other, is like none of them.

    Args:
        card: the model's.
        mean: (labels,) probabilities of the windows that have a say; where there are none, of those that are not
            silent, or of all if all are.
        spans: the windows.
    """
    if card.answer == "several" or all(span.silent for span in spans):
        return judge(card, mean, silent=all(span.silent for span in spans))
    refused = not _judges_windows(card) and _is_refused(card, mean)
    return _of_one(card, mean, unknown=refused or all(span.nearest is not None for span in spans))


def _is_refused(card: ModelCard, row: np.ndarray) -> bool:
    return card.rejection is not None and card.rejection.is_unknown(row)


def _judges_windows(card: ModelCard) -> bool:
    """Tell whether a rule judges windows alone; the rules of earlier files judge their mean too."""
    return card.rejection is not None and card.rejection.by_window


def _of_one(card: ModelCard, row: np.ndarray, *, unknown: bool) -> Verdict:
    """Return what a model of one label tells by its probabilities (labels,); nothing below the label's threshold."""
    best = int(row.argmax())
    label, probability = card.labels[best], float(row[best])
    thresholds = {} if card.calibration is None else card.calibration.thresholds
    if unknown or probability < thresholds.get(label, 0.0):
        return Verdict(UNKNOWN, probability, None, label)
    return Verdict(label, probability, None, None)


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
