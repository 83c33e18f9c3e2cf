"""The figures of a run's scores: who is taken for whom, or of several labels how well each is found, and the folds.

Drawing takes half a second a figure, of which nothing else has need. So whoever has more to do meanwhile lets a process
beside do it, which ends when it has drawn all that it was given, even if nobody waits for it any more.
"""

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from soundfold.children import start_child
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

__all__ = ["drawing_beside", "has_score_figures", "save_score_figures"]

_CONFUSION, _PRECISIONS = "confusion.png", "average_precision.png"


def has_score_figures(folder: Path) -> bool:
    """Tell whether a run's folder holds the figure of its scores."""
    return (folder / _CONFUSION).exists() or (folder / _PRECISIONS).exists()


def save_score_figures(folder: Path, scores: Scores | CvScores) -> None:
    """Draw scores into a run's folder; within `drawing_beside`, by its end.

    Args:
        folder: gets confusion.png, or average_precision.png where clips bear several labels; of a cross-validation
            folds.png too.
        scores: of all clips that were held out.
    """
    beside = _beside.get()
    if beside is None:
        _draw(folder, scores)
    else:
        beside.draw(folder, scores)


@contextmanager
def drawing_beside() -> Iterator[None]:
    """Let a process draw the figures that are saved within; wait for it at the end."""
    drawing = _Beside()
    token = _beside.set(drawing)
    try:
        yield
        drawing.finish()
    finally:
        _beside.reset(token)
        drawing.let_go()


class _Beside:
    """A process that draws."""

    def __init__(self) -> None:
        # at once: it loads while there is nothing to draw yet
        self._process = start_child("from soundfold.jobs.score_figures import draw_for_parent; draw_for_parent()")
        self._asked: list[tuple[Path, Scores | CvScores]] = []

    def draw(self, folder: Path, scores: Scores | CvScores) -> None:
        """Have scores drawn."""
        self._asked.append((folder, scores))
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone, and what it has not drawn is drawn at the end
            pickle.dump((folder, scores), self._process.stdin)
            self._process.stdin.flush()

    def finish(self) -> None:
        """Wait until all is drawn; what the process could not draw is drawn here, and whatever is wrong raised."""
        told, _ = self._process.communicate()
        for folder, scores in self._asked[told.count(b"\n") :]:
            _draw(folder, scores)

    def let_go(self) -> None:
        """Wait for nothing: the process ends by itself."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


_beside: ContextVar[_Beside | None] = ContextVar("_beside", default=None)


def draw_for_parent() -> None:
    """Draw what comes on standard input, and tell of each with an empty line; what the process runs."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401 (while nothing is asked)

    while True:
        try:
            folder, scores = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # the parent has no more, or is gone
            return
        try:
            _draw(folder, scores)
        except Exception:  # the parent will meet it, and tell
            return
        with suppress(OSError):  # the parent has gone on without waiting
            os.write(1, b"\n")


def _draw(folder: Path, scores: Scores | CvScores) -> None:
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
