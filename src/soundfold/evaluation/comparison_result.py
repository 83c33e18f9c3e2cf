"""What `compare` returns: frozen models whose JSON is what `--json` prints. Fields and their meaning, no computing."""

from soundfold.evaluation.result_model import Frozen
from soundfold.evaluation.results import Fold, Interval

__all__ = ["ClassDifference", "CompareResult", "ComparedRun", "Comparison", "Disagreement", "FoldDifference"]


class FoldDifference(Frozen):
    """Accuracies of two runs on one fold, each by its network that was trained on the others.

    Of several labels a clip the mean average precisions stand in their place.
    """

    fold: Fold
    n: int
    accuracy_a: float | None = None
    accuracy_b: float | None = None
    mean_average_precision_a: float | None = None
    mean_average_precision_b: float | None = None
    difference: float | None
    """B - A; null where no clip of the fold bears a label."""


class ClassDifference(Frozen):
    """What two runs found of the clips of one label."""

    label: str
    n: int
    """Clips that bear the label."""
    recordings: int
    recall_a: float | None = None
    recall_b: float | None = None
    average_precision_a: float | None = None
    """Of several labels a clip, in the place of recall."""
    average_precision_b: float | None = None
    difference: float
    """B - A."""


class Disagreement(Frozen):
    """A clip that only one of two runs got right."""

    path: str
    start: float | None = None
    """Where the clip begins inside its file, in seconds; null for a whole file."""
    end: float | None = None
    label: str
    """The truth."""
    predicted_a: str
    predicted_b: str


class Comparison(Frozen):
    """Run B against run A, over the clips that both answered. Differences are B - A, in fractions."""

    a: str
    b: str
    n: int
    """Clips that both runs answered."""
    n_recordings: int
    """Recordings that these come from; where nothing tells recordings apart, each file counts as one."""
    groups_known: bool
    accuracy_a: float | None
    """Right clips over all clips that both answered; null where clips bear several labels."""
    accuracy_b: float | None
    mean_average_precision_a: float | None = None
    """Of all clips that both answered, where these bear several labels."""
    mean_average_precision_b: float | None = None
    difference: float
    difference_ci95: Interval | None
    """95 % interval of the difference, drawing recordings anew, the same ones for both; null with fewer than two."""
    p_value: float
    """Chance of a difference at least this large, either way, if the two runs' answers to a recording could as well
    be exchanged: an exact sign-flip permutation test over recordings, unless `p_drawn`."""
    p_drawn: bool = False
    """Whether `p_value` rests on exchanges drawn at random: of several labels a clip, with more than ten recordings."""
    p_corrected: float
    """The same after Holm's correction for all comparisons that were made at once; `p_value` where it was one."""
    beyond_chance: bool
    """Whether `p_corrected` is below 0.05."""
    both_right: int | None
    """This and the next three are null where clips bear several labels."""
    only_a_right: int | None
    only_b_right: int | None
    both_wrong: int | None
    folds: tuple[FoldDifference, ...] | None
    """One a fold, where both runs are cross-validations over the same folds; null otherwise."""
    fold_mean: float | None
    """Mean of the folds' differences, each fold counting the same."""
    fold_std: float | None
    """Sample deviation of the folds' differences (divided by folds - 1); null for fewer than two."""
    per_class: tuple[ClassDifference, ...]
    clips_only_a_right: tuple[Disagreement, ...]
    clips_only_b_right: tuple[Disagreement, ...]
    unmatched_a: int
    """Clips of A that B did not answer; they are left out."""
    unmatched_b: int
    notes: tuple[str, ...] = ()
    """What was assumed, and what the numbers do not say."""
    sentence: str
    """The finding in words."""

    @property
    def known_folds(self) -> list[float]:
        """The differences of the folds in which there was something to find."""
        return [fold.difference for fold in self.folds or () if fold.difference is not None]

    @property
    def of_several(self) -> bool:
        """Whether the clips bear several labels each."""
        return self.both_right is None

    @property
    def points(self) -> str:
        """What a hundredth of the difference is called."""
        return "points of mAP" if self.of_several else "points"


class ComparedRun(Frozen):
    """One of the runs that were compared."""

    name: str
    out: str
    """Its folder."""
    recipe: str
    split: str
    accuracy: float | None
    """What the run itself reports: in cross-validation the mean over folds; null where clips bear several labels."""
    mean_average_precision: float | None = None
    """The same, where clips bear several labels."""
    n: int


class CompareResult(Frozen):
    """What `soundfold compare` answers: every further run against the first."""

    kind: str
    """`train` or `cv`."""
    runs: tuple[ComparedRun, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()
    sentence: str
    """The findings in words, one after another."""
