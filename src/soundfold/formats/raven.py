"""A selection table for Raven: a line an event, with tabs between, under the headings that Raven looks for.

Raven opens several sounds as one sequence and counts `Begin Time (s)` from the start of the first; `File Offset (s)`
counts from the start of the sound that `Begin Path` names.
"""

from collections.abc import Sequence

from soundfold.errors import SoundfoldError
from soundfold.formats.shape import told_spans
from soundfold.runtime import Event, Prediction
from soundfold.wording import on_one_line

__all__ = ["RavenSelections"]

_HEADING = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Begin Path",
    "File Offset (s)", "Label", "Probability", "Peak Probability",
)  # fmt: skip


class RavenSelections:
    """Events as a selection table. A sound that failed is left out of the sequence.

    Args:
        high_hz: upper edge of the selections, which are as high as what the model hears: half its sample rate.
        windows: every window in place of events.
    """

    def __init__(self, high_hz: float, windows: bool = False) -> None:
        self._high_hz = high_hz
        self._windows = windows
        self._before_s = 0.0
        self._count = 0

    def head(self) -> str:
        """Return the headings."""
        return "\t".join(_HEADING) + "\n"

    def sound(self, path: str, answer: Prediction | SoundfoldError) -> str:
        """Return a sound's lines."""
        if isinstance(answer, SoundfoldError):
            return ""
        lines = self.events(path, told_spans(answer, self._windows))
        self._before_s += answer.duration_s
        return lines

    def events(self, path: str, events: Sequence[Event]) -> str:
        """Return the lines of events of one sound alone."""
        lines = []
        for event in events:
            self._count += 1
            begin, end = (f"{self._before_s + at:.6f}" for at in (event.start_s, event.end_s))
            cells = (
                f"{self._count}", "Spectrogram 1", "1", begin, end, "0", f"{self._high_hz:g}", on_one_line(path),
                f"{event.start_s:.6f}", on_one_line(event.label), f"{event.probability:.4f}", f"{event.peak:.4f}",
            )  # fmt: skip
            lines.append("\t".join(cells) + "\n")
        return "".join(lines)

    def tail(self) -> str:
        """Return nothing."""
        return ""
