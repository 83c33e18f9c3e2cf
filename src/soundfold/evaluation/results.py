"""What `train`, `cv` and `evaluate` return: frozen models whose JSON is what `--json` prints and `metrics.json` keeps.

Only fields and their meaning stand here; the scores are computed in `metrics`. `model_dump_json()` gives the JSON,
`model_validate_json()` takes it back without loss; fractions are in 0..1 and never rounded. Where each clip bears one
label, the fields of several labels are left out of the JSON; where clips bear several, accuracies and the confusion are
null.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from soundfold.evaluation.calibration_result import CalibrationScores, CalledUnknown
from soundfold.evaluation.result_model import Frozen, OnlySome

__all__ = [
    "ClassScore",
    "CvResult",
    "CvScores",
    "EvaluateResult",
    "FoldScore",
    "LeftOutClip",
    "MetScore",
    "PartScore",
    "Scores",
    "SeedScore",
    "SeedScores",
    "SplitSummary",
    "TrainResult",
    "known",
    "unit_of",
]


def known(score: float | None) -> float:
    """Return a score that is there, as an accuracy always is of scored clips that bear one label each.

    Raises:
        ValueError: it is not.
    """
    if score is None:
        raise ValueError("an accuracy must be known here; clips of several labels have none")
    return score


def unit_of(result: "_Scored | _MaybeScored") -> str:
    """Return what a result's intervals draw anew: "recording", or "file" where nothing tells recordings apart."""
    return result.interval_over.removesuffix("s")


def _whole_number(fold: object) -> object:
    """Fold names are text in the tables; in JSON those that are whole numbers are numbers."""
    return int(fold) if isinstance(fold, str) and fold.isdecimal() and str(int(fold)) == fold else fold


Fold = Annotated[int | str, BeforeValidator(_whole_number)]
Interval = tuple[float, float]
IntervalOver = Literal["recordings", "files"]
Matrix = tuple[tuple[int, ...], ...]


class ClassScore(Frozen):
    """Scores of one label, by scikit-learn's convention: a quotient whose divisor is zero is 0.

    With `n` = 0 nothing was there to be found: recall and F1 are then 0 by that convention and say nothing.
    """

    label: str
    n: int
    """Clips that bear the label."""
    recordings: int
    """Recordings that those clips come from; `interval_over` says whether they are files."""
    precision: float
    recall: float
    recall_ci95: Interval | None = None
    """95 % interval of the recall, drawing recordings anew; null with fewer than two of the label, and in results of
    earlier versions."""
    f1: float
    average_precision: OnlySome[float] = None
    """Of clips that bear several labels: how well this label's probabilities rank; null where no clip bears it."""


class PartScore(Frozen):
    """Accuracy over a part of the clips."""

    accuracy: float
    n: int


class MetScore(Frozen):
    """Scores of the clips whose recordings a model was trained on, or of the others alone; as in `_Scored`."""

    accuracy: float | None
    accuracy_ci95: Interval | None
    mean_average_precision: OnlySome[float] = None
    mean_average_precision_ci95: OnlySome[Interval] = None
    macro_f1: float
    n: int
    n_recordings: int


class FoldScore(Frozen):
    """Scores of one fold, by the network that was trained on the others."""

    fold: Fold
    accuracy: float | None
    mean_average_precision: OnlySome[float] = None
    macro_f1: float
    """Over the classes that occur in this fold."""
    n: int
    train_s: float | None = None
    """Seconds that training took; null when it was not measured."""


class SeedScore(Frozen):
    """What one network alone reaches on a split: mean and sample deviation (divided by seeds - 1) over the seeds."""

    fold: Fold | None
    mean: float
    std: float


class SeedScores(Frozen):
    """What one network alone is worth, where several that differ in their seed give the answer together."""

    seeds: tuple[int, ...]
    measure: str
    """`accuracy` or `mean_average_precision`."""
    mean: float
    """Mean over folds of the mean over seeds."""
    std_folds: float | None
    """Sample deviation over folds of the means over seeds; null for a single fold."""
    std_seeds: float
    """Sample deviation over seeds of the mean over folds: how far the headline of one network depends on its seed."""
    folds: tuple[SeedScore, ...]


class LeftOutClip(Frozen):
    """A clip that was not used, and why."""

    path: str
    reason: str


class SplitSummary(Frozen):
    """Which clips trained and which were scored."""

    name: str
    kind: str
    """`fold`, `random`, `recordings` or `all`."""
    fold: Fold | None = None
    n_train: int | None = None
    """Clips trained on; null where it is not known or differs from fold to fold."""
    n_test: int


