"""How long a run trained, and how fast, when trainings overlap: a second in which two folds train counts once."""

import threading
import time
from collections.abc import Mapping, Sequence

from soundfold.evaluation import TrainResult
from soundfold.jobs.reporting import Reporter
from soundfold.training import EpochRecord

__all__ = ["TrainingClock"]


class TrainingClock:
    """A reporter that passes everything on and measures the time that epochs take together.

    Args:
        reporter: hears what this one hears.
        clips: training clips of each training, by the name the reporter knows it by.
    """

    def __init__(self, reporter: Reporter, clips: Mapping[str, int]) -> None:
        self._reporter, self._clips = reporter, clips
        self._spans: list[tuple[float, float]] = []
        self._heard = dict.fromkeys(clips, 0.0)  # seconds of each training's epochs
        self._trained = 0
        self._lock = threading.Lock()

    def note(self, sentence: str) -> None:
        """Pass a sentence on."""
        self._reporter.note(sentence)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Pass a step's progress on."""
        self._reporter.progress(what, done, total)

    def epoch(self, what: str, record: EpochRecord, epochs: int) -> None:
        """Measure an epoch, which has just ended, and pass it on."""
        now = time.perf_counter()
        with self._lock:
            self._spans.append((now - record.train_s, now))
            self._heard[what] += record.train_s
            self._trained += self._clips[what]
        self._reporter.epoch(what, record, epochs)

    def seconds(self, results: Sequence[TrainResult]) -> float:
        """Return the seconds in which anything trained; what was trained before this run was resumed counts in full.

        Args:
            results: of the trainings, in the order of `clips`.
        """
        total, reached = 0.0, float("-inf")
        for start, end in sorted(self._spans):
            total += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return total + sum(self._earlier(results))

    def clips_per_second(self, results: Sequence[TrainResult]) -> float:
        """Return training clips over the seconds in which anything trained."""
        earlier = zip(self._earlier(results), results, strict=True)
        clips = self._trained + sum(seconds * (result.clips_per_second or 0.0) for seconds, result in earlier)
        return clips / max(self.seconds(results), 1e-9)

    def _earlier(self, results: Sequence[TrainResult]) -> list[float]:
        """Return the seconds of each training that were not heard here."""
        told = zip(self._heard.values(), results, strict=True)
        return [max(0.0, (result.train_s or 0.0) - heard) for heard, result in told]
