"""What a job tells while it works; the command line draws it, a script may listen or not."""

from typing import TYPE_CHECKING, Protocol

from soundfold.data.clips import LeftOut
from soundfold.evaluation import LeftOutClip

if TYPE_CHECKING:
    from soundfold.training import EpochRecord

__all__ = ["Reporter", "SaidOnce", "Silent", "told"]


class Reporter(Protocol):
    """Listens to a job. Every method may be called from another thread than the caller's."""

    def note(self, sentence: str) -> None:
        """Take a sentence that the user should read."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Take how far a step has come."""

    def epoch(self, what: str, record: "EpochRecord", epochs: int) -> None:
        """Take a finished epoch of one training."""


class Silent:
    """A reporter that keeps everything to itself."""

    def note(self, sentence: str) -> None:
        """Say nothing."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Say nothing."""

    def epoch(self, what: str, record: "EpochRecord", epochs: int) -> None:
        """Say nothing."""


class SaidOnce:
    """A reporter that passes everything on, but no sentence twice: each of many runs would tell of the same clips."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self._said = reporter, set[str]()
        self.progress, self.epoch = reporter.progress, reporter.epoch

    def note(self, sentence: str) -> None:
        """Pass a sentence on, the first time."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._reporter.note(sentence)


def told(left_out: tuple[LeftOut, ...]) -> tuple[LeftOutClip, ...]:
    """Return the clips that were kept out, as results tell them."""
    return tuple(LeftOutClip(path=clip.path, reason=clip.reason) for clip in left_out)
