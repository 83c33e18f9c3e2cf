"""Scores from a table of predictions, and from nothing else. What the fields mean is told in `results`.

Conventions: the classes of a score are the model's labels, then the labels of the data that the model does not know,
sorted. A clip of an unknown label is wrong whatever was predicted. Macro F1 is the mean over the classes that occur in
the truth, unknown ones too; a class that was only predicted costs the others precision and does not enter the mean.

Where clips bear several labels, `multi_label` computes the scores; they come through here too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.errors import DataError
from soundfold.evaluation.class_scores import class_scores, macro_f1, recalls
from soundfold.evaluation.intervals import RESAMPLES, bootstrap_interval, where_all_are_alike
from soundfold.evaluation.multi_label import notes_on_recordings, score_folds_of_several, score_several
from soundfold.evaluation.predictions import check_predictions, is_of_several, labels_in
from soundfold.evaluation.results import CvScores, FoldScore, PartScore, Scores
from soundfold.wording import counted, natural_order

__all__ = ["score", "score_folds"]

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Coded:
    """A table of predictions as whole numbers: everything that scores without probabilities need."""

    labels: tuple[str, ...]  # known to the model
    unknown: tuple[str, ...]  # labels of the data that the model does not know
    truth: Counts  # (n,) into labels + unknown
    predicted: Counts  # (n,) into labels
    recording: Counts  # (n,) into the sorted groups

    @property
    def classes(self) -> int:
        return len(self.labels) + len(self.unknown)

    @property
    def recordings(self) -> int:
        return int(self.recording.max()) + 1


def score(
    table: pd.DataFrame,
    *,
    groups_known: bool = True,
    generator: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
) -> Scores:
    """Compute all scores of one table of predictions; the order of its rows has no influence.

    Args:
        table: predictions, as `predictions_table` makes them, of one model or out of all folds.
        groups_known: False when nothing tells recordings apart and every file stands as its own; a note says so.
        generator: what the intervals are drawn from; None draws the same ones every time.
        resamples: how often the recordings are drawn anew for the intervals.

    Returns:
        Scores, with notes on what the intervals do not say.

    Raises:
        DataError: when the table is not one of predictions.
    """
    check_predictions(table)
    if is_of_several(table):
        return score_several(table, groups_known=groups_known, generator=generator, resamples=resamples)
    coded = _coded(table)
    counts = _counts_by_recording(coded)
    total = counts.sum(axis=0)
    accuracy, macro_f1 = map(float, _accuracy_and_macro_f1(total[None].astype(np.float64))[0])
    intervals = bootstrap_interval(counts, _all_drawn, generator=generator, resamples=resamples)
    return Scores(
        accuracy=accuracy,
        accuracy_ci95=where_all_are_alike(intervals[0], accuracy, coded.recordings) if intervals else None,
        n=len(table),
        n_recordings=coded.recordings,
        interval_over="recordings" if groups_known else "files",
        macro_f1=macro_f1,
        macro_f1_ci95=intervals[1] if intervals else None,
        labels=coded.labels,
        unknown_labels=coded.unknown,
        per_class=class_scores(
            coded.labels + coded.unknown, counts, intervals[2:] if intervals else None, unknown=len(coded.unknown)
        ),
        confusion=_confusion(coded),
        foreground=_part(table, 1),
        background=_part(table, 2),
        notes=_notes(coded, groups_known),
    )


def score_folds(
    table: pd.DataFrame,
    *,
    train_s: Mapping[str, float] | None = None,
    groups_known: bool = True,
    generator: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
) -> CvScores:
    """Compute the scores of a cross-validation from its out-of-fold predictions.

    The headline is the mean over folds, with the sample deviation (divided by folds - 1). The intervals, macro F1, the
    scores per class and the confusion are those of all clips pooled, as if one network had answered them all.

    Args:
        table: predictions of all folds, `fold` naming the fold that was held out when the clip was scored.
        train_s: seconds that training took, by fold name.
        groups_known: as in `score`; generator, resamples: as in `score`.

    Raises:
        DataError: when the table is not one of predictions, or has no folds.
    """
    pooled = score(table, groups_known=groups_known, generator=generator, resamples=resamples)
    if table["fold"].isna().all():
        raise DataError("fold must name the fold of every clip, got none. Write the held-out fold into the table.")
    if is_of_several(table):
        return score_folds_of_several(table, pooled, train_s)
    folds = []
    for name in natural_order(table["fold"].unique()):
        coded = _coded(table[table["fold"] == name])
        total = _counts_by_recording(coded).sum(axis=0)[None].astype(np.float64)
        accuracy, macro_f1 = _accuracy_and_macro_f1(total)[0]
        seconds = None if train_s is None else train_s.get(name)
        folds.append(
            FoldScore(
                fold=name, accuracy=float(accuracy), macro_f1=float(macro_f1), n=len(coded.truth), train_s=seconds
            )
        )
    accuracies = np.array([fold.accuracy for fold in folds], dtype=np.float64)
    mean = float(accuracies.mean())
    return CvScores(
        **(dict(pooled) | {"accuracy": mean}),
        accuracy_mean=mean,
        accuracy_std=float(accuracies.std(ddof=1)) if len(folds) > 1 else None,
        accuracy_pooled=pooled.accuracy,
        folds=tuple(folds),
    )


def _coded(table: pd.DataFrame) -> _Coded:
    labels = labels_in(table)
    truth = table["label"].tolist()
    unknown = tuple(sorted(set(truth) - set(labels)))
    return _Coded(
        labels=labels,
        unknown=unknown,
        truth=pd.Index(labels + unknown).get_indexer(pd.Index(truth)).astype(np.int64),
        predicted=pd.Index(labels).get_indexer(pd.Index(table["predicted"].tolist())).astype(np.int64),
        recording=np.unique(np.array(table["group"].tolist(), dtype=object), return_inverse=True)[1].astype(np.int64),
    )


def _counts_by_recording(coded: _Coded) -> Counts:
    """Count, for each recording and class, the right clips, those of the class and those predicted as it.

    Returns:
        (recordings, 3 · classes) int64: right, true and predicted, class by class.
    """
    shape = (coded.recordings, coded.classes)

    def count(recording: Counts, cls: Counts) -> Counts:
        cells = np.ravel_multi_index((recording, cls), shape)
        return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)

    right = coded.truth == coded.predicted
    return np.hstack(
        [
            count(coded.recording[right], coded.truth[right]),
            count(coded.recording, coded.truth),
            count(coded.recording, coded.predicted),
        ]
    )


def _accuracy_and_macro_f1(sums: Numbers) -> Numbers:
    """Turn (resamples, 3 · classes) sums of counts into (resamples, 2): accuracy and macro F1."""
    right, true, _ = np.split(sums, 3, axis=1)
    accuracy = right.sum(axis=1, keepdims=True) / true.sum(axis=1, keepdims=True)
    return np.hstack([accuracy, macro_f1(sums)])


def _all_drawn(sums: Numbers) -> Numbers:
    """Turn sums of counts into all that has an interval, (resamples, 2 + classes): the recalls come last."""
    return np.hstack([_accuracy_and_macro_f1(sums), recalls(sums)])


def _confusion(coded: _Coded) -> tuple[tuple[int, ...], ...]:
    shape = (coded.classes, len(coded.labels))
    cells = np.bincount(np.ravel_multi_index((coded.truth, coded.predicted), shape), minlength=shape[0] * shape[1])
    return tuple(tuple(int(clips) for clips in row) for row in cells.reshape(shape))


def _part(table: pd.DataFrame, salience: int) -> PartScore | None:
    """Accuracy of the clips of one salience: in UrbanSound8K 1 is foreground and 2 background."""
    if "salience" not in table.columns:
        return None
    part = table[pd.to_numeric(table["salience"], errors="coerce") == salience]
    if part.empty:
        return None
    return PartScore(accuracy=float((part["label"] == part["predicted"]).mean()), n=len(part))


def _alike(unknown: Sequence[str], labels: Sequence[str]) -> str:
    """Return a mend where strange labels differ from the model's in spaces, underscores or case alone, else nothing."""

    def plain(label: str) -> str:
        return label.replace("_", " ").replace("-", " ").casefold()

    known = {plain(label): label for label in labels}
    pairs = [f"'{label}' to '{known[plain(label)]}'" for label in unknown if plain(label) in known]
    return f" Perhaps they are the same: rename {', '.join(pairs[:5])}." if pairs else ""


def _notes(coded: _Coded, groups_known: bool) -> tuple[str, ...]:
    """Say in sentences what the numbers rest on, where it is less than a reader would think."""
    notes = []
    right = int((coded.truth == coded.predicted).sum())
    recordings, clips = coded.recordings, len(coded.truth)
    if coded.unknown:
        strangers = int((coded.truth >= len(coded.labels)).sum())
        told = f"{strangers:,} of {counted(clips, 'clip')} {'bears a label' if strangers == 1 else 'bear labels'}"
        named = ", ".join(coded.unknown[:5]) + (", …" if len(coded.unknown) > 5 else "")
        alike = _alike(coded.unknown, coded.labels)
        notes.append(f"{told} that the model does not know ({named}): counted as wrong.{alike}")
    notes += notes_on_recordings(recordings, groups_known)
    if recordings > 1 and right in (0, clips):
        notes.append(
            f"Every answer is {'right' if right else 'wrong'}, so no draw of recordings shows anything else; the "
            f"interval of the accuracy goes to the bound that {recordings:,} recordings without an exception leave."
        )
    return tuple(notes)
