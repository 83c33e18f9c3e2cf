"""What `ladder` returns, and its verdict: how far up dear beats cheap beyond chance.

A rung is beaten by chance alone the more easily, the more rungs it is held against. So all pairs are compared, and
their p-values corrected together.
"""

from collections.abc import Sequence

from pydantic import Field

from soundfold.evaluation.comparison import p_in_words
from soundfold.evaluation.comparison_result import Comparison
from soundfold.evaluation.result_model import Frozen, OnlySome
from soundfold.evaluation.results import FoldScore, Interval

__all__ = ["LadderResult", "LeftOutRung", "Rung", "cheapest_unbeaten", "verdict"]


class Rung(Frozen):
    """One recipe's cross-validation, and what it costs.

    Accuracies are null where clips bear several labels, and mean average precisions are left out where they do not.
    """

    name: str
    """Of the recipe, or `majority`."""
    out: str
    """Its run's folder."""
    accuracy_mean: float | None
    """Mean over folds."""
    accuracy_std: float | None
    """Sample deviation over folds (divided by folds - 1); null for a single fold."""
    accuracy_pooled: float | None
    """Right clips over all clips."""
    accuracy_ci95: Interval | None
    """95 % interval of the pooled accuracy, drawing recordings anew."""
    mean_average_precision: OnlySome[float] = None
    """Mean over folds; left out too where no clip bears a label. This and the next three as those of accuracy."""
    mean_average_precision_std: OnlySome[float] = None
    mean_average_precision_pooled: OnlySome[float] = None
    mean_average_precision_ci95: OnlySome[Interval] = None
    macro_f1: float
    folds: tuple[FoldScore, ...]
    n: int
    train_s: float
    """Seconds in which any fold trained."""
    seconds: float
    """The whole run: with decoding and features, where these were not kept already, and with the model files."""
    file_bytes: int | None
    """Size of a model file; null where there is none."""
    latency_ms: float | None
    """Milliseconds that a model file takes for one window on one core: the median of some; null without a file."""

    @property
    def of_several(self) -> bool:
        """Whether the clips bear several labels each."""
        return self.accuracy_mean is None


class LeftOutRung(Frozen):
    """A rung that could not be tried, and why."""

    name: str
    reason: str


class LadderResult(Frozen):
    """What `soundfold ladder` answers; rungs from cheap to dear."""

    rungs: tuple[Rung, ...]
    left_out: tuple[LeftOutRung, ...]
    comparisons: tuple[Comparison, ...]
    """Every dearer rung (B) against every cheaper one (A), p-values corrected together; the lists of single clips are
    left empty, `soundfold compare` gives them."""
    cheapest_unbeaten: str
    """The cheapest rung that no dearer one beats beyond chance."""
    sentence: str
    """The verdict in words."""
    split: str
    seed: int
    seconds: float
    out: str
    versions: dict[str, str] = Field(default_factory=dict)
    hardware: str = ""


def cheapest_unbeaten(names: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """Return the first of some rungs that no later one beats beyond chance; the last one has no later one.

    Args:
        names: the rungs from cheap to dear, at least one.
        comparisons: of every pair, B the dearer.
    """
    beaten = {found.a for found in comparisons if found.beyond_chance and found.difference > 0}
    return next(name for name in names if name not in beaten)


def verdict(names: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """Return whether dear beats cheap, in words; its arguments are those of `cheapest_unbeaten`."""
    if len(names) == 1:
        return f"one rung only, {names[0]}: nothing to compare it with"
    best = cheapest_unbeaten(names, comparisons)
    if best == names[-1]:
        return f"dear beats cheap: every rung below {best}, the dearest, is beaten beyond chance by a dearer one"
    told = ", ".join(
        f"{found.b} {100 * found.difference:+.1f} {found.points}, {p_in_words(found.p_corrected)}"
        for found in comparisons
        if found.a == best
    )
    if best == names[0]:
        return f"dear does not beat cheap: no dearer rung beats {best} beyond chance ({told})"
    return f"dear beats cheap up to {best}: it is the cheapest rung that no dearer one beats beyond chance ({told})"
