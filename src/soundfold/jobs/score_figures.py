"""The figures of a run's scores: who is taken for whom, or of several labels how well each is found, and the folds."""

from pathlib import Path

from soundfold.evaluation import (
    CvScores,
    Scores,
    draw_average_precisions,
    draw_confusion,
    draw_folds,
    save_png,
    score_title,
    unit_of,
)

__all__ = ["has_score_figures", "save_score_figures"]

_CONFUSION, _PRECISIONS = "confusion.png", "average_precision.png"


def has_score_figures(folder: Path) -> bool:
    """Tell whether a run's folder holds the figure of its scores."""
    return (folder / _CONFUSION).exists() or (folder / _PRECISIONS).exists()


def save_score_figures(folder: Path, scores: Scores | CvScores) -> None:
    """Draw scores into a run's folder, which takes half a second a figure.

    Args:
        folder: gets confusion.png, or average_precision.png where clips bear several labels; of a cross-validation
            folds.png too.
        scores: of all clips that were held out.
    """
    pooled, average = scores.accuracy, scores.mean_average_precision
    if isinstance(scores, CvScores):
        pooled, average = scores.accuracy_pooled, scores.mean_average_precision_pooled
    rests, unit = (scores.n, scores.n_recordings), unit_of(scores)
    if scores.confusion is None:
        told = "Mean average precision"
        title = score_title(average or 0.0, scores.mean_average_precision_ci95, *rests, told, unit=unit)
        figure = draw_average_precisions(
            [each.label for each in scores.per_class],
            [each.average_precision for each in scores.per_class],
            [each.n / scores.n for each in scores.per_class],
            title=title,
        )
        save_png(folder / _PRECISIONS, figure)
    else:
        title = score_title(pooled or 0.0, scores.accuracy_ci95, *rests, unit=unit)
        save_png(folder / _CONFUSION, draw_confusion(scores.confusion, scores.labels, title=title))
    if isinstance(scores, CvScores):
        names = [fold.fold for fold in scores.folds]
        several = scores.accuracy is None
        values = [(fold.mean_average_precision if several else fold.accuracy) or 0.0 for fold in scores.folds]
        what = "mean average precision" if several else "accuracy"
        save_png(folder / "folds.png", draw_folds(names, values, what=what))
