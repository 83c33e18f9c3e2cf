"""Two runs on clips that bear several labels each: the difference of their mean average precisions, and its chance.

How well labels are ranked is no sum over recordings, so the exchanges that `comparison` counts one and all are drawn at
random here: in each, every recording's answers change sides or stay, and both sides are ranked anew. The p-value is the
part of the exchanges, the found one among them, that lies at least as far from zero. It can be no smaller than one over
their number, which is why they are many. Of few recordings all exchanges are counted.

References:
    Phipson and Smyth (2010), "Permutation P-values Should Never Be Zero", Statistical Applications in Genetics and
    Molecular Biology 9(1).
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from soundfold.evaluation.comparison_result import ClassDifference, FoldDifference
from soundfold.evaluation.intervals import RESAMPLES, fixed_generator
from soundfold.evaluation.multi_label import average_precisions, in_parts, mean_precisions, middle_of, redrawn
from soundfold.evaluation.pairing import Pairing
from soundfold.evaluation.predictions import labels_in, probabilities_in, truth_in

__all__ = ["differences_of_several"]

_COUNTED = 10  # recordings: 512 exchanges
_FEWEST_EACH = 40  # exchanges a comparison made at once: the least p-value, times all of these, is then 0.025
_ROUNDING = 1e-12  # two sums of the same numbers in another order may differ by so much

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]


def differences_of_several(
    pair: Pairing, recording: Whole, folds: dict[str, Flags] | None, at_once: int = 1
) -> dict[str, Any]:
    """Return the fields of a `Comparison` that runs of several labels a clip have of their own, and `telling`.

    That is the number of recordings that tell the two apart; `notes` are those beside the ones that all runs have.

    Args:
        pair: the answers of both to the same clips.
        recording: (clips,) numbers of the recordings.
        folds: which clips each fold holds, where both runs were scored over the same ones.
        at_once: how many comparisons are made at once; of more, enough exchanges are drawn that the p-value can be
            below 0.05 after Holm's correction too.
    """
    labels, truth = labels_in(pair.a), truth_in(pair.a)
    order = [labels_in(pair.b).index(label) for label in labels]
    answers = probabilities_in(pair.a), probabilities_in(pair.b)[:, order]
    a, b = (average_precisions(ranks, truth) for ranks in answers)
    mean_a, mean_b = (float(mean_precisions(precisions)) for precisions in (a, b))
    difference = mean_b - mean_a if np.isfinite(mean_a) else 0.0
    occurs = np.asarray(truth.any(axis=0))
    return {
        "accuracy_a": None,
        "accuracy_b": None,
        "mean_average_precision_a": mean_a if occurs.any() else None,
        "mean_average_precision_b": mean_b if occurs.any() else None,
        "difference": difference,
        "difference_ci95": _interval(answers, truth, recording),
        "p_value": _exchanged_p(answers, truth, recording, difference, at_once),
        "p_drawn": not _all_counted(int(recording.max()) + 1),
        **dict.fromkeys(("both_right", "only_a_right", "only_b_right", "both_wrong")),
        "folds": None if folds is None else tuple(_fold(name, answers, truth, here) for name, here in folds.items()),
        "per_class": tuple(
            ClassDifference(
                label=label,
                n=int(truth[:, k].sum()),
                recordings=len(np.unique(recording[truth[:, k]])),
                average_precision_a=float(a[k]),
                average_precision_b=float(b[k]),
                difference=float(b[k] - a[k]),
            )
            for k, label in enumerate(labels)
            if occurs[k]
        ),
        "clips_only_a_right": (),
        "clips_only_b_right": (),
        "telling": len(np.unique(recording[(answers[0] != answers[1]).any(axis=1)])),
        "notes": _notes(truth, int(recording.max()) + 1, at_once),
    }


def _ranked(ranks: np.ndarray, truth: Flags, weights: Numbers | None = None) -> Numbers:
    """Return the mean average precision, or (draws,) of weights (draws, clips); NaN where no clip bears a label."""
    return mean_precisions(average_precisions(ranks, truth, weights))


def _interval(answers: tuple[np.ndarray, np.ndarray], truth: Flags, recording: Whole) -> tuple[float, float] | None:
    """Return the 95 % interval of the difference, drawing recordings anew, the same ones for both."""
    if not recording.any():
        return None
    a, b = answers
    drawn = redrawn(recording, truth.size)
    return middle_of([_ranked(b, truth, weights) - _ranked(a, truth, weights) for weights in drawn])


def _exchanged_p(
    answers: tuple[np.ndarray, np.ndarray], truth: Flags, recording: Whole, difference: float, at_once: int
) -> float:
    """Return how much of what exchanges of whole recordings give lies at least as far from zero."""
    ranks, twice = np.concatenate(answers), np.concatenate([truth, truth])
    far = made = 0
    for changes in _exchanges(truth, recording, at_once):
        changed = changes[:, recording].astype(np.float64)
        one, other = np.hstack([1 - changed, changed]), np.hstack([changed, 1 - changed])
        found = _ranked(ranks, twice, other) - _ranked(ranks, twice, one)
        far += int((~(np.abs(found) < abs(difference) - _ROUNDING)).sum())  # so that what is unknown counts as far
        made += len(changes)
    return far / made


def _all_counted(recordings: int) -> bool:
    """Return whether all exchanges are made, in place of some that are drawn."""
    return recordings <= _COUNTED


def _exchanges(truth: Flags, recording: Whole, at_once: int) -> Iterator[Whole]:
    """Yield which recordings change sides, (exchanges, recordings) 0 and 1, in blocks; the first changes nothing."""
    recordings, parts = int(recording.max()) + 1, _parts(truth, at_once)
    if _all_counted(recordings):
        # an exchange and its opposite give the same distance, so the first recording may always stay
        every = np.array([(0, *rest) for rest in product((0, 1), repeat=recordings - 1)], dtype=np.int64)
        yield from np.array_split(every, -(-len(every) // parts[0]))
        return
    generator = fixed_generator()
    yield np.zeros((1, recordings), dtype=np.int64)
    for count in parts:
        yield generator.integers(0, 2, (count, recordings))


def _parts(truth: Flags, at_once: int) -> list[int]:
    """Return how many exchanges are drawn, in parts; each is ranked twice, with the clips of both sides."""
    fewest = _FEWEST_EACH * at_once
    return in_parts(2 * len(truth), 4 * truth.size, max(RESAMPLES, fewest), fewest)


def _notes(truth: Flags, recordings: int, at_once: int) -> tuple[str, ...]:
    drawn = sum(_parts(truth, at_once))
    if _all_counted(recordings) or drawn >= RESAMPLES:
        return ()
    least = 1 / (drawn + 1)
    return (f"The p-value rests on {drawn:,} exchanges drawn at random, so it can be no smaller than {least:.2g}.",)


def _fold(name: str, answers: tuple[np.ndarray, np.ndarray], truth: Flags, here: Flags) -> FoldDifference:
    a, b = (float(_ranked(ranks[here], truth[here])) for ranks in answers)
    known = np.isfinite(a)
    return FoldDifference(
        fold=name,
        n=int(here.sum()),
        mean_average_precision_a=a if known else None,
        mean_average_precision_b=b if known else None,
        difference=b - a if known else None,
    )
