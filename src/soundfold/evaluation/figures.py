"""Pictures of results: the confusion matrix, average precisions, learning curves; and saving them as PNG.

Everything is drawn on `Figure` objects through the Agg canvas: neither pyplot nor any global setting of matplotlib is
touched, so figures can be drawn in threads, without a screen, and inside somebody's notebook. Colours can be told
apart by colour-blind people: one hue from light to dark for shades, Okabe and Ito's colours and different dashes for
lines. How text is made drawable stands in `lettering`. matplotlib is imported when a picture is drawn, not before.

References: Okabe, Ito (2008), Color Universal Design.
"""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from soundfold.atomic import replacing
from soundfold.errors import DataError
from soundfold.evaluation.lettering import drawable, font_families
from soundfold.wording import counted, format_interval, format_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_average_precisions", "draw_confusion", "draw_curves", "save_png", "score_title"]

_INK = "#222222"
_GRID = "#dddddd"
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", "-.", ":")
_COUNTED = 20  # up to so many classes the counts are written into the cells
_TICKED = 60  # beyond so many classes only every second, third… is named


def score_title(
    score: float | None, interval: tuple[float, float] | None, n: int, n_recordings: int | None = None,
    what: str = "Accuracy", *, unit: str = "recording",
) -> str:  # fmt: skip
    """Return the title of a figure: the score, how sure it is, and how much it rests on; two lines.

    `score` is None where there is none, as no clip bears a label.
    `unit` is what is drawn anew for the interval: "recording", or "file" where nothing tells recordings apart.

    >>> print(score_title(0.7143, (0.682, 0.7451), 888, 120))
    Accuracy 71.4 %
    95 % interval 68.2–74.5 %, 888 clips of 120 recordings
    """
    sure = f"95 % interval {format_interval(*interval)}" if interval else "no interval"
    rests = counted(n, "clip") + (f" of {counted(n_recordings, unit)}" if n_recordings is not None else "")
    return f"{what} {format_percent(score)}\n{sure}, {rests}"


def draw_confusion(
    confusion: npt.ArrayLike, labels: Sequence[str], *, unknown_labels: Sequence[str] = (), title: str = ""
) -> "Figure":
    """Draw a confusion matrix: each row is shaded by the share of its clips; counts are written up to 20 classes.

    Args:
        confusion: (labels + unknown labels, labels) whole numbers ≥ 0: rows are the truth, columns the prediction.
        labels: the model's labels; any text, long ones are shortened.
        unknown_labels: labels of the data that the model does not know, the last rows.
        title: text above, lines parted by newlines; `score_title` makes one.

    Raises:
        DataError: when the shape does not fit the labels.
    """
    clips = np.asarray(confusion)
    rows, columns = len(labels) + len(unknown_labels), len(labels)
    if clips.shape != (rows, columns) or not columns:
        raise DataError(
            f"confusion must have a row and a column for each label, in all ({rows}, {columns}), got {clips.shape}. "
            "Give the labels that the matrix was counted with."
        )
    shares = clips / np.maximum(clips.sum(axis=1, keepdims=True), 1)
    side = 0.5 if rows <= _COUNTED else max(0.2, 0.28 - rows / 500) if rows <= _TICKED else 12 / rows
    size = max(6.2, side * columns + 3.2), max(4.4, side * rows + 2.4)
    figure, axes = _sheet(size, title)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="equal", origin="upper")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.ax.set_yticklabels(["0", "25", "50", "75", "100 %"], color=_INK, fontsize=8)
    bar.set_label("share of the true class", color=_INK, fontsize=9)
    bar.outline.set_visible(False)
    small = 9 if rows <= _COUNTED else 7
    _name_ticks(axes, "x", labels, fontsize=small, rotation=90 if rows > _COUNTED else 45)
    _name_ticks(axes, "y", [*labels, *unknown_labels], fontsize=small)
    axes.set_xlabel("predicted", color=_INK)
    axes.set_ylabel("true", color=_INK)
    axes.tick_params(length=0)
    axes.spines[:].set_color(_GRID)
    if rows <= _COUNTED:
        longest = len(str(int(clips.max(initial=0))))
        for (row, column), share in np.ndenumerate(shares):
            shade = "white" if share > 0.55 else _INK if clips[row, column] else "#999999"
            fits = 9 if longest <= 4 else 36 / longest
            number = f"{int(clips[row, column])}"
            cell = axes.text(column, row, number, ha="center", va="center", color=shade, fontsize=fits)
            cell.set_in_layout(False)  # it fits, and measuring a hundred of them is half the work of the figure
    return figure


def draw_average_precisions(
    labels: Sequence[str], precisions: Sequence[float | None], chance: Sequence[float], *, title: str = ""
) -> "Figure":
    """Draw the average precision of each label as a bar, and what ranking by chance would give as a mark on it.

    Args:
        labels: any text, long ones are shortened.
        precisions: one a label, in 0..1; None where no clip bears it.
        chance: the share of clips that bear each label.
        title: text above.

    Raises:
        DataError: when there is no label, or not one number a label.
    """
    if not labels or not len(labels) == len(precisions) == len(chance):
        raise DataError(
            f"precisions and chance must be one a label and at least one, got {len(precisions)} and {len(chance)} for "
            f"{counted(len(labels), 'label')}. Give a finished run's scores."
        )
    rows = len(labels)
    figure, axes = _sheet((6.2, max(2.4, 0.3 * rows + 1.4) if rows <= _TICKED else 12), title)
    places = range(rows)
    axes.barh(places, [100 * (value or 0.0) for value in precisions], height=0.7, color=_LINES[0])
    axes.scatter([100 * share for share in chance], places, marker="|", s=120, color=_LINES[1])
    for place, value in zip(places if rows <= _TICKED else (), precisions, strict=False):
        told = "no clip" if value is None else f"{100 * value:.1f}"
        axes.text(101, place, told, va="center", ha="left", color=_INK, fontsize=8)
    _name_ticks(axes, "y", labels, fontsize=9 if rows <= _COUNTED else 7)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.set_ylim(rows - 0.5, -0.5)
    _dress(axes, "average precision, % (the mark: by chance)", "")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    return figure


