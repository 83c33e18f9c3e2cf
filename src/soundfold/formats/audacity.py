"""Label tracks for Audacity: start, end and label a line, with tabs between. A track belongs to one sound."""

from collections.abc import Sequence

from soundfold.errors import SoundfoldError
from soundfold.formats.shape import told_spans
from soundfold.runtime import Event, Prediction
from soundfold.wording import on_one_line

__all__ = ["AudacityLabels"]


class AudacityLabels:
    """Events as a label track; File, Import, Labels opens it over its sound. Of a sound that failed, nothing.

    Args:
        windows: every window in place of events.

    References:
        Audacity manual, Importing and Exporting Labels.
    """

    def __init__(self, windows: bool = False) -> None:
        self._windows = windows

    def head(self) -> str:
        """Return nothing: a label track has no heading."""
        return ""

    def sound(self, path: str, answer: Prediction | SoundfoldError) -> str:
        """Return the track of a sound."""
        if isinstance(answer, SoundfoldError):
            return ""
        return self.events(path, told_spans(answer, self._windows))

    def events(self, path: str, events: Sequence[Event]) -> str:  # noqa: ARG002 (a track has no path)
        """Return the lines of events alone."""
        return "".join(f"{event.start_s:.6f}\t{event.end_s:.6f}\t{on_one_line(event.label)}\n" for event in events)

    def tail(self) -> str:
        """Return nothing."""
        return ""
