"""What a run is scored by: accuracy, or mean average precision where clips bear several labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from soundfold.evaluation.results import (
    CvResult,
    CvScores,
    EvaluateResult,
    FoldScore,
    MetScore,
    Scores,
    TrainResult,
    known,
)
from soundfold.wording import format_percent

__all__ = [
    "Measured",
    "Result",
    "fold_values",
    "headline",
    "interval_of",
    "is_of_several_labels",
    "measured",
    "value_of",
]

Result: TypeAlias = TrainResult | CvResult | EvaluateResult

_PRECISION = "mean average precision"


@dataclass(frozen=True)
class Measured:
    """A run's score, each number 0 to 1.

    Attributes:
        what: its name.
        value: the score; of a cross-validation the mean over folds.
        std: sample deviation over folds; None where there is none.
        pooled: of all clips together, which the interval is for.
        interval: of 95 %; None with too few recordings.
        chance: what knowing nothing of the sound would give.
    """

    what: str
    value: float
    std: float | None
    pooled: float
    interval: tuple[float, float] | None
    chance: float


class _Part(Protocol):
    @property
    def accuracy(self) -> float | None: ...

    @property
    def mean_average_precision(self) -> float | None: ...


def measured(result: Result | Scores | CvScores) -> Measured | None:
    """Return a run's score; None where nothing was held out, or no clip of it bears a label."""
    if result.accuracy is not None:
        pooled = known(result.accuracy_pooled) if isinstance(result, CvResult | CvScores) else result.accuracy
        std = result.accuracy_std if isinstance(result, CvResult | CvScores) else None
        # always answering the most frequent class
        chance = max((row.n for row in result.per_class or ()), default=0) / max(result.n, 1)
        return Measured("accuracy", result.accuracy, std, pooled, result.accuracy_ci95, chance)
    if result.mean_average_precision is None:
        return None
    value = result.mean_average_precision
    pooled = known(result.mean_average_precision_pooled) if isinstance(result, CvResult | CvScores) else value
    std = result.mean_average_precision_std if isinstance(result, CvResult | CvScores) else None
    borne = [row.n / max(result.n, 1) for row in result.per_class or () if row.n]  # what ranking by chance gives
    chance = sum(borne) / max(len(borne), 1)
    return Measured(_PRECISION, value, std, pooled, result.mean_average_precision_ci95, chance)


def headline(result: Result | CvScores) -> str:
    """Return the score as a title tells it: of a cross-validation mean and deviation over folds; a dash for none."""
    found = measured(result)
    if found is None:
        return "–"
    if found.std is not None:
        return f"{100 * found.value:.1f} ± {100 * found.std:.1f} %"
    return format_percent(found.value)


def is_of_several_labels(result: Result) -> bool:
    """Tell whether a run's clips bear several labels each."""
    return result.mean_average_precision is not None


def value_of(part: _Part) -> float | None:
    """Return the score of a part of a run's clips; None where none of them bears a label."""
    return part.mean_average_precision if part.accuracy is None else part.accuracy


def fold_values(folds: Sequence[FoldScore]) -> list[float]:
    """Return the scores of the folds that have one: those that the mean over folds is of."""
    return [value for fold in folds if (value := value_of(fold)) is not None]


def interval_of(part: MetScore | Scores) -> tuple[float, float] | None:
    """Return the 95 % interval of that score; None with too few recordings."""
    return part.accuracy_ci95 if part.mean_average_precision is None else part.mean_average_precision_ci95
