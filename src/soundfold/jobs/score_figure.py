"""The figure of a run's scores: who is taken for whom, or of several labels how well each is found."""

from pathlib import Path

from soundfold.evaluation import (
    CvScores,
    Scores,
    draw_average_precisions,
    draw_confusion,
    save_png,
    score_title,
    unit_of,
)
from soundfold.wording import counted, format_percent

__all__ = ["has_score_figure", "save_score_figure"]

_CONFUSION, _PRECISIONS = "confusion.png", "average_precision.png"


def has_score_figure(folder: Path) -> bool:
    """Tell whether a run's folder holds the figure of its scores."""
    return (folder / _CONFUSION).exists() or (folder / _PRECISIONS).exists()


def save_score_figure(folder: Path, scores: Scores | CvScores) -> None:
    """Draw scores into a run's folder, which takes a second with the first import of what draws.

    Args:
        folder: gets confusion.png, or average_precision.png where clips bear several labels.
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
            title=title + _by_fold(scores),
        )
        save_png(folder / _PRECISIONS, figure)
    else:
        title = score_title(pooled or 0.0, scores.accuracy_ci95, *rests, unit=unit) + _by_fold(scores)
        save_png(folder / _CONFUSION, draw_confusion(scores.confusion, scores.labels, title=title))


def _by_fold(scores: Scores | CvScores) -> str:
    """Return a line of a title on how far the folds of a cross-validation lie apart; nothing where there is none."""
    if not isinstance(scores, CvScores):
        return ""
    several = scores.confusion is None
    reached = [fold.mean_average_precision if several else fold.accuracy for fold in scores.folds]
    values = [value for value in reached if value is not None]
    mean, std = scores.accuracy_mean, scores.accuracy_std
    if several:
        mean, std = scores.mean_average_precision, scores.mean_average_precision_std
    if mean is None or std is None:  # one fold has no spread
        return ""
    ends = f"lowest {format_percent(min(values))}, highest {format_percent(max(values))}"
    return f"\n{counted(len(values), 'fold')}: {100 * mean:.1f} ± {100 * std:.1f} %, {ends}"
