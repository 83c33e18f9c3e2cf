"""A rule that tells unknown sounds: fitted to a wished number of false alarms, and judged on what it was not fitted on.

The likeliest class's probability alone does not serve: networks are often surest of silence and of steady tones. The
rule is a small logistic regression on the whole answer (ln p of every label and its square), with clips of the classes
on one side and synthesised background on the other. Of most networks it tells more which labels are likely together: so
the product of each two is looked at too where that ranks background better of which the rule has not met the kind.

The threshold is what the wish is about. Background that the rule was fitted on passes seldomer than any other, so it
would promise too much. Each kind is scored by a rule that was fitted without it instead, and as the scores of two rules
cannot be compared, each is told as the part of the known clips that the same rule finds less known: its level. The
level that so many windows of unmet kinds reach as were wished is then the threshold. With no wish, it is the level that
three in a hundred known clips stay under, each told by a rule that was fitted without its fold.

It is judged by leaving out once more: the false alarms of each kind of background come from a rule for whose weights
and threshold that kind was not there, and what is kept of each fold's clips from one that was fitted without the fold.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.errors import DataError
from soundfold.evaluation.calibration import codes_of, cross_fitting_parts, truth_of
from soundfold.evaluation.calibration_result import UnknownScores
from soundfold.evaluation.intervals import bootstrap_interval, where_all_are_alike
from soundfold.evaluation.predictions import probabilities_in

__all__ = ["Rule", "fit_rule", "ranking", "unknown_scores"]

_DECAY = 10.0  # pulls the weights to zero, in clips
_ROWS_A_PRODUCT = 20  # clips and windows of background; with fewer, products would learn them by heart
_MOST_PRODUCTS = 120  # of 16 labels; hundreds of rules are fitted, and each step takes the cube of what it looks at
_STEPS = 30
_LOST = 0.03  # of the known clips, where no number of false alarms is wished
_FEWEST_KINDS = 3  # one to judge by, one to set the threshold by, one to fit

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Rule:
    """Centre, spread and weights, fitted to features of known sounds and of background; and the threshold, set later.

    Args:
        known: (n, features) of clips of the classes.
        background: (m, features).
        products: look at those of each two features too.
        near: a rule on much the same; where its weights are, these are looked for first.
    """

    def __init__(self, known: Numbers, background: Numbers, *, products: bool, near: "Rule | None" = None) -> None:
        self.products = products
        self.centre = known.mean(axis=0)
        spread = known.std(axis=0)
        self.spread = np.where(spread > 1e-6, spread, 1.0)
        rows = np.concatenate([known, background])
        labels = known.shape[1]
        self._pairs = np.triu_indices(labels, 1 if products else labels)
        is_known = np.arange(len(rows)) < len(known)
        # both sides count the same, however many there are
        weight = np.where(is_known, 0.5 / len(known), 0.5 / len(background)) * len(rows)
        start = None if near is None else near.weights
        self.weights: Numbers = _logistic(self._inputs(rows), is_known.astype(np.float64), weight, start)
        weights = self.weights[:-1]  # the offset is left to the threshold
        self.linear, self.square, self.product = np.split(weights, [labels, 2 * labels])
        self.threshold = -np.inf
        self._order = np.sort(self.scores(known))

    def scores(self, features: Numbers) -> Numbers:
        """Return the score of each row: the higher, the surer it is a known sound."""
        found: Numbers = self._inputs(features) @ np.concatenate([self.linear, self.square, self.product])
        return found

    def levels(self, features: Numbers) -> Numbers:
        """Return for each row the part of the known clips that are less known than it, 0 to 1."""
        found: Numbers = np.searchsorted(self._order, self.scores(features), "right") / len(self._order)
        return found

    def set_level(self, level: float, background: Numbers, share: float) -> None:
        """Let pass what reaches a level, unless more than a share of the fitted background would pass."""
        place = int(np.ceil(level * len(self._order)))
        above_all = float(np.nextafter(self._order[-1], np.inf))
        wished = float(self._order[place]) if place < len(self._order) else above_all
        self.threshold = max(wished, _threshold(self.scores(background), share))

    def knows(self, features: Numbers) -> npt.NDArray[np.bool_]:
        """Tell which rows are taken for known sounds."""
        found: npt.NDArray[np.bool_] = self.scores(features) >= self.threshold
        return found

    def _inputs(self, features: Numbers) -> Numbers:
        z = (features - self.centre) / self.spread
        first, second = self._pairs
        return np.hstack([z, z**2, z[:, first] * z[:, second]])


def fit_rule(
    known: Numbers, parts: Sequence[Flags], background: Numbers, kinds: npt.NDArray[np.str_], per_hour: float | None,
    window_s: float,
) -> Rule:  # fmt: skip
    """Return the rule that lets so many windows an hour of unmet background pass, or keeps nearly all known clips.

    Args:
        known: (n, features) of clips of the classes.
        parts: (n,) flags each, which clips are left out together; see `calibration.cross_fitting_parts`.
        background: (m, features).
        kinds: (m,) the kind of each background.
        per_hour: the wish; None to lose three known clips in a hundred and tell how many false alarms that means.
        window_s: seconds of a window.

    Raises:
        DataError: the wish is finer than the background can tell, or more than there are windows.
    """
    share = _share(per_hour, len(background), window_s)
    return _fitted(known, parts, background, kinds, share, products=_may_have_products(known, background))


def unknown_scores(
    table: pd.DataFrame, known: Numbers, background: Numbers, kinds: npt.NDArray[np.str_], per_hour: float | None,
    window_s: float, amid: tuple[Numbers, npt.NDArray[np.int64]] | None = None,
) -> UnknownScores:  # fmt: skip
    """Return how `fit_rule` does on what it was not fitted on.

    Args:
        table: out-of-fold predictions.
        known: (n, features) of them.
        background, kinds, per_hour, window_s: as `fit_rule` takes them; at least three kinds.
        amid: (k, features) of clips amid background, which no rule is fitted on, and their rows (k,).

    Raises:
        DataError: as `fit_rule`.
    """
    hourly = 3600 / window_s
    names = _names(kinds)
    if len(names) < _FEWEST_KINDS:
        raise DataError(f"background must be of at least {_FEWEST_KINDS} kinds, got {len(names)}. Synthesise more")
    share = _share(per_hour, len(background), window_s)
    parts = cross_fitting_parts(table)[0]
    products = _may_have_products(known, background)  # of all: what is judged must be what is made
    passed, rank = np.zeros(len(background), dtype=bool), []
    for kind in names:
        left = kinds == kind
        rule = _fitted(known, parts, background[~left], kinds[~left], share, products=products)
        passed[left] = rule.knows(background[left])
        rank.append(ranking(rule.scores(known), rule.scores(background[left])))
    heard, rows = amid or (known[:0], np.zeros(0, np.int64))
    kept, kept_amid = np.zeros(len(known), dtype=bool), np.zeros(len(heard), dtype=bool)
    for place, part in enumerate(parts):
        others = [other[~part] for other in (*parts[:place], *parts[place + 1 :])]
        rule = _fitted(known[~part], others, background, kinds, share, products=products)
        kept[part] = rule.knows(known[part])
        kept_amid[part[rows]] = rule.knows(heard[part[rows]])
    right = truth_of(table)[np.arange(len(table)), probabilities_in(table).argmax(axis=1)]
    recording = codes_of(table)
    return UnknownScores(
        wished_per_hour=per_hour,
        false_alarms_per_hour=float(passed.mean() * hourly),
        hours=len(background) / hourly,
        kept=float(kept.mean()),
        kept_ci95=_share_interval(kept, recording),
        kept_amid=float(kept_amid.mean()) if len(rows) else None,
        kept_amid_ci95=_share_interval(kept_amid, recording[rows]) if len(rows) else None,
        n_amid=len(rows),
        right_before=float(right.mean()),
        right_after=float(right[kept].mean()) if kept.any() else 0.0,
        auroc=float(np.mean(rank)),
        kinds={name: float(passed[kinds == name].mean() * hourly) for name in names},
    )


def _share_interval(kept: Flags, recording: npt.NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the interval of a share of clips, drawing recordings anew."""
    _, place = np.unique(recording, return_inverse=True)
    counts = np.stack([np.bincount(place, flags) for flags in (kept, np.ones_like(kept))], axis=1)
    intervals = bootstrap_interval(counts.astype(np.int64), lambda sums: sums[:, :1] / sums[:, 1:])
    return where_all_are_alike(intervals[0], float(kept.mean()), len(counts)) if intervals else None


