"""Lines for people: path, label and probability with tabs between, then the spans of a sound longer than a window."""

from soundfold.errors import SoundfoldError
from soundfold.formats.shape import on_one_line, told_spans
from soundfold.runtime import Event, Prediction
from soundfold.wording import SEPARATOR

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
        lines = [f"{on_one_line(path)}\t{SEPARATOR.join(told)}\t{each}"]
        if len(answer.timeline) > 1:
            lines += [f"  {event_line(event)}" for event in told_spans(answer, self._windows)]
        return "".join(f"{line}\n" for line in lines)

    def tail(self) -> str:
        """Return nothing."""
        return ""


def event_line(event: Event) -> str:
    """Return an event as people read it.

    >>> event_line(Event(1.0, 2.5, "dog", 0.75, 0.9))
    '     1.00 –      2.50 s\\tdog\\t0.750'
    """
    return f"{event.start_s:9.2f} – {event.end_s:9.2f} s\t{on_one_line(event.label)}\t{event.probability:.3f}"