class _Scored(Frozen):
    accuracy: float | None
    """Right clips over all clips; null where clips bear several labels. In cross-validation the headline: the mean over
    folds, as `accuracy_mean`."""
    accuracy_ci95: Interval | None
    """95 % interval of the accuracy over all clips (in cross-validation the pooled one), drawing recordings anew; null
    with fewer than two recordings. It holds the trained network fixed."""
    mean_average_precision: OnlySome[float] = None
    """Of clips that bear several labels: mean of the average precisions of the labels that occur in the truth. In
    cross-validation the headline: the mean over folds."""
    mean_average_precision_ci95: OnlySome[Interval] = None
    """As `accuracy_ci95`, of the mean average precision (in cross-validation the pooled one)."""
    n: int
    n_recordings: int
    """Recordings that the scored clips come from; where nothing tells recordings apart, files."""
    interval_over: IntervalOver = "recordings"
    """What `n_recordings` and `per_class[].recordings` count and the intervals draw anew."""
    macro_f1: float
    """Mean of F1 over the classes that occur in the truth (in cross-validation over all folds' clips together);
    scikit-learn's `f1_score(…, labels=those, average="macro", zero_division=0)`. Of several labels, one is told where
    its probability is above 0.5."""
    macro_f1_ci95: Interval | None
    labels: tuple[str, ...]
    """The model's labels, in the order of its outputs."""
    unknown_labels: tuple[str, ...] = ()
    """Labels of the data that the model does not know, sorted; their clips count as wrong. Where clips bear several
    labels, these are not scored."""
    per_class: tuple[ClassScore, ...]
    """One a label: `labels`, then `unknown_labels` (not where clips bear several labels)."""
    confusion: Matrix | None
    """Clips by truth (rows: `labels`, then `unknown_labels`) and by prediction (columns: `labels`); null where clips
    bear several labels."""
    foreground: PartScore | None = None
    """Clips whose `salience` is 1; null where the data does not say, or has none."""
    background: PartScore | None = None
    """Clips whose `salience` is 2."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: what was assumed, and what the numbers do not say."""


class _MaybeScored(Frozen):
    """As `_Scored`, for a run that may have scored nothing; each field means the same."""

    accuracy: float | None = None
    accuracy_ci95: Interval | None = None
    mean_average_precision: OnlySome[float] = None
    mean_average_precision_ci95: OnlySome[Interval] = None
    n: int = 0
    n_recordings: int | None = None
    interval_over: IntervalOver = "recordings"
    macro_f1: float | None = None
    macro_f1_ci95: Interval | None = None
    labels: tuple[str, ...]
    unknown_labels: tuple[str, ...] = ()
    per_class: tuple[ClassScore, ...] | None = None
    confusion: Matrix | None = None
    foreground: PartScore | None = None
    background: PartScore | None = None
    notes: tuple[str, ...] = ()


class _CvScored(_Scored):
    accuracy_mean: float | None
    """Mean over folds, each fold counting the same."""
    accuracy_std: float | None
    """Sample deviation over folds (divided by folds - 1); null for a single fold."""
    accuracy_pooled: float | None
    """Right clips over all clips, all folds together."""
    mean_average_precision_std: OnlySome[float] = None
    """This and the next as those of accuracy."""
    mean_average_precision_pooled: OnlySome[float] = None
    folds: tuple[FoldScore, ...]


class _Account(Frozen):
    recipe: dict[str, Any]
    """Every setting of the run."""
    split: SplitSummary
    leaks: dict[str, Any] | None = None
    """What stands on both sides of the split; null where it cannot be known."""
    seconds: float
    """The whole work, wall clock."""
    clips_per_second: float | None = None
    """Training clips over training time (`evaluate`: scored clips over scoring time); the store's building apart."""
    store_s: float | None = None
    """Seconds spent on decoding the clips into the store, and on their features."""
    train_s: float | None = None
    """Seconds spent on training."""
    left_out: tuple[LeftOutClip, ...] = ()
    out: str | None = None
    """The run's folder."""
    files: OnlySome[dict[str, str]] = None
    """A short text for each file beside this that belongs to it, by which it is known again (BLAKE2b)."""
    versions: dict[str, str] = Field(default_factory=dict)
    """soundfold, python, torch…"""
    hardware: str = ""


class Scores(_Scored):
    """All scores of one table of predictions."""


class CvScores(_CvScored):
    """All scores of the out-of-fold predictions of a cross-validation."""


class TrainResult(_Account, _MaybeScored):
    """What `soundfold train` answers; the scores are null when all clips were trained on and none was held out."""

    seeds: OnlySome[SeedScores] = None
    """Of several networks, whose mean answer is scored in the other fields: what one of them alone is worth."""
    calibration: OnlySome[CalibrationScores] = None
    """What the model was calibrated by, on the answers of the cross-validation that `--calibrate` named."""
    learned_on: OnlySome[bool] = None
    """Whether the network learned on, where a trial decided that (`training.trial`)."""


class EvaluateResult(_Account, _Scored):
    """What `soundfold evaluate` answers."""

    met: MetScore | None = None
    """The clips of recordings (or files) that the model was trained on; null where there are none, or none known."""
    not_met: MetScore | None = None
    """The clips of recordings that it was not trained on, which is what to expect in use; null where there are none, or
    where the model file or the data does not tell."""
    called_unknown: OnlySome[CalledUnknown] = None
    """Of a model with a rule for unknown sounds or with thresholds, and one label a sound; the other scores are by the
    likeliest label, whatever is told."""


class CvResult(_Account, _CvScored):
    """What `soundfold cv` answers."""

    seeds: OnlySome[SeedScores] = None
    calibration: OnlySome[CalibrationScores] = None
    """How far its probabilities can be trusted, and by which temperature they could be more."""
    model: str | None = None
    """The model file that joins the folds' networks, where one was asked for."""
