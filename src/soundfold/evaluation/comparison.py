"""Whether one run is better than another: both answered the same clips, so the clips are compared pair by pair.

Of runs whose clips bear several labels `comparison_of_several` finds the numbers; the words and the rest are made here.

The unit is the recording, as for intervals (`intervals`): clips cut from one recording resemble each other, and are
right or wrong together. What a recording says is D, how many more of its clips run B got right than run A.

- **Interval**: recordings are drawn anew, and the difference ΣD / Σclips is computed of each draw. The same recordings
  are drawn for both runs, so what makes a recording hard for both falls out.
- **p-value**: if the runs were equally good, their answers to a recording could as well be exchanged, which turns D
  into -D. Over all such exchanges ΣD has a distribution of its own, and p is how much of it lies at least as far from
  zero as what was found. The key idea: a D that takes either sign alike has the characteristic function cos(D·t), and
  that of a sum is the product; one inverse Fourier transform gives all exchanges exactly, without drawing a single one.

What they do not say: both hold the trained networks fixed. Another seed, or other training clips, would move both runs.

References:
    Good (2005), "Permutation, Parametric and Bootstrap Tests of Hypotheses", on tests by sign flips.
    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.evaluation.comparison_of_several import differences_of_several
from soundfold.evaluation.comparison_result import ClassDifference, Comparison, Disagreement, FoldDifference
from soundfold.evaluation.intervals import bootstrap_interval, note_on_few
from soundfold.evaluation.pairing import Pairing, pair_clips
from soundfold.evaluation.predictions import check_predictions, is_of_several
from soundfold.wording import counted, natural_order

__all__ = ["SIGNIFICANT", "compare_predictions", "correct_for_many", "holm", "p_in_words", "sign_flip_p"]

SIGNIFICANT = 0.05
_LEAST_P = 1e-12  # nearer to zero, the sum's rounding could not be told from a probability

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def compare_predictions(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    names: tuple[str, str] = ("A", "B"),
    roots: tuple[str | None, str | None] = (None, None),
    groups_known: bool = True,
    at_once: int = 1,
) -> Comparison:
    """Compare two tables of predictions over the clips that both hold; the order of rows has no influence.

    Args:
        a, b: tables of predictions; differences are B - A.
        names: what the two are called in sentences.
        roots: folder of each one's data set, so that the same clips are known at different places; None: unknown.
        groups_known: False when nothing tells recordings apart; the comparison is then over files, and says so.
        at_once: how many comparisons `correct_for_many` will get; a p-value that is drawn must be able to bear it.

    Raises:
        DataError: no clip in common, different labels, one label a clip in one and several in the other, or a table
            that is not one of predictions.
    """
    check_predictions(a)
    check_predictions(b)
    pair = pair_clips(a, b, names, roots)
    recording = np.unique(pair.a["group"].to_numpy(dtype=object), return_inverse=True)[1]
    folds = _same_folds(pair)
    values: dict[str, Any] = (
        differences_of_several(pair, recording, folds, at_once)
        if is_of_several(pair.a)
        else _differences(pair, recording, folds)
    )
    telling, more = values.pop("telling"), values.pop("notes")
    comparison = Comparison(
        a=names[0],
        b=names[1],
        n=len(recording),
        n_recordings=int(recording.max()) + 1,
        groups_known=groups_known,
        **values,
        fold_mean=None,
        fold_std=None,
        unmatched_a=pair.unmatched_a,
        unmatched_b=pair.unmatched_b,
        notes=(*_notes(pair, names, int(recording.max()) + 1, telling, groups_known), *more),
        p_corrected=values["p_value"],
        beyond_chance=values["p_value"] < SIGNIFICANT,
        sentence="",
    )
    folds_told = comparison.known_folds
    update: dict[str, Any] = {"sentence": _in_words(comparison)}
    if folds_told:
        update["fold_mean"] = float(np.mean(folds_told))
    if len(folds_told) > 1:
        update["fold_std"] = float(np.std(folds_told, ddof=1))
    return comparison.model_copy(update=update)


def _differences(pair: Pairing, recording: Whole, folds: dict[str, Flags] | None) -> dict[str, Any]:
    """Return the fields of a `Comparison` that runs of one label a clip have of their own, and `telling`.

    That is the number of recordings that tell the two apart; `notes` are those beside the ones that all runs have.
    """
    right_a, right_b = (table["label"].to_numpy() == table["predicted"].to_numpy() for table in (pair.a, pair.b))
    gain = right_b.astype(np.int64) - right_a.astype(np.int64)
    gains = np.rint(np.bincount(recording, weights=gain)).astype(np.int64)
    return {
        "accuracy_a": float(right_a.mean()),
        "accuracy_b": float(right_b.mean()),
        "difference": float(gain.sum() / len(gain)),
        "difference_ci95": _interval(gains, np.bincount(recording)),
        "p_value": sign_flip_p(gains),
        "both_right": int((right_a & right_b).sum()),
        "only_a_right": int((right_a & ~right_b).sum()),
        "only_b_right": int((right_b & ~right_a).sum()),
        "both_wrong": int((~right_a & ~right_b).sum()),
        "folds": None
        if folds is None
        else tuple(_fold(name, right_a[here], right_b[here]) for name, here in folds.items()),
        "per_class": _per_class(pair.a["label"].to_numpy(), recording, right_a, right_b),
        "clips_only_a_right": _disagreements(pair, right_a & ~right_b),
        "clips_only_b_right": _disagreements(pair, right_b & ~right_a),
        "telling": int((gains != 0).sum()),
        "notes": (),
    }


def correct_for_many(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return comparisons that were made at once, their p-values corrected by Holm and their sentences with them."""
    corrected = []
    for comparison, p in zip(comparisons, holm([each.p_value for each in comparisons]), strict=True):
        changed = comparison.model_copy(update={"p_corrected": p, "beyond_chance": p < SIGNIFICANT})
        corrected.append(changed.model_copy(update={"sentence": _in_words(changed)}))
    return tuple(corrected)


