"""Charts as SVG that takes its colours from the page: bars, intervals, and curves over epochs."""

import math
from collections.abc import Iterable, Sequence

from soundfold.evaluation.report.markup import Html, element, join
from soundfold.evaluation.report.material import Curve
from soundfold.wording import format_percent

__all__ = ["SCALE", "barred_percent", "curves", "strip"]

SCALE = element("div", "0 to 100 %", class_="drawn")
"""The head of a column of strips."""

_WIDTH, _HEIGHT = 380, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 36
_MOST_POINTS = 200
_FEW = 3  # more lines than these are drawn thin
_TICKS = 5
_PANELS = (
    ("loss", "train_loss", "val_loss"),
    ("accuracy, %", "train_accuracy", "val_accuracy"),
    ("mean average precision, %", "", "val_map"),
)


def barred_percent(fraction: float) -> Html:
    """Return a part of a whole as a bar and in per cent; the bar says nothing more, so it is not read aloud."""
    picture = element(
        "svg",
        element("rect", width="100%", height="100%", rx="2", class_="rail"),
        element("rect", width=_percent(fraction), height="100%", rx="2", class_="bar"),
        class_="bars", aria_hidden="true",
    )  # fmt: skip
    return join(picture, element("span", format_percent(fraction), class_="percent"))


def strip(value: float, interval: tuple[float, float] | None, marks: Iterable[float] = ()) -> Html:
    """Return a score from 0 to 100 % as a dot on its interval.

    Args:
        value: the score, 0 to 1.
        interval: low and high, or None.
        marks: scores of the parts it is made of, as small ticks.
    """
    rail = [element("line", x1=_percent(x / 4), x2=_percent(x / 4), y1="2", y2="18", class_="grid") for x in range(5)]
    ticks = [element("line", x1=_percent(x), x2=_percent(x), y1="5", y2="15", class_="tick") for x in marks]
    span = None
    if interval is not None:
        span = element("line", x1=_percent(interval[0]), x2=_percent(interval[1]), y1="10", y2="10", class_="span")
    return element(
        "svg", *rail, span, *ticks, element("circle", cx=_percent(value), cy="10", r="4.5", class_="dot"),
        class_="strip", aria_hidden="true",
    )  # fmt: skip


def curves(trainings: Sequence[Curve]) -> Html | None:
    """Return loss, and accuracy or mean average precision, over epochs; None when no training has two epochs.

    Every network is a line of its own, named where a pointer rests on it; the colour and the dashes tell training from
    held-out clips.
    """
    if not any(len(training.epochs) > 1 for training in trainings):
        return None
    told = {key for run in trainings for key, line in run.lines.items() if any(value is not None for value in line)}
    panels = [_panel(trainings, *names) for names in _PANELS if told.intersection(names)]
    legend = element(
        "p",
        _sample("train"), " training clips, as the network saw them  ", _sample("val"), " held-out clips",
        class_="legend",
    )  # fmt: skip
    return element("div", legend, element("div", *panels, class_="panels"), class_="curves")


def _sample(kind: str) -> Html:
    line = element("line", x1="0", x2="28", y1="5", y2="5", class_=f"line {kind}")
    return element("svg", line, width="28", height="10", aria_hidden="true", class_="sample")


def _panel(trainings: Sequence[Curve], title: str, train: str, val: str) -> Html:
    factor = 100 if "%" in title else 1
    known = [value for run in trainings for key in (train, val) for value in run.lines.get(key, ())]
    found = [value * factor for value in known if value is not None and math.isfinite(value)]
    top = 100.0 if factor == 100 else max(found, default=1.0) or 1.0
    last = max((epoch for run in trainings for epoch in run.epochs), default=1)
    first = min((epoch for run in trainings for epoch in run.epochs), default=1)
    rows = _ticks(0, top)
    top = max(top, rows[-1])

    def x(epoch: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (epoch - first) / max(last - first, 1)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / top)

    drawn: list[Html] = []
    for row in rows:
        drawn.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_short(y(row)), y2=_short(y(row)), class_="grid"))
        drawn.append(_text(f"{row:g}", _LEFT - 6, y(row) + 4, "end"))
    columns = [tick for tick in _ticks(first, last) if first <= tick <= last and tick == int(tick)]
    drawn += [_text(f"{column:g}", x(column), _HEIGHT - _BOTTOM + 16, "middle") for column in columns]
    drawn.append(_text("epoch", (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, "middle"))
    for key, kind in ((train, "train"), (val, "val")):
        for run in trainings:
            points = [
                (x(epoch), y(value * factor))
                for epoch, value in _thinned(list(zip(run.epochs, run.lines.get(key, ()), strict=False)))
                if value is not None and math.isfinite(value)
            ]
            if points:
                drawn.append(element("g", element("title", run.name) if run.name else None, _line(points, kind)))
    picture = element(
        "svg", element("title", _told(trainings, title, train, val, factor)), *drawn,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", class_="chart many" if len(trainings) > _FEW else "chart",
    )  # fmt: skip
    return element("figure", element("figcaption", title), picture)


def _line(points: list[tuple[float, float]], kind: str) -> Html:
    if len(points) == 1:
        ((x, y),) = points
        return element("circle", cx=_short(x), cy=_short(y), r="2.5", class_=f"point {kind}")
    told = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
    return element("polyline", points=told, class_=f"line {kind}")


def _told(trainings: Sequence[Curve], title: str, train: str, val: str, factor: int) -> str:
    """Say where the lines end, for those who do not see them."""
    ends = []
    for key, what in ((train, "training clips"), (val, "held-out clips")):
        last = [found[-1] for run in trainings if (found := [v for v in run.lines.get(key, ()) if v is not None])]
        if len(last) > _FEW:
            ends.append(f"{what} end between {factor * min(last):.3g} and {factor * max(last):.3g}")
        elif last:
            ends.append(f"{what} end at " + ", ".join(f"{factor * value:.3g}" for value in last))
    each = "" if len(trainings) == 1 else ", a line a network"
    return f"{title} over epochs{each}: {'; '.join(ends) or 'nothing was looked at'}"


def _thinned(points: list[tuple[int, float | None]]) -> list[tuple[int, float | None]]:
    """Return at most about `_MOST_POINTS` points that have a value, the last one among them."""
    known = [point for point in points if point[1] is not None]
    step = math.ceil(len(known) / _MOST_POINTS) or 1
    return known[::-1][::step][::-1]


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from `low` to at least `high`, at most about six."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= _TICKS)
    start = math.floor(low / step)
    return [round(k * step, 10) for k in range(start, math.ceil(high / step) + 1)]


def _text(text: str, x: float, y: float, anchor: str) -> Html:
    return element("text", text, x=_short(x), y=_short(y), text_anchor=anchor)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _percent(fraction: float) -> str:
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%"
