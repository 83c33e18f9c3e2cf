"""Sounds on their way through a network: each asks for the rows of its windows, and one pass may serve several sounds.

The key idea: who hears a sound does not run the network. A hearing is a generator: it yields windows, is sent their
rows, and returns the answer. Whoever drives it decides what goes through the network together.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from soundfold.errors import AudioError
from soundfold.runtime.answer import Prediction, Span
from soundfold.runtime.card import ModelCard
from soundfold.runtime.events import Event, EventJoiner, Joining
from soundfold.runtime.silence import is_silent
from soundfold.runtime.verdict import has_no_say, judge_sound, span_of
from soundfold.runtime.windowing import MOST_WINDOWS, WindowCutter, batched, hop_samples, stacked

__all__ = ["Hearing", "Run", "UnderWay", "hear", "hear_alone", "hear_together"]

Run = Callable[[np.ndarray], np.ndarray]
"""Windows (batch, channels, window) → rows (batch, labels)."""

Hearing = Generator[np.ndarray, np.ndarray, Prediction]
"""Yields windows, takes their rows, and returns the answer."""

_NONE = np.empty(0)


def hear(
    card: ModelCard,
    blocks: Iterator[np.ndarray],
    name: str,
    *,
    hop_s: float | None = None,
    joining: Joining | None = None,
    every_probability: bool = True,
    on_heard: Callable[[float], object] | None = None,
) -> Hearing:
    """Hear a sound.

    Args:
        card: of the model that answers.
        blocks: the sound, (channels, samples) each, at the card's rate and channels.
        name: what the answer and messages call it; "" for none.
        hop_s, joining, every_probability, on_heard: as `Model.predict` takes them.

    Raises:
        AudioError: the sound holds nothing, or has samples too large for an answer; and what `blocks` raises.
    """
    cutter = WindowCutter(card.window, hop_samples(card, hop_s))
    joiner = EventJoiner(card, joining)
    spans: list[Span] = []
    events: list[Event] = []
    means = [_Mean(len(card.labels)) for _ in range(3)]  # of windows that are known, refused, silent
    heard_s = 0.0
    for batch in batched(chain((part for block in blocks for part in cutter.feed(block)), cutter.finish())):
        answers = yield stacked(batch, card.window)
        for (start, part), row in zip(batch, answers, strict=True):
            stop, silent = start + part.shape[1], is_silent(card, part)
            span = span_of(card, start, stop, row, silent=silent)
            spans.append(span if every_probability else _lean(span))
            events += joiner.add(start, stop, row, silent=silent)
            means[2 if silent else int(has_no_say(card, span, row))].add(row, part.shape[1])
        if on_heard is not None:
            on_heard(spans[-1].end_s - heard_s)
            heard_s = spans[-1].end_s
    if not spans:
        raise AudioError(f"{name or 'sound'}: holds no samples. Give a sound that lasts at least one sample")
    # what is like no class tells nothing of the sound, and silence still less, unless there is nothing else
    mean = next(one for one in means if one.samples).value()
    if not np.isfinite(mean).all():
        raise AudioError(f"{name or 'sound'}: its samples are too large for an answer. Scale them to -1 … 1")
    verdict = judge_sound(card, mean, spans)
    return Prediction(
        path=name,
        label=verdict.label,
        probability=verdict.probability,
        probabilities=dict(zip(card.labels, mean.tolist(), strict=True)),
        duration_s=spans[-1].end_s,
        timeline=tuple(spans),
        labels=verdict.labels,
        nearest=verdict.nearest,
        events=tuple(sorted([*events, *joiner.finish()], key=lambda event: (event.start_s, event.end_s))),
    )


class _Mean:
    """The mean of windows' rows (labels,), weighted by the samples of sound in each."""

    def __init__(self, labels: int) -> None:
        self._total = np.zeros(labels)
        self.samples = 0

    def add(self, row: np.ndarray, samples: int) -> None:
        """Take a window's."""
        self._total += row.astype(np.float64) * samples
        self.samples += samples

    def value(self) -> np.ndarray:
        """Return it."""
        mean: np.ndarray = self._total / self.samples
        return mean


def hear_alone(hearing: Hearing, run: Run) -> Prediction:
    """Return the answer of a hearing, whose windows have their passes to themselves."""
    try:
        windows = next(hearing)
        while True:
            windows = hearing.send(run(windows))
    except StopIteration as end:
        answer: Prediction = end.value
        return answer


class UnderWay:
    """A sound that is being heard.

    Args:
        key: whatever tells its answer from others.
        run: the network; only sounds of the same one share passes.
        hearing: the sound.

    Attributes:
        windows: what is to go through the network next; empty before the first and after each pass.
    """

    def __init__(self, key: Any, run: Run, hearing: Hearing) -> None:
        self.key, self.run = key, run
        self._hearing = hearing
        self._rows: np.ndarray | None = None
        self.windows = _NONE

    def go_on(self) -> None:
        """Have windows; what ends the hearing, be it its answer in a StopIteration, is raised."""
        self.windows = next(self._hearing) if self._rows is None else self._hearing.send(self._rows)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Take the rows of the windows, and return the rows of others that are left."""
        count = len(self.windows)
        self._rows, self.windows = rows[:count], _NONE
        return rows[count:]


def hear_together(
    more: Callable[[bool], UnderWay | None],
    *,
    on_turn: Callable[[Any], object] = lambda _: None,
    on_pass: Callable[[int], object] = lambda _: None,
) -> Iterator[tuple[Any, Prediction | Exception]]:
    """Yield key and answer, or what went wrong, of sounds as they come, several in a pass where there are several.

    All have their turn: who has just had a pass stands behind those who wait, so that a short sound need not wait for
    the end of a long one. Nobody waits for company, but who fits joins a pass that has room: many short sounds take a
    fifth less time so.

    Args:
        more: returns the next sound; asked with True it waits for one, and its None ends all; with False, None says
            that there is none at hand.
        on_turn: called with a sound's key before it is decoded on.
        on_pass: called with the number of windows of each pass.
    """
    waiting: deque[UnderWay] = deque()
    while True:
        while (one := more(not waiting)) is not None:
            waiting.append(one)
        if not waiting:
            return
        together: list[UnderWay] = []
        passed_over: list[UnderWay] = []
        while waiting and _room(together):
            one = waiting.popleft()
            try:
                if not len(one.windows):
                    on_turn(one.key)
                    one.go_on()
            except StopIteration as end:
                yield one.key, end.value
            except Exception as error:  # it is this sound's, and the others shall not suffer for it
                yield one.key, error
            else:
                fits = not together or (one.run == together[0].run and len(one.windows) <= _room(together))
                (together if fits else passed_over).append(one)
        waiting.extendleft(reversed(passed_over))
        if not together:
            continue
        windows = [one.windows for one in together]
        on_pass(sum(map(len, windows)))
        try:
            rows = together[0].run(windows[0] if len(windows) == 1 else np.concatenate(windows))
        except Exception as error:
            for one in together:
                yield one.key, error
            continue
        for one in together:
            rows = one.take(rows)
        waiting.extend(together)


def _room(together: list[UnderWay]) -> int:
    """Return how many windows more would fit into a pass."""
    return MOST_WINDOWS - sum(len(one.windows) for one in together)


def _lean(span: Span) -> Span:
    """Return a window's answer with the probabilities of what it tells alone."""
    told = {span.nearest or span.label, *(span.labels or ())}
    return replace(span, probabilities={label: span.probabilities[label] for label in told})
