"""Scores from predictions: the table that is kept, metrics with their intervals, typed results, figures. No torch."""

from soundfold.evaluation.figures import draw_confusion, draw_curves, draw_folds, save_png, score_title
from soundfold.evaluation.intervals import RESAMPLES, bootstrap_interval, draw_recordings, fixed_generator
from soundfold.evaluation.metrics import score, score_folds
from soundfold.evaluation.predictions import (
    check_predictions,
    labels_in,
    predictions_table,
    probabilities_in,
    read_predictions,
    write_predictions,
)
from soundfold.evaluation.results import (
    ClassScore,
    CvResult,
    CvScores,
    EvaluateResult,
    FoldScore,
    LeftOutClip,
    PartScore,
    Scores,
    SplitSummary,
    TrainResult,
)

__all__ = [
    "RESAMPLES",
    "ClassScore",
    "CvResult",
    "CvScores",
    "EvaluateResult",
    "FoldScore",
    "LeftOutClip",
    "PartScore",
    "Scores",
    "SplitSummary",
    "TrainResult",
    "bootstrap_interval",
    "check_predictions",
    "draw_confusion",
    "draw_curves",
    "draw_folds",
    "draw_recordings",
    "fixed_generator",
    "labels_in",
    "predictions_table",
    "probabilities_in",
    "read_predictions",
    "save_png",
    "score",
    "score_folds",
    "score_title",
    "write_predictions",
]
