"""Scores by class, and their mean, from sums of counts. For clips of one label and of several alike.

The counts of a class are its right clips, the clips that bear it, and those that were told it. They stand side by side,
`(…, 3 · classes)`: the right ones class by class, then those that bear it, then those told it. Whoever draws recordings
anew has but to sum their rows, and the score of the sums is that of the drawing.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from soundfold.evaluation.intervals import where_all_are_alike
from soundfold.evaluation.results import ClassScore, Interval

__all__ = ["class_scores", "macro_f1", "recalls"]

Numbers = npt.NDArray[np.float64]


def macro_f1(sums: Numbers) -> Numbers:
    """Return (resamples, 1): the mean of F1 over the classes that occur, of (resamples, 3 · classes) sums of counts.

    F1 = 2 · right / (true + predicted), the harmonic mean of precision and recall; 0 where both counts are 0.

    >>> macro_f1(np.array([[3.0, 1, 0, 4, 2, 0, 4, 1, 1]])).round(4)  # two classes occur, the third was only told
    array([[0.7083]])
    """
    right, true, predicted = np.split(sums, 3, axis=1)
    occurs = true > 0
    f1 = 2 * right / np.maximum(true + predicted, 1)
    mean: Numbers = (f1 * occurs).sum(axis=1, keepdims=True) / np.maximum(occurs.sum(axis=1, keepdims=True), 1)
    return mean


def recalls(sums: Numbers) -> Numbers:
    """Return (resamples, classes) recalls of (resamples, 3 · classes) sums of counts; NaN where none bears the class.

    >>> recalls(np.array([[3.0, 0, 4, 0, 4, 1]]))
    array([[0.75,  nan]])
    """
    right, true, _ = np.split(sums, 3, axis=1)
    return np.where(true > 0, right / np.maximum(true, 1), np.nan)


def class_scores(
    labels: Sequence[str],
    counts: npt.NDArray[np.int64],
    intervals: Sequence[Interval] | None,
    precisions: Numbers | None = None,
    unknown: int = 0,
) -> tuple[ClassScore, ...]:
    """Return the scores of each class.

    Args:
        labels: the classes.
        counts: (recordings, 3 · classes), one row a recording.
        intervals: of `recalls`, one a class, as `bootstrap_interval` gives them.
        precisions: (classes,) average precisions, NaN where there is none; None for clips of one label.
        unknown: so many of the last labels the model does not know, so that no clip of theirs can be found.
    """
    right, true, predicted = np.split(counts.sum(axis=0).astype(np.float64), 3)
    recall, recordings = right / np.maximum(true, 1), (np.split(counts, 3, axis=1)[1] > 0).sum(axis=0)
    known = len(labels) - unknown
    return tuple(
        ClassScore(
            label=label,
            n=int(true[k]),
            recordings=int(recordings[k]),
            precision=float(right[k] / max(predicted[k], 1)),
            recall=float(recall[k]),
            recall_ci95=_told(intervals[k], float(recall[k]), int(recordings[k]), k < known) if intervals else None,
            f1=float(2 * right[k] / max(true[k] + predicted[k], 1)),
            average_precision=float(precisions[k]) if precisions is not None and np.isfinite(precisions[k]) else None,
        )
        for k, label in enumerate(labels)
    )


def _told(interval: Interval, recall: float, recordings: int, is_known: bool) -> Interval | None:
    """Return an interval of a class's recall; None where fewer than two of its recordings could be drawn anew."""
    if recordings < 2 or not np.isfinite(interval[0]):
        return None
    return where_all_are_alike(interval, recall, recordings) if is_known else interval
