"""Lines for people: path, label and probability with tabs between, then the spans of a sound longer than a window.

The probability of an unknown sound is that of the class it is nearest to, which is told too.
"""

from soundfold.errors import SoundfoldError
from soundfold.formats.shape import window_events
from soundfold.runtime import Event, Prediction, Span
from soundfold.wording import SEPARATOR, on_one_line

__all__ = ["Table", "event_line"]


class Table:
    """Answers as lines for people; of a sound that failed, nothing.

    Args:
        windows: tell every window in place of events.
    """

    def __init__(self, windows: bool = False) -> None:
        self._windows = windows

    def head(self) -> str:
        """Return nothing: the lines need no heading."""
        return ""

    def sound(self, path: str, answer: Prediction | SoundfoldError) -> str:
        """Return a sound's lines."""
        if isinstance(answer, SoundfoldError):
            return ""
        told = answer.labels or (answer.label,)
        each = SEPARATOR.join(f"{answer.probabilities.get(label, answer.probability):.3f}" for label in told)
        lines = [f"{on_one_line(path)}\t{SEPARATOR.join(map(on_one_line, told))}\t{each}{_nearest(answer)}"]
        if len(answer.timeline) > 1 and self._windows:
            windows = ((event, span) for span in answer.timeline for event in window_events(span))
            lines += [f"  {event_line(event)}{_nearest(span)}" for event, span in windows]
        elif len(answer.timeline) > 1:
            lines += [f"  {event_line(event)}" for event in answer.events]
        return "".join(f"{line}\n" for line in lines)

    def tail(self) -> str:
        """Return nothing."""
        return ""


def _nearest(answer: Prediction | Span) -> str:
    """Return what stands behind the probability of something unknown."""
    return "" if answer.nearest is None else f"\tnearest: {on_one_line(answer.nearest)}"


def event_line(event: Event) -> str:
    """Return an event as people read it.

    >>> event_line(Event(1.0, 2.5, "dog", 0.75, 0.9))
    '     1.00 –      2.50 s\\tdog\\t0.750'
    """
    return f"{event.start_s:9.2f} – {event.end_s:9.2f} s\t{on_one_line(event.label)}\t{event.probability:.3f}"