def draw_curves(log: pd.DataFrame, *, title: str = "") -> "Figure":
    """Draw a training log over epochs: losses in one panel, accuracies in the other, one line a column.

    Args:
        log: a row an epoch, with the column `epoch` (without it the rows are counted from 1); every numeric column
            whose name holds `loss`, `acc` or `map` becomes a line. With a column `fold` each fold is a line of its own,
            and folds share their column's colour. Missing values are gaps.
        title: text above.

    Raises:
        DataError: when no column is a loss or an accuracy.
    """
    numeric = [str(name) for name in log.columns if pd.api.types.is_numeric_dtype(log[name])]
    panels = [
        (word, names)
        for word, part in (("loss", "loss"), ("accuracy", "acc"), ("mAP", "map"))
        if (names := [name for name in numeric if part in name.lower()])
    ]
    if not panels or log.empty:
        raise DataError(
            f"log must have rows, and a column whose name holds 'loss' or 'acc', got {counted(len(log), 'row')} of "
            f"{', '.join(str(name) for name in log.columns) or 'no columns'}. Give a run's log.csv."
        )
    from matplotlib.ticker import MaxNLocator

    runs = [run for _, run in log.groupby("fold", sort=False)] if "fold" in log.columns else [log]
    figure, first = _sheet((6.2, 3.0 * len(panels) + 0.6), title, rows=len(panels))
    sheets = [first] if len(panels) == 1 else list(figure.axes)
    for axes, (word, names) in zip(sheets, panels, strict=True):
        for k, name in enumerate(names):
            for i, run in enumerate(runs):
                epochs = run["epoch"].to_numpy() if "epoch" in run.columns else np.arange(1, len(run) + 1)
                axes.plot(
                    epochs,
                    run[name].to_numpy(dtype=np.float64, na_value=np.nan) * (1 if word == "loss" else 100),
                    color=_LINES[k % len(_LINES)],
                    linestyle=_DASHES[k % len(_DASHES)],
                    linewidth=1.5 if len(runs) == 1 else 0.8,
                    # a point between two gaps has no line to stand on
                    marker="o" if len(run) == 1 or run[name].isna().any() else "",
                    markersize=3,
                    label=drawable(name.replace("_", " "), k + 1) if i == 0 else None,
                )
        _dress(axes, "epoch" if axes is sheets[-1] else "", word if word == "loss" else f"{word}, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _legend(axes)
    return figure


def save_png(path: str | os.PathLike[str], figure: "Figure", *, dpi: int = 150) -> None:
    """Save a figure as PNG, whole or not at all; the same figure gives the same bytes.

    Args:
        path: the file to write; its folder must exist.
        figure: as the functions here draw it, or any other.
        dpi: dots per inch, ≥ 1.

    Raises:
        PathError: when the file cannot be written.
    """
    with replacing(path) as part, part.open("wb") as file:
        # The tight box trims what a square matrix leaves of an oblong sheet, and lets no long label be cut off.
        figure.savefig(
            file,
            format="png",
            dpi=dpi,
            facecolor=figure.get_facecolor(),
            bbox_inches="tight",
            pad_inches=0.15,
            metadata={"Software": None},
        )


def _sheet(size: tuple[float, float], title: str, rows: int = 1) -> "tuple[Figure, Axes]":
    """A white figure of `size` inches with `rows` panels, and the first panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, facecolor="white", layout="compressed")
    panels = np.atleast_1d(figure.subplots(rows, 1, sharex=True))
    for axes in panels:
        axes.set_facecolor("white")
        axes.tick_params(colors=_INK, labelsize=9)
    if title:
        lines = "\n".join(drawable(line, 0, width=90) for line in title.split("\n"))
        figure.suptitle(lines, color=_INK, fontsize=11, **_plainly(lines))
    return figure, panels[0]


def _plainly(text: str) -> dict[str, Any]:
    """Keywords that write `text` as it is: in fonts that have its letters, and with `$` as a dollar sign."""
    return {"fontfamily": font_families(text), "parse_math": False}


def _name_ticks(axes: "Axes", axis: str, names: Sequence[str], *, fontsize: float, rotation: float = 0) -> None:
    step = math.ceil(len(names) / _TICKED)
    texts = [drawable(name, k + 1) for k, name in enumerate(names)][::step]
    turned: dict[str, Any] = {"rotation": rotation, "ha": "right", "rotation_mode": "anchor"} if rotation else {}
    if rotation == 90:
        turned["va"] = "center"
    set_ticks = axes.set_xticks if axis == "x" else axes.set_yticks
    set_ticks(
        list(range(0, len(names), step)), texts, fontsize=fontsize, color=_INK, **turned, **_plainly("".join(texts))
    )


def _dress(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)


def _legend(axes: "Axes") -> None:
    legend = axes.legend(loc="best", fontsize=8, frameon=True, facecolor="white", edgecolor=_GRID, labelcolor=_INK)
    for text in legend.get_texts():
        text.set(**_plainly(text.get_text()))