def sign_flip_p(gains: npt.ArrayLike) -> float:
    """Return the two-sided p-value of a sum of whole numbers if each could as well have the other sign.

    Args:
        gains: (recordings,) whole numbers; zeros have no influence.

    Returns:
        the part of all 2^k choices of signs whose sum is at least as far from zero; 1 where all are zero.

    >>> sign_flip_p([1, 1, 1, 1, 1, 1])  # all six one way: 2 of 64 choices
    0.03125
    """
    given = np.asarray(gains, dtype=np.int64)
    observed = abs(int(given.sum()))
    sizes, many = np.unique(np.abs(given[given != 0]), return_counts=True)
    if observed == 0:
        return 1.0
    largest = int((sizes * many).sum())
    period = 1 << (2 * largest).bit_length()  # no two sums from -largest to largest fall on one place
    steps = np.arange(period // 2 + 1)
    transform = np.ones(len(steps))
    for size, times in zip(sizes, many, strict=True):
        transform *= np.cos(2 * np.pi / period * (size * steps % period)) ** times
    probability = np.fft.irfft(transform, period)
    least = max(_LEAST_P, 2.0 ** (1 - int(many.sum())))  # all signs alike, one way or the other
    return float(min(1.0, max(least, round(2 * probability[observed : largest + 1].sum(), 15))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are: the chance that ANY is called a difference by chance is kept.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, reached = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        reached = max(reached, min(1.0, (len(order) - rank) * p_values[at]))
        corrected[at] = reached
    return corrected


def p_in_words(p: float) -> str:
    """Return a p-value as people read it.

    >>> p_in_words(0.0213), p_in_words(1e-9), p_in_words(0.5)
    ('p = 0.021', 'p < 0.001', 'p = 0.50')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def _interval(gains: Whole, clips: Whole) -> tuple[float, float] | None:
    """Return the interval of the difference; the two runs' places do not touch the draws, only the sign."""
    swapped = gains.sum() < 0
    counts = np.stack([-gains if swapped else gains, clips], axis=1).astype(np.int64)
    found = bootstrap_interval(counts, lambda sums: sums[:, :1] / sums[:, 1:])
    if found is None:
        return None
    low, high = found[0]
    return (-high, -low) if swapped else (low, high)


def _same_folds(pair: Pairing) -> dict[str, Flags] | None:
    """Return which clips each fold holds, where both runs scored each clip in the same fold."""
    fold = pair.a["fold"]
    if fold.isna().any() or pair.b["fold"].isna().any() or (fold != pair.b["fold"]).any():
        return None
    return {name: (fold == name).to_numpy() for name in natural_order(fold.unique())}


def _fold(name: str, right_a: Flags, right_b: Flags) -> FoldDifference:
    a, b = float(right_a.mean()), float(right_b.mean())
    return FoldDifference(fold=name, n=len(right_a), accuracy_a=a, accuracy_b=b, difference=b - a)


def _per_class(
    labels: np.ndarray, recording: np.ndarray, right_a: np.ndarray, right_b: np.ndarray
) -> tuple[ClassDifference, ...]:
    told = []
    for label in sorted(set(labels)):
        here = labels == label
        a, b = float(right_a[here].mean()), float(right_b[here].mean())
        recordings = len(np.unique(recording[here]))
        told.append(
            ClassDifference(
                label=label, n=int(here.sum()), recordings=recordings, recall_a=a, recall_b=b, difference=b - a
            )
        )
    return tuple(told)


def _disagreements(pair: Pairing, which: np.ndarray) -> tuple[Disagreement, ...]:
    columns = {
        "path": pair.a["path"], "label": pair.a["label"],
        "predicted_a": pair.a["predicted"], "predicted_b": pair.b["predicted"],
    }  # fmt: skip
    for name in ("start", "end"):
        if name in pair.a.columns:
            seconds = pd.to_numeric(pair.a[name], errors="coerce").astype(object)
            columns[name] = seconds.where(seconds.notna(), None)
    rows = pd.DataFrame(columns)[which].to_dict("records")
    return tuple(Disagreement.model_validate(row) for row in rows)


def _notes(pair: Pairing, names: tuple[str, str], recordings: int, telling: int, groups_known: bool) -> tuple[str, ...]:
    notes = []
    if pair.unmatched_a or pair.unmatched_b:
        left = [f"{counted(clips, 'clip')} of {name}" for name, clips in
                zip(names, (pair.unmatched_a, pair.unmatched_b), strict=True) if clips]  # fmt: skip
        notes.append(
            f"Compared on the {counted(len(pair.a), 'clip')} that both answered; left out: {' and '.join(left)}."
        )
    if not groups_known:
        notes.append(
            "Nothing tells which clips come from one recording, so each file counts as its own; "
            "if some share a recording, interval and p-value are too narrow."
        )
    what = "recording" if groups_known else "file"
    notes += note_on_few(recordings, what)
    if 0 < telling < 6:
        notes.append(
            f"Only {counted(telling, what)} of {recordings:,} tell the two apart; with fewer than six, no difference "
            f"can be beyond chance."
        )
    folds_a, folds_b = pair.a["fold"], pair.b["fold"]
    if not folds_a.isna().any() and not folds_b.isna().any() and (folds_a != folds_b).any():
        notes.append(
            "The two were divided into folds differently, so their networks were trained on different clips; "
            "folds are not compared."
        )
    return tuple(notes)


def _in_words(found: Comparison) -> str:
    if found.of_several and found.mean_average_precision_a is None:
        return f"no difference can be told between {found.a} and {found.b}: no clip bears a label that they know"
    if found.of_several and found.difference == 0:
        return f"no difference: {found.a} and {found.b} rank the clips equally well"
    if not found.of_several and found.only_a_right == found.only_b_right:
        which = "equally many clips" if found.only_a_right else "the same clips"
        return f"no difference: {found.a} and {found.b} are right on {which}"
    ahead, behind = (found.b, found.a) if found.difference > 0 else (found.a, found.b)
    interval = ""
    if found.difference_ci95 is not None:
        low, high = found.difference_ci95
        low, high = (low, high) if found.difference > 0 else (-high, -low)
        interval = f" [{100 * low:.1f}, {100 * high:.1f}]"
    by = f"by {100 * abs(found.difference):.1f} {found.points}{interval}, {p_in_words(found.p_corrected)}"
    if found.beyond_chance:
        return f"{ahead} is better than {behind} {by}: more than chance explains"
    return f"no difference beyond chance between {found.a} and {found.b}: {ahead} is better {by}"
