"""Scores of clips that bear any number of labels, each label a question of its own; from a table of predictions.

Average precision asks how well a label's probabilities rank: with clips sorted by them, the most probable first, it is
the mean, over the clips that bear the label, of the share that bears it among all clips up to there. It needs no
threshold; by chance it is the share of clips that bear the label. Clips of equal probability stand at one place.
Precision, recall and F1 count a label as told where its probability is above 0.5.

References:
    Zhu (2004), "Recall, precision and average precision", University of Waterloo. The same as scikit-learn's
    `average_precision_score`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.evaluation.class_scores import class_scores, macro_f1, recalls
from soundfold.evaluation.intervals import RESAMPLES, bootstrap_interval, draw_recordings, fixed_generator, note_on_few
from soundfold.evaluation.predictions import THRESHOLD, labels_in, probabilities_in, truth_in, unknown_labels_in
from soundfold.evaluation.results import CvScores, FoldScore, Scores
from soundfold.wording import counted, natural_order

__all__ = [
    "average_precisions",
    "in_parts",
    "mean_precisions",
    "middle_of",
    "notes_on_recordings",
    "redrawn",
    "score_folds_of_several",
    "score_several",
]

_CELLS_AT_ONCE = 2_000_000  # 16 MB of weights
_MOST_CELLS, _FEWEST_RESAMPLES = 500_000_000, 200  # some ten seconds

Numbers = npt.NDArray[np.float64]


def average_precisions(probabilities: npt.ArrayLike, truth: npt.ArrayLike, weights: Numbers | None = None) -> Numbers:
    """Return the average precision of each label.

    Args:
        probabilities: (clips, labels), any numbers that rank.
        truth: (clips, labels), which labels each clip bears.
        weights: (draws, clips), how often each clip counts, whole numbers, in several countings; None: once each.

    Returns:
        (labels,), or (draws, labels); NaN where no clip bears the label.

    >>> average_precisions([[0.9], [0.8], [0.1]], [[True], [False], [True]]).round(4)
    array([0.8333])
    """
    ranks, borne = np.asarray(probabilities), np.asarray(truth, dtype=bool)
    each = np.ones((1, len(ranks))) if weights is None else weights
    # a row a clip, so that sums run over whole rows; whole numbers below 2^24 are exact in half the memory
    exact = np.float32 if each.sum(axis=1).max(initial=0) < 2**24 else np.float64
    counts = np.ascontiguousarray(each.T, dtype=exact)
    found = np.full((len(each), ranks.shape[1]), np.nan)
    for label in np.flatnonzero(borne.any(axis=0)):
        order = np.argsort(-ranks[:, label], kind="stable")
        ranked = ranks[order, label]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        hits = np.flatnonzero(borne[order, label])
        places, first = np.unique(ends[np.searchsorted(ends, hits)], return_index=True)
        listed = counts[order].cumsum(axis=0)[places]
        gained = np.add.reduceat(counts[order[hits]], first, axis=0).astype(np.float64)
        right = gained.cumsum(axis=0)
        total = right[-1]
        known = total > 0
        summed = (gained * right / np.maximum(listed, 1)).sum(axis=0)
        found[known, label] = summed[known] / total[known]
    return found[0] if weights is None else found


def score_several(
    table: pd.DataFrame, *, groups_known: bool, generator: np.random.Generator | None, resamples: int
) -> Scores:
    """Compute all scores of a table of predictions whose clips bear several labels; see `metrics.score`."""
    probabilities, truth, told = _answers(table)
    recording = np.unique(np.array(table["group"].tolist(), dtype=object), return_inverse=True)[1]
    counts = _counts_by_recording(truth, told, recording)
    precisions = average_precisions(probabilities, truth)
    intervals = bootstrap_interval(counts, _macro_f1_and_recalls, generator=generator, resamples=resamples)
    return Scores(
        accuracy=None,
        accuracy_ci95=None,
        mean_average_precision=_mean(precisions),
        mean_average_precision_ci95=_interval(probabilities, truth, recording, generator, resamples),
        n=len(table),
        n_recordings=int(recording.max()) + 1,
        interval_over="recordings" if groups_known else "files",
        macro_f1=float(macro_f1(counts.sum(axis=0)[None].astype(np.float64))[0, 0]),
        macro_f1_ci95=intervals[0] if intervals else None,
        labels=labels_in(table),
        unknown_labels=unknown_labels_in(table),
        per_class=class_scores(labels_in(table), counts, intervals[1:] if intervals else None, precisions),
        confusion=None,
        notes=_notes(table, truth, precisions, int(recording.max()) + 1, groups_known),
    )


def score_folds_of_several(table: pd.DataFrame, pooled: Scores, train_s: Mapping[str, float] | None) -> CvScores:
    """Compute the scores of a cross-validation whose clips bear several labels; see `metrics.score_folds`."""
    folds = []
    for name in natural_order(table["fold"].unique()):
        probabilities, truth, told = _answers(table[table["fold"] == name])
        counts = _counts_by_recording(truth, told, np.zeros(len(truth), dtype=np.int64))
        folds.append(
            FoldScore(
                fold=name,
                accuracy=None,
                mean_average_precision=_mean(average_precisions(probabilities, truth)),
                macro_f1=float(macro_f1(counts.astype(np.float64))[0, 0]),
                n=len(truth),
                train_s=None if train_s is None else train_s.get(name),
            )
        )
    found = [fold.mean_average_precision for fold in folds if fold.mean_average_precision is not None]
    mean = float(np.mean(found)) if found else None
    values: dict[str, Any] = dict(pooled) | {"mean_average_precision": mean}
    return CvScores(
        **values,
        mean_average_precision_std=float(np.std(found, ddof=1)) if len(found) > 1 else None,
        mean_average_precision_pooled=pooled.mean_average_precision,
        accuracy_mean=None,
        accuracy_std=None,
        accuracy_pooled=None,
        folds=tuple(folds),
    )


def notes_on_recordings(recordings: int, groups_known: bool) -> Iterator[str]:
    """Say in sentences what intervals rest on, where it is less than a reader would think."""
    if not groups_known:
        yield (
            "Nothing tells which clips come from one recording, so each file counts as its own; "
            "if some share a recording, the interval is too narrow."
        )
    what = "recording" if groups_known else "file"
    if recordings < 2:
        yield f"All clips come from one {what}, so there is no interval."
    yield from note_on_few(recordings, what)


def _answers(table: pd.DataFrame) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the probabilities, which labels each clip bears, and which are told; each (clips, labels)."""
    probabilities = probabilities_in(table)
    return probabilities, truth_in(table), probabilities > THRESHOLD