def _names(kinds: npt.NDArray[np.str_]) -> list[str]:
    return [str(kind) for kind in dict.fromkeys(kinds.tolist())]


def _fitted(
    known: Numbers, parts: Sequence[Flags], background: Numbers, kinds: npt.NDArray[np.str_], share: float | None, *,
    products: bool,
) -> Rule:  # fmt: skip
    """Return a rule whose threshold was set by rules that were each fitted without a kind, or a part of the clips.

    Args:
        share: of windows of unmet background that may pass; None to set the threshold by the clips.
        products: may be looked at.
    """
    rule, without = _fitted_without_each(known, background, kinds, products=products)
    if share is None:
        levels = np.full(len(known), _LOST)
        for part in parts:
            if not part.all():
                other = Rule(known[~part], background, products=rule.products, near=rule)
                levels[part] = other.levels(known[part])
        rule.set_level(float(np.quantile(levels, _LOST)), background, 1.0)
    else:
        unmet = np.empty(len(background))
        for kind, other in without.items():
            unmet[kinds == kind] = other.levels(background[kinds == kind])
        rule.set_level(_threshold(unmet, share), background, share)
    return rule


def _fitted_without_each(
    known: Numbers, background: Numbers, kinds: npt.NDArray[np.str_], *, products: bool
) -> tuple[Rule, dict[str, Rule]]:
    """Return a rule, and one without each kind of background; with products if these rank the kinds left out better."""
    found, most = [], -np.inf
    for looked_at in (False, True) if products else (False,):
        rule = Rule(known, background, products=looked_at)
        without = {
            kind: Rule(known, background[kinds != kind], products=looked_at, near=rule) for kind in _names(kinds)
        }
        ranks = [
            ranking(other.scores(known), other.scores(background[kinds == kind])) for kind, other in without.items()
        ]
        if np.mean(ranks) > most:
            most, found = float(np.mean(ranks)), [(rule, without)]
    return found[0]


