"""Scores from predictions: the table that is kept, metrics with their intervals, typed results, figures. No torch."""

from soundfold.evaluation.calibration import calibrate, fit_temperature, reliability, tempered
from soundfold.evaluation.calibration_result import (
    CalibrationScores,
    Reliability,
    ReliabilityBin,
    ThresholdScore,
    UnknownScores,
)
from soundfold.evaluation.figures import (
    draw_average_precisions,
    draw_confusion,
    draw_curves,
    save_png,
    score_title,
)
from soundfold.evaluation.intervals import RESAMPLES, bootstrap_interval, draw_recordings, fixed_generator
from soundfold.evaluation.metrics import score, score_folds
from soundfold.evaluation.predictions import (
    check_predictions,
    is_of_several,
    labels_in,
    predictions_table,
    probabilities_in,
)
from soundfold.evaluation.predictions_file import read_predictions, write_predictions
from soundfold.evaluation.results import (
    ClassScore,
    CvResult,
    CvScores,
    EvaluateResult,
    FoldScore,
    LeftOutClip,
    MetScore,
    PartScore,
    Scores,
    SeedScore,
    SeedScores,
    SplitSummary,
    TrainResult,
    known,
    unit_of,
)

__all__ = [
    "RESAMPLES",
    "CalibrationScores",
    "ClassScore",
    "CvResult",
    "CvScores",
    "EvaluateResult",
    "FoldScore",
    "LeftOutClip",
    "MetScore",
    "PartScore",
    "Reliability",
    "ReliabilityBin",
    "Scores",
    "SeedScore",
    "SeedScores",
    "SplitSummary",
    "ThresholdScore",
    "TrainResult",
    "UnknownScores",
    "bootstrap_interval",
    "calibrate",
    "check_predictions",
    "draw_average_precisions",
    "draw_confusion",
    "draw_curves",
    "draw_recordings",
    "fit_temperature",
    "fixed_generator",
    "is_of_several",
    "known",
    "labels_in",
    "predictions_table",
    "probabilities_in",
    "read_predictions",
    "reliability",
    "save_png",
    "score",
    "score_folds",
    "score_title",
    "tempered",
    "unit_of",
    "write_predictions",
]
