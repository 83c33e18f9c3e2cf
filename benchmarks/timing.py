"""Time: taking turns so that all sides meet the same machine, median and spread, and how a cost grows.

Nothing here knows what is measured. No numpy, so that the process that starts all others stays small.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles
from typing import Literal, TypeVar

__all__ = ["Better", "Growth", "Line", "Spread", "fit_line", "gains", "grows", "median_seconds", "spread", "take_turns"]

Better = Literal["more", "less"]
T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """Median and interquartile range of n values."""

    n: int
    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return how many values there are, their median, and the first and third quartile.

    >>> spread([4.0, 1.0, 3.0, 2.0, 5.0])
    Spread(n=5, median=3.0, low=2.0, high=4.0)
    """
    low, median, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * list(values)
    return Spread(len(values), median, low, high)


def take_turns(
    sides: Mapping[str, Callable[[], T]],
    rounds: int,
    on_turn: Callable[[str, int, T], None] | None = None,
) -> dict[str, list[T]]:
    """Let every side work once a round, in the same order, so that what disturbs the machine disturbs all alike.

    Args:
        sides: by name, what one turn does; it times itself and keeps its own warm-up out of it.
        rounds: turns a side.
        on_turn: called after each turn with the side, the round (from 1) and what the turn returned.

    Returns:
        By side, what its turns returned, in order: entry i of all sides was measured in the same round.
    """
    found: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        for name, turn in sides.items():
            found[name].append(turn())
            if on_turn is not None:
                on_turn(name, number, found[name][-1])
    return found


def median_seconds(once: Callable[[], object], times: int) -> float:
    """Return the median of some times in seconds; the first tenth, at least three, is warm-up."""
    seconds = []
    for _ in range(times + max(times // 10, 3)):
        started = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - started)
    return median(seconds[-times:])


def gains(ours: Sequence[float], theirs: Sequence[float], better: Better) -> list[float]:
    """Return, round by round, how many times better ours is: above 1 where ours wins.

    Args:
        ours, theirs: measured in turn, so that entry i of both belongs to one round.
        better: "more" for rates, "less" for times and sizes.

    >>> gains([200.0, 220.0], [100.0, 100.0], "more")
    [2.0, 2.2]
    >>> gains([1.0], [4.0], "less")
    [4.0]
    """
    pairs = zip(ours, theirs, strict=True)
    return [mine / other if better == "more" else other / mine for mine, other in pairs]


@dataclass(frozen=True)
class Growth:
    """A power law fitted to measured costs: cost = factor · size^exponent.

    Attributes:
        exponent: slope of the straight line through log size and log cost, by least squares; 1 is linear.
        error: its standard error; infinite with two points.
        last: slope between the two largest sizes, where what a start costs anyway weighs least.
    """

    exponent: float
    error: float
    last: float

    @property
    def word(self) -> str:
        """What the slope at the largest sizes means: `linear` is a measured word here, from 0.85 to 1.15."""
        if self.last > 1.15:
            return "more than linear"
        return "linear" if self.last >= 0.85 else "less than linear"


def grows(sizes: Sequence[float], costs: Sequence[float]) -> Growth:
    """Fit how a cost grows with a size.

    Args:
        sizes: two or more different ones, above 0.
        costs: above 0, one a size.

    >>> grows([1, 10, 100], [2, 20, 200]).word
    'linear'
    """
    points = sorted((math.log(size), math.log(cost)) for size, cost in zip(sizes, costs, strict=True))
    x, y = [point[0] for point in points], [point[1] for point in points]
    line = fit_line(x, y)
    return Growth(line.slope, line.error, (y[-1] - y[-2]) / (x[-1] - x[-2]))


@dataclass(frozen=True)
class Line:
    """A straight line through points: start + slope · x, and the slope's standard error."""

    start: float
    slope: float
    error: float


def fit_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit a straight line by least squares.

    >>> fit_line([0, 1, 2], [1, 3, 5])
    Line(start=1.0, slope=2.0, error=0.0)
    """
    middle, height = fmean(x), fmean(y)
    width = sum((one - middle) ** 2 for one in x)
    slope = sum((one - middle) * (other - height) for one, other in zip(x, y, strict=True)) / width
    start = height - slope * middle
    free = len(x) - 2
    left = sum((other - start - slope * one) ** 2 for one, other in zip(x, y, strict=True))
    return Line(start, slope, math.sqrt(left / free / width) if free else math.inf)
