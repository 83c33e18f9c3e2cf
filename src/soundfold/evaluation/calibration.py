"""Temperature and reliability: do answers of 80 % hold in eight of ten cases, and what makes them do so.

The key idea: softmax(z) depends on the logits z up to a constant, so ln p is as good as z, and the temperature can be
fitted on kept probabilities: softmax(ln p / T). In 1 / T the log loss is convex, and its slope is the mean of (expected
logit - true logit); the fit is a search for the zero of that slope.

A temperature that was fitted on a clip flatters that clip. What is told of the time after is therefore cross-fitted:
each part of the clips is answered with the temperature of the others. The one that is kept is fitted on all.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.errors import DataError
from soundfold.evaluation.calibration_result import CalibrationScores, Reliability, ReliabilityBin
from soundfold.evaluation.intervals import bootstrap_interval
from soundfold.evaluation.predictions import check_predictions, is_of_several, labels_in, probabilities_in, truth_in
from soundfold.wording import natural_order

__all__ = [
    "BINS",
    "calibrate",
    "codes_of",
    "cross_fitting_parts",
    "fit_temperature",
    "reliability",
    "tempered",
    "truth_of",
]

BINS = 15
_PARTS = 5
_HOTTEST = 50.0
_LEAST = 1e-12  # of a probability in a logarithm: a float32 softmax may give 0
_UNIT = 1_000_000  # probabilities are summed as whole millionths, as counts must be whole

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def tempered(probabilities: npt.ArrayLike, temperature: float, *, several: bool = False) -> Numbers:
    """Return probabilities (…, labels) after their logits are divided by a temperature.

    >>> tempered([[0.8, 0.2]], 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    scaled = _logits(np.asarray(probabilities, dtype=np.float64), several) / temperature
    return _probabilities(scaled, several)


def fit_temperature(probabilities: npt.ArrayLike, truth: Flags, *, several: bool = False) -> float:
    """Return the temperature of least log loss, between 1/50 and 50.

    Of few clips it stays near 1.

    Args:
        probabilities: (n, labels).
        truth: (n, labels), which labels each clip bears; rows without any are passed over unless `several`.
        several: each label has a probability of its own.

    Raises:
        DataError: no clip bears a label that the model knows.
    """
    rows = np.ones(len(truth), dtype=bool) if several else truth.any(axis=1)
    if not rows.any():
        raise DataError("a temperature must be fitted on clips of known labels, got none. Predict others")
    logits = _logits(np.asarray(probabilities, dtype=np.float64)[rows], several)
    borne = truth[rows]
    low, high = -np.log(_HOTTEST), np.log(_HOTTEST)  # of ln 1 / T
    for _ in range(50):
        middle = (low + high) / 2
        expected = _probabilities(np.exp(middle) * logits, several)
        slope = np.exp(middle) * float((logits * (expected - borne)).sum())
        # the second term is that of ln T ~ N(0, 1): a few clips, all answered rightly, leave the temperature near 1
        too_sure = slope + middle > 0
        low, high = (low, middle) if too_sure else (middle, high)
    return float(np.exp(-(low + high) / 2))


def calibrate(table: pd.DataFrame) -> CalibrationScores:
    """Return how far out-of-fold predictions can be trusted, and by which temperature they can be more.

    Args:
        table: predictions, each by a network that had not met the clip's recording, as they came from it.

    Raises:
        DataError: the table is not one of predictions, or holds too little to leave a part out.
    """
    check_predictions(table)
    several, values, truth = is_of_several(table), probabilities_in(table).astype(np.float64), truth_of(table)
    after = np.empty_like(values)
    temperatures = []
    parts, kind = cross_fitting_parts(table)
    for part in parts:
        temperatures.append(fit_temperature(values[~part], truth[~part], several=several))
        after[part] = tempered(values[part], temperatures[-1], several=several)
    recording = codes_of(table)
    return CalibrationScores(
        temperature=fit_temperature(values, truth, several=several),
        temperatures=tuple(temperatures),
        parts="folds" if kind == "fold" else "recordings",
        before=reliability(values, truth, recording, several=several),
        after=reliability(after, truth, recording, several=several),
    )


def cross_fitting_parts(table: pd.DataFrame) -> tuple[list[Flags], str]:
    """Return which rows are left out in turn: folds where there are two, else fifths of the recordings.

    Raises:
        DataError: there is one recording alone.
    """
    folds = natural_order({str(fold) for fold in table["fold"].dropna()})
    if len(folds) > 1:
        return [(table["fold"] == fold).to_numpy() for fold in folds], "fold"
    code = codes_of(table)
    count = int(code.max()) + 1
    if count < 2:
        raise DataError("calibration must have at least two recordings, got 1. Cross-validate more of them")
    return [code % _PARTS == part for part in range(min(_PARTS, count))], "recordings"


def reliability(
    probabilities: npt.ArrayLike, truth: Flags, recording: npt.NDArray[np.int64], *, several: bool = False
) -> Reliability:
    """Return how often answers of each probability are right.

    Args:
        probabilities: (n, labels).
        truth: (n, labels), which labels each clip bears; a clip of none is answered wrongly.
        recording: (n,) numbers of the recordings, which the interval draws anew.
        several: each label is an answer of its own; else the likeliest is the only one.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if several:
        confidence, right, owner = values.ravel(), truth.ravel(), np.repeat(recording, values.shape[1])
        told = np.where(truth, values, 1 - values)
    else:
        best = values.argmax(axis=1)
        rows = np.arange(len(values))
        confidence, right, owner = values[rows, best], truth[rows, best], recording
        known = truth.any(axis=1)
        told = values[known][truth[known]]
    within = _bins(confidence)
    counts = _counts(within, confidence, right, owner)
    n, hits, sure = np.split(counts.sum(axis=0), 3)
    intervals = bootstrap_interval(counts, _ece)
    return Reliability(
        ece=float(_ece(counts.sum(axis=0)[None].astype(np.float64))[0, 0]),
        ece_ci95=intervals[0] if intervals else None,
        log_loss=float(-np.log(np.maximum(told, _LEAST)).mean()) if told.size else 0.0,
        bins=tuple(
            ReliabilityBin(confidence=float(sure[k] / n[k] / _UNIT), accuracy=float(hits[k] / n[k]), n=int(n[k]))
            for k in range(len(n))
        ),
    )


def truth_of(table: pd.DataFrame) -> Flags:
    """Return which labels each clip bears, (n, labels); a clip whose label the model does not know bears none."""
    if is_of_several(table):
        return truth_in(table)
    borne: Flags = table["label"].to_numpy(dtype=object)[:, None] == np.array(labels_in(table), dtype=object)[None]
    return borne


def codes_of(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of each clip's recording; recordings are numbered by their sorted names."""
    return np.unique(np.array(table["group"].tolist(), dtype=object), return_inverse=True)[1].astype(np.int64)


def _logits(probabilities: Numbers, several: bool) -> Numbers:
    inner = np.clip(probabilities, _LEAST, 1.0)
    return np.log(inner) - np.log(np.clip(1.0 - probabilities, _LEAST, 1.0)) if several else np.log(inner)


def _probabilities(logits: Numbers, several: bool) -> Numbers:
    if several:
        found: Numbers = 0.5 + 0.5 * np.tanh(0.5 * logits)  # the sigmoid, where no exponential grows too large
        return found
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Numbers = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def _bins(confidence: Numbers) -> npt.NDArray[np.int64]:
    """Return the bin of each answer: equally many in each, but equal probabilities together, whatever their order."""
    edges = np.unique(np.quantile(confidence, np.arange(1, BINS) / BINS, method="lower"))
    return np.unique(np.searchsorted(edges, confidence, side="left"), return_inverse=True)[1].astype(np.int64)


def _counts(
    within: npt.NDArray[np.int64], confidence: Numbers, right: Flags, owner: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return (recordings, 3 · bins): answers, right ones, and summed millionths of confidence, by bin."""
    shape = (int(owner.max()) + 1, int(within.max()) + 1)
    cells = np.ravel_multi_index((owner, within), shape)

    def summed(weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.rint(np.bincount(cells, weights, minlength=shape[0] * shape[1])).astype(np.int64).reshape(shape)

    millionths = np.rint(confidence * _UNIT).astype(np.int64)
    return np.hstack([summed(np.ones_like(millionths)), summed(right.astype(np.int64)), summed(millionths)])


def _ece(sums: Numbers) -> Numbers:
    """Turn (resamples, 3 · bins) sums into (resamples, 1): the mean gap, each bin counting by its answers."""
    n, hits, sure = np.split(sums, 3, axis=1)
    gap: Numbers = np.abs(hits - sure / _UNIT).sum(axis=1) / n.sum(axis=1)
    return gap[:, None]