def mean_precisions(precisions: Numbers) -> Numbers:
    """Return the means (draws,) of average precisions (draws, labels) over the labels that occur; NaN without any."""
    known = np.isfinite(precisions)
    summed = np.where(known, precisions, 0.0).sum(axis=-1)
    return np.where(known.any(axis=-1), summed / np.maximum(known.sum(axis=-1), 1), np.nan)


def middle_of(draws: Sequence[Numbers]) -> tuple[float, float] | None:
    """Return the 95 % interval of what draws gave, unknown ones left out; None where none is known."""
    found = np.concatenate(draws)
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _mean(precisions: Numbers) -> float | None:
    """Return the mean (labels,) over the labels that occur; None without any."""
    mean = float(mean_precisions(precisions))
    return mean if np.isfinite(mean) else None


def _interval(
    probabilities: npt.NDArray[np.float32],
    truth: npt.NDArray[np.bool_],
    recording: npt.NDArray[np.int64],
    generator: np.random.Generator | None,
    resamples: int,
) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean average precision, drawing recordings anew.

    Each draw is ranked again with the clips of its recordings, a label counting in those draws where any clip bears it.
    """
    if not recording.any():
        return None
    draws = redrawn(recording, truth.size, generator, resamples)
    return middle_of([mean_precisions(average_precisions(probabilities, truth, weights)) for weights in draws])


def redrawn(
    recording: npt.NDArray[np.int64],
    cells: int,
    generator: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
) -> Iterator[Numbers]:
    """Yield how often each clip counts when recordings are drawn anew, (draws, clips), in blocks that fit memory.

    Args:
        recording: (clips,) numbers of the recordings.
        cells: clips times labels; of many, fewer draws are made.
        generator: where the random numbers come from; None draws the same ones every time.
        resamples: how many draws at most.
    """
    sizes = np.ones(int(recording.max()) + 1, dtype=np.int64)
    parts = in_parts(len(recording), cells, resamples)
    for draws in draw_recordings(sizes, sum(parts), generator or fixed_generator()):
        for start in range(0, len(draws), parts[0]):
            yield draws[start : start + parts[0], recording].astype(np.float64)


def in_parts(clips: int, cells: int, resamples: int = RESAMPLES, fewest: int = 0) -> list[int]:
    """Return how many draws are made, in parts whose weights fit memory: fewer than asked for where each takes long.

    Args:
        clips: rows of a draw's weights.
        cells: what a draw ranks: clips times labels.
        resamples: how many draws are asked for.
        fewest: how many are made however long they take, where more than the usual fewest are needed.
    """
    count = min(resamples, max(fewest, _FEWEST_RESAMPLES, _MOST_CELLS // cells))
    step = max(1, _CELLS_AT_ONCE // clips)
    return [min(step, count - start) for start in range(0, count, step)]


def _counts_by_recording(
    truth: npt.NDArray[np.bool_], told: npt.NDArray[np.bool_], recording: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count, for each recording and label, the clips that bear it and are told so, that bear it, and that are told so.

    Returns:
        (recordings, 3 · labels) int64, label by label.
    """
    each = np.hstack([truth & told, truth, told]).astype(np.int64)
    counts = np.zeros((int(recording.max()) + 1, each.shape[1]), dtype=np.int64)
    np.add.at(counts, recording, each)
    return counts


def _macro_f1_and_recalls(sums: Numbers) -> Numbers:
    return np.hstack([macro_f1(sums), recalls(sums)])


def _notes(
    table: pd.DataFrame, truth: npt.NDArray[np.bool_], precisions: Numbers, recordings: int, groups_known: bool
) -> tuple[str, ...]:
    notes = []
    unknown = unknown_labels_in(table)
    if unknown:
        named = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
        notes.append(f"The model does not know {counted(len(unknown), 'label')} of the data ({named}): not scored.")
    absent = int((~truth.any(axis=0)).sum())
    if absent:
        told = "label is borne" if absent == 1 else "labels are borne"
        notes.append(f"{absent:,} {told} by no clip here, so there is no average precision of it.")
    notes += notes_on_recordings(recordings, groups_known)
    if recordings > 1 and _mean(precisions) == 1.0:
        notes.append(
            "No clip is ranked wrongly, so the interval has no width; "
            "that shows how little was tested, not that other recordings would be ranked alike."
        )
    return tuple(notes)
