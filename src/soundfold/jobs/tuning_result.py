"""What `soundfold.tune` returns: the honest score of what was found, beside the recipe as it was, and what it cost.

The score is the accuracy; where clips bear several labels accuracies are null, and mean average precisions stand in
their place, which the JSON leaves out of other searches.
"""

from typing import Any

from pydantic import Field

from soundfold.evaluation import CvResult, CvScores
from soundfold.evaluation.comparison_result import Comparison
from soundfold.evaluation.result_model import Frozen, OnlySome
from soundfold.evaluation.results import Fold, Interval

__all__ = ["Kept", "SearchCost", "TuneResult", "TunedFold"]


class TunedFold(Frozen):
    """One outer test fold: what a search that never saw it found, and how that did on it."""

    fold: Fold
    n: int
    accuracy: float | None
    """Of the recipe that was found, trained on all other folds."""
    accuracy_untuned: float | None
    """Of the recipe as it was, trained on the same clips."""
    inner_accuracy: float | None
    """What the search saw of the recipe that was found; the best of many, so too high."""
    inner_accuracy_untuned: float | None
    mean_average_precision: OnlySome[float] = None
    """This and the next three as those of accuracy; of the fold also null where no clip of it bears a label."""
    mean_average_precision_untuned: OnlySome[float] = None
    inner_mean_average_precision: OnlySome[float] = None
    inner_mean_average_precision_untuned: OnlySome[float] = None
    changes: dict[str, Any]
    """The settings that were found; empty where nothing was better inside than the recipe as it was."""
    trials: int
    pruned: int


class SearchCost(Frozen):
    """What all searches cost together."""

    trials: int
    """Trials that count: trained to the end, given up, or equal to an earlier one."""
    pruned: int
    """Of these, given up early, or because their loss was no number any more."""
    refused: int
    """Draws that contradicted themselves and were not trained."""
    clip_passes: int
    """Times that a trial heard a training clip."""
    seconds: float
    """Seconds that trials took, summed over all processes; what a kill cut off is not counted."""


class Kept(Frozen):
    """The recipe to keep, from a search over all folds."""

    recipe: str
    """The file."""
    inner_accuracy: float | None
    """Cross-validated within that search; OPTIMISTIC, as it is the best of many. The honest score is the result's."""
    inner_accuracy_untuned: float | None
    inner_mean_average_precision: OnlySome[float] = None
    """This and the next as those of accuracy."""
    inner_mean_average_precision_untuned: OnlySome[float] = None
    changes: dict[str, Any]


class TuneResult(Frozen):
    """What `soundfold tune` answers. The headline is of recipes that were found without the fold that scores them."""

    accuracy: float | None
    """Mean over the outer folds; as `tuned.accuracy_mean`."""
    accuracy_mean: float | None
    accuracy_std: float | None
    accuracy_pooled: float | None
    accuracy_ci95: Interval | None
    mean_average_precision: OnlySome[float] = None
    """Mean over the outer folds; this and the next three as `tuned` has them."""
    mean_average_precision_std: OnlySome[float] = None
    mean_average_precision_pooled: OnlySome[float] = None
    mean_average_precision_ci95: OnlySome[Interval] = None
    folds: tuple[TunedFold, ...]
    tuned: CvScores
    """All scores of what was found, as `cv` tells them."""
    untuned: CvResult
    """The recipe as it was, under the same outer folds."""
    gain: Comparison
    """Tuned (B) against untuned (A), paired over the same clips."""
    search: SearchCost
    keep: Kept
    sentence: str
    """What was gained and what it cost, in words."""
    space: dict[str, Any]
    recipe: dict[str, Any]
    """Every setting of the recipe that was searched from."""
    notes: tuple[str, ...] = ()
    seconds: float
    """This command's whole work, wall clock."""
    out: str
    versions: dict[str, str] = Field(default_factory=dict)
    hardware: str = ""

    @property
    def knows_of_the_kept(self) -> bool:
        """Whether the gain tells what to expect of the kept recipe: not where no search that was scored found one."""
        return not self.keep.changes or any(fold.changes for fold in self.folds)