def _may_have_products(known: Numbers, background: Numbers) -> bool:
    pairs = known.shape[1] * (known.shape[1] - 1) // 2
    return bool(pairs <= min(_MOST_PRODUCTS, (len(known) + len(background)) / _ROWS_A_PRODUCT))


def ranking(known: Numbers, unknown: Numbers) -> float:
    """Return how often a known sound has a higher score than an unknown one (ties count half): the area under the ROC.

    >>> ranking(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    order = np.sort(unknown)
    below = np.searchsorted(order, known, "left") + np.searchsorted(order, known, "right")
    return float(below.mean() / 2 / len(unknown))


def _share(per_hour: float | None, windows: int, window_s: float) -> float | None:
    """Return the part of so many windows that a wish lets pass; None where nothing is wished."""
    if per_hour is None:
        return None
    hourly = 3600 / window_s
    least = hourly / windows
    if not least <= per_hour < hourly:
        raise DataError(
            f"false alarms must be at least {least:.3g} an hour, as {windows / hourly:.2g} h of background can tell no "
            f"fewer, and below the {hourly:g} windows of an hour, got {per_hour:g}. Choose a number between"
        )
    return per_hour / hourly


def _threshold(background: Numbers, share: float) -> float:
    """Return a threshold that at most this share of the background reaches."""
    order = np.sort(background)[::-1]
    allowed = int(share * len(order) + 1e-9)
    higher, lower = order[max(allowed - 1, 0)], order[min(allowed, len(order) - 1)]
    return float((higher + lower) / 2 if allowed and higher > lower else np.nextafter(lower, np.inf))


def _logistic(inputs: Numbers, target: Numbers, weight: Numbers, start: Numbers | None) -> Numbers:
    """Return the weights of a regularised logistic regression by Newton's method, and its offset after them.

    A step is halved until it lowers the loss, so that it ends wherever it begins.
    """
    rows = np.hstack([inputs, np.ones((len(inputs), 1))])
    pull = np.append(np.full(inputs.shape[1], _DECAY), 1e-6)
    found = np.zeros(rows.shape[1]) if start is None else start

    def loss(at: Numbers) -> float:
        logits = rows @ at
        return float(weight @ (np.logaddexp(0, logits) - target * logits) + 0.5 * pull @ at**2)

    now = loss(found)
    for _ in range(_STEPS):
        share = 0.5 + 0.5 * np.tanh(0.5 * (rows @ found))
        slope = rows.T @ (weight * (share - target)) + pull * found
        bend = (rows * (weight * share * (1 - share))[:, None]).T @ rows + np.diag(pull)
        step = np.linalg.solve(bend, slope)
        size = 1.0
        while (after := loss(found - size * step)) > now and size > 1e-6:
            size /= 2
        if now - after < 1e-9 * abs(now):
            break
        found, now = found - size * step, after
    return found
