"""Events: overlapping windows joined into what was heard from when to when.

How a moment's probability is formed. Between two neighbouring borders of windows (where one begins or ends) the same
windows cover every moment, and a class has there the mean of its probabilities in them. A network says that something
is in a window, not where; where most windows that hold it agree is where it is, so overlapping windows place it finer
than a window is long. With windows side by side a moment has its window's own probability.

An event of a class is a run of such moments at or above its threshold. Where a model answers with one label, that must
also be the likeliest there, so its events overlap only where a gap of one was bridged over another. A window that the
model's rule for unknown sounds refuses speaks for no class, however sure the network is: its probabilities count as 0.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundfold.errors import SoundfoldError
from soundfold.runtime.calibration import TOLD_FROM
from soundfold.runtime.card import ModelCard

__all__ = ["Event", "EventJoiner", "Joining"]


@dataclass(frozen=True, slots=True)
class Event:
    """What was heard from when to when.

    Attributes:
        start_s, end_s: where in the sound.
        label: the class.
        probability: the mean of its moments' probabilities, bridged gaps included.
        peak: the highest of them, bridged gaps left out.
    """

    start_s: float
    end_s: float
    label: str
    probability: float
    peak: float

    def as_dict(self) -> dict[str, Any]:
        """Return the event as JSON tells it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Joining:
    """How windows become events.

    Attributes:
        threshold: probability from which a class is heard, above 0, at most 1; None for the thresholds of the model
            where it was given some, and 0.5 else.
        min_s: shorter events are left out; gaps are bridged before that is asked.
        gap_s: a gap up to so long between two events of a class is bridged.

    Raises:
        SoundfoldError: one of them is out of range.
    """

    threshold: float | None = None
    min_s: float = 0.0
    gap_s: float = 0.0

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise SoundfoldError(
                f"threshold must be above 0 and at most 1, got {self.threshold}. Say 0.5, for instance"
            )
        for name, seconds in (("shortest event", self.min_s), ("gap", self.gap_s)):
            if not 0 <= seconds < math.inf:
                raise SoundfoldError(f"{name} must be a number of seconds from 0 on, got {seconds}. Leave it out for 0")


class EventJoiner:
    """Joins windows into events as they come, holding no more than the windows that cover one moment.

    Args:
        card: the model's.
        joining: how.
    """

    def __init__(self, card: ModelCard, joining: Joining | None = None) -> None:
        joining = joining or Joining()
        self._labels = card.labels
        self._rate = card.sample_rate
        self._only_likeliest = card.answer == "one"
        self._thresholds = _thresholds(card, joining.threshold)
        self._rule = card.rejection
        # half a sample of tolerance: seconds are no whole samples
        self._least = joining.min_s * card.sample_rate - 0.5
        self._gap = joining.gap_s * card.sample_rate + 0.5
        self._covering: deque[tuple[int, np.ndarray]] = deque()
        self._at = 0
        classes = len(card.labels)
        self._start = np.full(classes, -1, np.int64)  # of the event under way; -1 where there is none
        self._end = np.zeros(classes, np.int64)
        self._sum = np.zeros(classes)  # of probability times samples, up to its end
        self._since = np.zeros(classes)  # the same of the gap after it, which counts only once it is bridged
        self._peak = np.zeros(classes)

    def add(self, start: int, stop: int, probabilities: np.ndarray, *, silent: bool = False) -> list[Event]:
        """Take the next window; return the events that are over by now.

        Args:
            start, stop: its first sample and the one after its last, at the model's rate; no window may begin before
                the last one did.
            probabilities: (labels,) of the window.
            silent: there is nothing to hear in it.
        """
        over = self._move_to(start)
        row = np.asarray(probabilities, np.float64)
        if silent or (self._rule is not None and self._rule.is_unknown(row)):
            row = np.zeros_like(row)
        self._covering.append((stop, row))
        return over

    def finish(self) -> list[Event]:
        """Return the events that were under way when the sound ended; nothing can be added after it."""
        over = self._move_to(max((stop for stop, _ in self._covering), default=self._at))
        return over + self._close(self._start >= 0)

    def _move_to(self, start: int) -> list[Event]:
        """Go through the moments before `start`; all windows that cover them are known."""
        over: list[Event] = []
        borders = {stop for stop, _ in self._covering if self._at < stop < start}
        for border in (*sorted(borders), start):
            if border <= self._at:
                continue
            rows = [row for stop, row in self._covering if stop > self._at]
            mean = np.mean(rows, axis=0) if rows else np.zeros(len(self._labels))
            over += self._take(self._at, border, mean)
            self._at = border
        while self._covering and self._covering[0][0] <= start:
            self._covering.popleft()
        return over

    def _take(self, start: int, stop: int, mean: np.ndarray) -> list[Event]:
        """Take moments with the same probabilities."""
        heard = mean >= self._thresholds
        if self._only_likeliest:
            heard &= np.arange(len(mean)) == mean.argmax()
        begun = self._start >= 0
        fresh = heard & ~begun
        self._start[fresh] = start
        for values in (self._sum, self._since, self._peak):
            values[fresh] = 0.0
        self._since += mean * (stop - start)
        self._sum[heard] += self._since[heard]
        self._since[heard] = 0.0
        self._peak[heard] = np.maximum(self._peak[heard], mean[heard])
        self._end[heard] = stop
        return self._close(begun & ~heard & (stop - self._end > self._gap))

    def _close(self, which: np.ndarray) -> list[Event]:
        """End these classes' events and return those that last long enough."""
        over: list[Event] = []
        for k in np.flatnonzero(which):
            start, end = int(self._start[k]), int(self._end[k])
            if end - start >= self._least:
                mean = float(self._sum[k]) / (end - start)
                seconds = (start / self._rate, end / self._rate)
                over.append(Event(*seconds, self._labels[k], min(mean, 1.0), float(self._peak[k])))
        self._start[which] = -1
        return sorted(over, key=lambda event: (event.start_s, event.end_s, -event.probability))


def _thresholds(card: ModelCard, asked: float | None) -> np.ndarray:
    """Return the probability from which each class is heard (labels,)."""
    if asked is not None:
        return np.full(len(card.labels), asked)
    own = {} if card.calibration is None else card.calibration.thresholds
    return np.array([own.get(label, TOLD_FROM) for label in card.labels])
