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
from soundfold.evaluation.measured import fold_values, headline, measured
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
    found, what = measured(scores), "Mean average precision" if scores.confusion is None else "Accuracy"
    reached, interval = (None, None) if found is None else (found.pooled, found.interval)
    title = score_title(reached, interval, scores.n, scores.n_recordings, what, unit=unit_of(scores))
    title += _by_fold(scores)
    if scores.confusion is None:
        figure = draw_average_precisions(
            [each.label for each in scores.per_class],
            [each.average_precision for each in scores.per_class],
            [each.n / scores.n for each in scores.per_class],
            title=title,
        )
        save_png(folder / _PRECISIONS, figure)
    else:
        save_png(folder / _CONFUSION, draw_confusion(scores.confusion, scores.labels, title=title))


def _by_fold(scores: Scores | CvScores) -> str:
    """Return a line of a title on how far the folds of a cross-validation lie apart; nothing where there is none."""
    if not isinstance(scores, CvScores):
        return ""
    values = fold_values(scores.folds)
    if len(values) < 2:  # one fold has no spread
        return ""
    ends = f"lowest {format_percent(min(values))}, highest {format_percent(max(values))}"
    return f"\n{counted(len(values), 'fold')}: {headline(scores)}, {ends}"
