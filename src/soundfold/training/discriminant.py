"""Linear discriminant analysis of the views of an embedding, as bold as recordings held out of the fit allow.

Where classes differ in their means and share one covariance, the best linear answer is Fisher's. With more values than
recordings that covariance is not to be trusted: it is drawn towards one variance in every direction (Friedman 1989,
Regularized Discriminant Analysis). How far, and how sure answers may be, the training clips say: a fifth of their
recordings at a time is left out and asked. So a view speaks as loudly as it is right about recordings that it has not
met, and the sureness of all together is that, too.
"""

import operator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import reduce
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from soundfold.data.allotting import deal, recordings_of

__all__ = ["fit_discriminants"]

Numbers = npt.NDArray[np.float64]

_SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_USUAL = 0.8
"""The shrinkage where no recording can be asked: what they choose most often for the larger views of mn04."""
_USUAL_SIZE = 2.0
"""That of logits, there."""
_PARTS = 5
_LOG_SCALES = (-15.0, 8.0)
_NEAR_ENOUGH = 0.01
"""Of a scale's logarithm: answers a hundredth too sure cost nothing that could be seen, and each look costs time."""
_BLOCK = 4096


def fit_discriminants(
    values: np.ndarray,
    views: Sequence[tuple[int, int]],
    labels: np.ndarray,
    weight: np.ndarray,
    recordings: np.ndarray,
    n_labels: int,
) -> tuple[Numbers, Numbers]:
    """Return the linear layer that is the sum of a discriminant a view.

    Args:
        values: (windows, values) float32, standardised.
        views: the first value and the end of each view.
        labels: (windows,) class numbers, or (windows, n_labels) 0 and 1, where each label is a question of its own.
        weight: (windows,) what each counts, more than 0; only ratios matter.
        recordings: (windows,) number of the recording that each was cut out of.
        n_labels: number of classes.

    Returns:
        weights (n_labels, values) and bias (n_labels,); zeros for a label that there is nothing to learn of.
    """
    if labels.ndim == 2:
        return _layer(values, views, labels.astype(np.float64), weight, recordings, several=True)
    weights, bias = np.zeros((n_labels, values.shape[1])), np.zeros(n_labels)
    met, number = np.unique(labels, return_inverse=True)  # of one that is not met, no answer may be made surer
    if len(met) > 1:
        weights[met], bias[met] = _layer(values, views, np.eye(len(met))[number], weight, recordings, several=False)
    return weights, bias


def _layer(
    values: np.ndarray,
    views: Sequence[tuple[int, int]],
    borne: Numbers,
    weight: np.ndarray,
    recordings: np.ndarray,
    *,
    several: bool,
) -> tuple[Numbers, Numbers]:
    """Return the linear layer of labels borne (windows, labels): 0 and 1, one 1 a row and each met unless several."""
    from threadpoolctl import threadpool_limits  # here and not above: most trainings fit no head in one go

    exam = _Exam.of(borne, weight, recordings, several=several)
    with threadpool_limits(1), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        fitted = list(pool.map(exam.fit, (values[:, slice(*view)] for view in views)))
        scale = exam.sureness(reduce(operator.add, [part.answers for part in fitted]))[0]
    weights = np.concatenate([part.weights for part in fitted], axis=1)
    return scale * weights, scale * sum(part.bias for part in fitted) + exam.prior


@dataclass(frozen=True)
class _Sums:
    """What some windows have in common; the sums of two lots of windows, added, are those of both.

    Attributes:
        total: weight of all.
        held: (labels,) weight of those that bear each label.
        values: (values,) weighted sum.
        by_label: (labels, values) weighted sums of those that bear each label.
        products: (values, values) weighted sum of products.
    """

    total: float
    held: Numbers
    values: Numbers
    by_label: Numbers
    products: Numbers

    @classmethod
    def of(cls, values: np.ndarray, borne: Numbers, weight: Numbers) -> Self:
        """Add up, a block of windows at a time, as a copy in double precision of all is large."""
        size = values.shape[1]
        sums = cls(
            0.0, np.zeros(borne.shape[1]), np.zeros(size), np.zeros((borne.shape[1], size)), np.zeros((size,) * 2)
        )
        for begin in range(0, len(values), _BLOCK):
            block = values[begin : begin + _BLOCK].astype(np.float64)
            label, count = borne[begin : begin + _BLOCK], weight[begin : begin + _BLOCK]
            counted = block * count[:, np.newaxis]
            part = (float(count.sum()), label.T @ count, counted.sum(axis=0), label.T @ counted, block.T @ counted)
            sums += cls(*part)
        return sums

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))


