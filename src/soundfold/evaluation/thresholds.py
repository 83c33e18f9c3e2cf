"""The probability from which a label is told, so that a wished precision is reached, and the recall that this costs.

The lowest threshold is taken at which the clips told to bear the label are right as often as was wished. It is chosen
by looking, so what is told of it is cross-fitted: each part of the clips is judged with the thresholds (and the
temperature) of the others, and the precision that comes of it may well miss the wish.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.errors import DataError
from soundfold.evaluation.calibration import codes_of, cross_fitting_parts, fit_temperature, tempered, truth_of
from soundfold.evaluation.calibration_result import ThresholdScore
from soundfold.evaluation.intervals import bootstrap_interval, where_all_are_alike
from soundfold.evaluation.predictions import THRESHOLD, is_of_several, labels_in, probabilities_in

__all__ = ["NEVER", "check_precision", "fit_thresholds", "threshold_scores"]

NEVER = 2.0
"""No probability reaches it: the label is never told."""
_LEAST_TOLD = 5  # clips; a threshold that rests on fewer is luck

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def threshold_scores(table: pd.DataFrame, precision: float, *, temper: bool = True) -> tuple[ThresholdScore, ...]:
    """Return the threshold of each label for a wished precision, fitted on all clips, and what it does, cross-fitted.

    Args:
        table: out-of-fold predictions, as they came from the networks.
        precision: above 0 and below 1.
        temper: the answers will be divided by a temperature.

    Raises:
        DataError: the precision is out of range, or there is too little to leave a part out.
    """
    check_precision(precision)
    several, truth = is_of_several(table), truth_of(table)
    values = probabilities_in(table).astype(np.float64)
    candidates = _candidates(values, several)
    told = np.zeros_like(truth)
    for part in cross_fitting_parts(table)[0]:
        temperature = fit_temperature(values[~part], truth[~part], several=several) if temper else 1.0
        others = tempered(values[~part], temperature, several=several)
        thresholds = fit_thresholds(others, candidates[~part], truth[~part], precision)
        told[part] = candidates[part] & (tempered(values[part], temperature, several=several) > thresholds)
    final = fit_temperature(values, truth, several=several) if temper else 1.0
    thresholds = fit_thresholds(tempered(values, final, several=several), candidates, truth, precision)
    without = candidates & (values > THRESHOLD) if several else candidates
    recording = codes_of(table)
    return tuple(
        _score(label, float(thresholds[k]), told[:, k], without[:, k], truth[:, k], recording)
        for k, label in enumerate(labels_in(table))
    )


def check_precision(precision: float) -> None:
    """Raise a DataError unless labels can be right so often."""
    if not 0 < precision < 1:
        raise DataError(f"precision must be above 0 and below 1, got {precision:g}. Say 0.9 for nine right of ten told")


def fit_thresholds(values: Numbers, candidates: Flags, truth: Flags, precision: float) -> Numbers:
    """Return for each label the lowest threshold above which candidates are right as often as wished, or `NEVER`.

    Args:
        values: (n, labels) probabilities.
        candidates: (n, labels), whether the label would be told if there were no threshold.
        truth: (n, labels).
        precision: the wish, 0 to 1.
    """
    return np.array([
        _threshold(values[candidates[:, k], k], truth[candidates[:, k], k], precision) for k in range(values.shape[1])
    ])  # fmt: skip


def _threshold(values: Numbers, right: Flags, precision: float) -> float:
    order = np.argsort(-values, kind="stable")
    sorted_values, hits = values[order], np.cumsum(right[order])
    count = np.arange(1, len(order) + 1)
    ends = np.append(sorted_values[1:] < sorted_values[:-1], True) if len(order) else np.zeros(0, dtype=bool)
    fits = np.flatnonzero(ends & (count >= _LEAST_TOLD) & (hits >= precision * count))
    if not len(fits):
        return NEVER
    last = int(fits[-1])
    if last + 1 == len(order):
        return 0.0
    return float((sorted_values[last] + sorted_values[last + 1]) / 2)


def _candidates(values: Numbers, several: bool) -> Flags:
    if several:
        return np.ones(values.shape, dtype=bool)
    best: Flags = np.arange(values.shape[1])[None] == values.argmax(axis=1)[:, None]
    return best


def _score(
    label: str, threshold: float, told: Flags, without: Flags, truth: Flags, recording: npt.NDArray[np.int64]
) -> ThresholdScore:
    if threshold >= NEVER:  # whatever the thresholds of the others told, the file will tell nothing
        told = np.zeros_like(told)
    right = told & truth
    size = int(recording.max()) + 1
    counts = np.stack([np.bincount(recording, flags, size) for flags in (right, told)], axis=1).astype(np.int64)
    heard = counts[counts[:, 1] > 0]
    intervals = bootstrap_interval(heard, lambda sums: sums[:, :1] / sums[:, 1:]) if len(heard) else None
    n = max(int(truth.sum()), 1)
    precision = float(right.sum() / max(int(told.sum()), 1))
    return ThresholdScore(
        label=label,
        threshold=None if threshold >= NEVER else threshold,
        told=int(told.sum()),
        precision=precision if told.any() else None,
        precision_ci95=where_all_are_alike(intervals[0], precision, len(heard)) if intervals else None,
        recall=float(right.sum() / n),
        recall_without=float((without & truth).sum() / n),
    )
