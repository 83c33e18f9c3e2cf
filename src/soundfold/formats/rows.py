"""Answers as rows of one table, the same for every kind of table."""

from collections.abc import Iterator
from typing import NamedTuple

from soundfold.errors import SoundfoldError
from soundfold.formats.shape import window_events
from soundfold.runtime import Event, Prediction

__all__ = ["Row", "event_row", "rows"]


class Row(NamedTuple):
    """A row.

    Attributes:
        path: the sound, as it was named.
        kind: `sound` for the answer over all of it, `event`, `window`, or `error`.
        start_s, end_s: which part of it.
        label: the class; a model of several labels has a row for each that it tells.
        probability: of that class; of an event, the mean.
        peak: the highest probability of an event.
        nearest: the likeliest class where the label says that the model does not know the sound.
        error: what is wrong with a sound that failed; it has no other row.
    """

    path: str
    kind: str
    start_s: float | None = None
    end_s: float | None = None
    label: str | None = None
    probability: float | None = None
    peak: float | None = None
    nearest: str | None = None
    error: str | None = None


def rows(path: str, answer: Prediction | SoundfoldError, windows: bool = False) -> Iterator[Row]:
    """Yield a sound's rows: the sound, then its events, or its windows.

    Args:
        path: as it was named.
        answer: what the model told, or what is wrong.
        windows: windows in place of events.
    """
    if isinstance(answer, SoundfoldError):
        yield Row(path, "error", error=str(answer))
        return
    for label in answer.labels or (answer.label,):
        probability = answer.probabilities.get(label, answer.probability)
        yield Row(path, "sound", 0.0, answer.duration_s, label, probability, nearest=answer.nearest)
    if not windows:
        for event in answer.events:
            yield event_row(path, event, event.peak)
        return
    for span in answer.timeline:
        for event in window_events(span):
            yield event_row(path, event, None)._replace(nearest=span.nearest)


def event_row(path: str, event: Event, peak: float | None) -> Row:
    """Return the row of an event; of a window where there is no peak."""
    kind = "window" if peak is None else "event"
    return Row(path, kind, event.start_s, event.end_s, event.label, event.probability, peak)
