"""What every text format has in common, and which spans of a sound are told."""

from collections.abc import Sequence
from typing import Protocol

from soundfold.errors import SoundfoldError
from soundfold.runtime import Event, Prediction, Span

__all__ = ["EventFormat", "TextFormat", "told_spans", "window_events"]


class TextFormat(Protocol):
    """Answers as text, piece by piece; the pieces in order are the whole."""

    def head(self) -> str:
        """Return what stands before all sounds."""
        ...

    def sound(self, path: str, answer: Prediction | SoundfoldError) -> str:
        """Return a sound's answer, or what is told of one that failed."""
        ...

    def tail(self) -> str:
        """Return what stands after all sounds."""
        ...


class EventFormat(Protocol):
    """Events as text, as they come."""

    def head(self) -> str:
        """Return what stands before all events."""
        ...

    def events(self, path: str, events: Sequence[Event]) -> str:
        """Return events of the sound at a path."""
        ...


def told_spans(answer: Prediction, windows: bool = False) -> Sequence[Event]:
    """Return a sound's events, or every window as if it were one: of a model of several labels, one for each it told.

    Args:
        answer: of the sound.
        windows: tell windows in place of events.
    """
    return [event for span in answer.timeline for event in window_events(span)] if windows else answer.events


def window_events(span: Span) -> list[Event]:
    """Return a window as if it were an event: one a label that was told."""
    labels = span.labels or (span.label,)
    each = [(label, span.probabilities.get(label, span.probability)) for label in labels]
    return [Event(span.start_s, span.end_s, label, probability, probability) for label, probability in each]