class _Discriminant:
    """What some windows teach, ready for any shrinkage.

    Args:
        sums: of the windows, one at the least.
        several: each label is a question of its own, answered yes or no.
    """

    def __init__(self, sums: _Sums, *, several: bool) -> None:
        share = sums.held / sums.total
        rest = 1 - share
        nothing = 1e-9
        self._learned = (share > nothing) & ((rest > nothing) | (not several))
        means = sums.by_label / sums.total / np.maximum(share, nothing)[:, np.newaxis]
        if several:
            mean = sums.values / sums.total
            others = (mean - means * share[:, np.newaxis]) / np.maximum(rest, nothing)[:, np.newaxis]
            self._apart, self._middle = means - others, (means + others) / 2
            explained = np.outer(mean, mean)
        else:
            self._apart, self._middle = means, means / 2
            explained = (means.T * share) @ means
        self._doubted = share * rest if several else np.zeros_like(share)
        self._several = several
        variances, self._axes = np.linalg.eigh(sums.products / sums.total - explained)
        self._variances = np.maximum(variances, 0.0)  # less than nothing is rounding

    def at(self, shrinkage: float) -> tuple[Numbers, Numbers]:
        """Return weights (labels, values) and bias (labels,), priors left out; zeros for what is not learned."""
        level = float(self._variances.mean()) or 1.0
        spread = np.maximum((1 - shrinkage) * self._variances + shrinkage * level, 1e-6 * level)
        weights = (self._apart @ self._axes / spread) @ self._axes.T
        # several labels share the covariance of all windows: that within yes and no, and what parts these
        within = 1 - (1 - shrinkage) * self._doubted * (weights * self._apart).sum(axis=1)
        weights /= np.maximum(within, 1e-3)[:, np.newaxis]
        weights[~self._learned] = 0.0
        return weights, -(weights * self._middle).sum(axis=1)

    def answer(self, values: np.ndarray, shrinkage: float) -> np.ndarray:
        """Return (windows, labels); a class that was not met is as unlikely as the least likely one."""
        weights, bias = self.at(shrinkage)
        answers: np.ndarray = values @ weights.T.astype(np.float32) + bias.astype(np.float32)
        if not self._several and not self._learned.all():
            answers[:, ~self._learned] = answers[:, self._learned].min(axis=1, keepdims=True)
        return answers


@dataclass(frozen=True)
class _Fitted:
    """A view's discriminant, as loud as it is right: its layer, and what it answers to the windows that are asked."""

    weights: Numbers
    bias: Numbers
    answers: np.ndarray


