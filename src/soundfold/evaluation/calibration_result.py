"""What is told of trust in a model's probabilities: typed, frozen, as JSON has it. Fields alone, no computing."""

from typing import Literal

from soundfold.evaluation.result_model import Frozen

__all__ = ["CalibrationScores", "CalledUnknown", "Reliability", "ReliabilityBin", "ThresholdScore", "UnknownScores"]

Interval = tuple[float, float]


class ReliabilityBin(Frozen):
    """Answers of about the same probability."""

    confidence: float
    """Mean probability of the answers."""
    accuracy: float
    """How many of them are right."""
    n: int


class Reliability(Frozen):
    """How often answers of each probability are right. Where clips bear several labels, each label is an answer."""

    ece: float
    """Expected calibration error: the mean of |confidence - accuracy| over bins of equally many answers."""
    ece_ci95: Interval | None
    """Drawing recordings anew; null with fewer than two."""
    log_loss: float
    """Mean of -ln(probability of the truth): lower is better, and a sure mistake costs most."""
    bins: tuple[ReliabilityBin, ...]


class ThresholdScore(Frozen):
    """The probability from which a label is told so that a wished precision is reached, and what that costs.

    All but the threshold is cross-fitted.
    """

    label: str
    threshold: float | None
    """Null where no threshold reaches the wish: the label is then never told."""
    told: int
    """Clips that are told to bear the label."""
    precision: float | None
    """Of those; null where there are none."""
    precision_ci95: Interval | None
    recall: float
    recall_without: float
    """Recall with no threshold (of several labels: with 0.5)."""


class UnknownScores(Frozen):
    """How well a rule tells sounds of the classes from background."""

    wished_per_hour: float | None
    """Null where none was wished, so that some 3 % of the clips are called unknown."""
    false_alarms_per_hour: float
    """Windows of background in an hour that are told to be a class; by kinds that the rule was not fitted on."""
    hours: float
    """How much background that is measured on."""
    kept: float
    """Clips of the classes that are not called unknown; by folds that the rule was not fitted on."""
    kept_ci95: Interval | None
    kept_amid: float | None = None
    """The same of `n_amid` clips that fill a window by part, with soft background around them; null where none is."""
    kept_amid_ci95: Interval | None = None
    n_amid: int = 0
    right_before: float
    """Accuracy over all clips."""
    right_after: float
    """Accuracy over the clips that are kept."""
    auroc: float
    """How well the score alone ranks clips of the classes above background: 0.5 is chance."""
    kinds: dict[str, float]
    """False alarms an hour of each kind of background, by a rule that was fitted without it."""


class CalledUnknown(Frozen):
    """What a model that may answer "unknown" made of labelled clips."""

    n: int
    """Clips that are called unknown."""
    right_of_others: float | None
    """Accuracy over the clips that are not; null where all are called unknown."""


class CalibrationScores(Frozen):
    """How far probabilities can be trusted, before and after they are divided by a temperature.

    Those after are cross-fitted: each part's temperature was fitted on the other parts alone.
    """

    temperature: float
    """Fitted on all clips; above 1 the network was too sure, below 1 not sure enough."""
    temperatures: tuple[float, ...]
    """The same fitted without each part in turn: how far it depends on the clips."""
    parts: Literal["folds", "recordings"]
    """What was left out in turn: folds, or (where there is one) fifths of the recordings."""
    before: Reliability
    after: Reliability
    precision: float | None = None
    """The precision that `thresholds` were made for; null where none was wished."""
    thresholds: tuple[ThresholdScore, ...] | None = None
    unknown: UnknownScores | None = None
    """How the rule for unknown sounds does; null where there is none."""

    @property
    def helps(self) -> bool:
        """Whether the log loss falls: the calibration error may fall by chance, its bins being few and uneven."""
        return self.after.log_loss < self.before.log_loss

    @property
    def taken(self) -> float:
        """The temperature that a calibrated model gets: 1 where the fitted one does not help."""
        return self.temperature if self.helps else 1.0