@dataclass(frozen=True)
class _Exam:
    """The training windows, each a question to those who have not met its recording.

    Attributes:
        borne: (windows, labels) 0 and 1.
        aims: the same, but never quite sure, as Platt (1999) has it: else sureness has no end where all is right.
        weight: (windows,) what each counts, 1 together.
        parts: rows of the windows that are left out together, a part each.
        asked: (windows, labels) where there is an answer; one column for all labels if a window bears one.
        prior: (labels,) logit of how common each label is.
        several: each label is a question of its own.
    """

    borne: Numbers
    aims: np.ndarray
    weight: Numbers
    parts: list[np.ndarray]
    asked: np.ndarray
    prior: Numbers
    several: bool

    @classmethod
    def of(cls, borne: Numbers, weight: np.ndarray, recordings: np.ndarray, *, several: bool) -> Self:
        """Set it up; the arguments are those of `_layer`."""
        weight = (weight / weight.sum()).astype(np.float64)
        parts = _parts(borne, recordings)
        asked, held = np.zeros_like(borne, dtype=bool), borne.sum(axis=0)
        for rows in parts:
            met, n_met = held - borne[rows].sum(axis=0), len(borne) - len(rows)  # those that teach meanwhile
            asked[rows] = (met > 0) & ((met < n_met) | (not several))
        if not several:
            asked = (asked & borne.astype(bool)).any(axis=1, keepdims=True)
        share = weight @ borne
        odds = share / np.maximum(1 - share, 1e-9) if several else share
        prior = np.log(np.where((share > 0) & (odds < 1e8), odds, 1.0))
        doubt = 1 / (len(np.unique(recordings)) + 2)
        aims = (borne * (1 - doubt) + doubt / (2 if several else borne.shape[1])).astype(np.float32)
        return cls(borne, aims, weight, parts, asked, prior, several)

    def fit(self, view: np.ndarray) -> _Fitted:
        """Return the discriminant of a view, (windows, values of it)."""
        sums = [_Sums.of(view[rows], self.borne[rows], self.weight[rows]) for rows in self.parts]
        whole = _Discriminant(reduce(operator.add, sums), several=self.several)
        pupils = [(np.arange(len(view)), whole)]
        if self.asked.any():
            others = [reduce(operator.add, sums[:part] + sums[part + 1 :]) for part in range(len(sums))]
            pupils = [
                (rows, _Discriminant(met, several=self.several))
                for rows, met in zip(self.parts, others, strict=True)
                if len(rows) and met.total > 0
            ]
        least = np.inf
        for shrinkage in _SHRINKAGES if self.asked.any() else (_USUAL,):
            answers = np.zeros(self.borne.shape, dtype=np.float32)
            for rows, pupil in pupils:
                answers[rows] = pupil.answer(view[rows], shrinkage)
            scale, loss = self.sureness(answers)
            if loss < least:
                least, chosen = loss, (shrinkage, scale, answers)
        shrinkage, scale, answers = chosen
        weights, bias = whole.at(shrinkage)
        return _Fitted(scale * weights, scale * bias, scale * answers)

    def sureness(self, answers: np.ndarray) -> tuple[float, float]:
        """Return what answers (windows, labels) are best multiplied by, and what they cost then."""
        from scipy.optimize import minimize_scalar  # here and not above: its import takes a tenth of a second

        if not self.asked.any():
            return _USUAL_SIZE / (float(np.abs(answers).mean()) or 1.0), 0.0
        counted = (self.weight[:, np.newaxis] * self.asked).astype(np.float32)
        aimed = counted * self.aims
        aimed_at = float((aimed * answers).sum(dtype=np.float64))
        aimed_for_nothing = float(aimed.sum(axis=0, dtype=np.float64) @ self.prior)
        logits = np.empty_like(answers)

        def loss(log_scale: float) -> float:
            """Return the cross entropy over what is asked."""
            scale = np.exp(log_scale)
            np.multiply(answers, np.float32(scale), out=logits)
            np.add(logits, self.prior.astype(np.float32), out=logits)
            cost = _softplus(logits) if self.several else _log_sum(logits)
            return float((counted * cost).sum(dtype=np.float64) - scale * aimed_at - aimed_for_nothing)

        least = minimize_scalar(loss, bounds=_LOG_SCALES, method="bounded", options={"xatol": _NEAR_ENOUGH})
        return float(np.exp(least.x)), float(least.fun)


def _parts(borne: Numbers, recordings: np.ndarray) -> list[np.ndarray]:
    """Return rows of the windows in parts that share no recording; of the same recordings always the same.

    A recording counts once, in however many windows it stands: it is one thing that a class is known by.
    """
    known, number = np.unique(recordings, return_inverse=True)
    if len(known) < 2:
        return [np.arange(len(borne))]
    held = np.zeros((len(known), borne.shape[1]), dtype=bool)
    window, label = np.nonzero(borne)
    held[number[window], label] = True
    k = min(_PARTS, len(known))
    part = deal(recordings_of(np.arange(len(known)), held), k, np.random.default_rng(0))[number]
    return [np.flatnonzero(part == each) for each in range(k)]


def _log_sum(logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of the sum of a row's powers, (rows, 1); changes the logits."""
    top = logits.max(axis=1, keepdims=True)
    np.subtract(logits, top, out=logits)
    powers = np.exp(logits, out=logits)
    total: np.ndarray = top + np.log(powers.sum(axis=1, keepdims=True))
    return total


def _softplus(logits: np.ndarray) -> np.ndarray:
    cost: np.ndarray = np.logaddexp(np.float32(0), logits, out=logits)
    return cost
