"""What the workers of a pool share: the sounds that wait, given out evenly, and what the model files held."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from soundfold.errors import ModelFileError, SoundfoldError
from soundfold.runtime.answer import Prediction

__all__ = ["Answer", "Digests", "Share", "Task"]

Answer = Prediction | SoundfoldError

_AHEAD = 4  # sounds that a worker has at hand: it need not wait for the next, and short ones can share a pass


@dataclass
class Task:
    """A sound that waits for its answer.

    Attributes:
        key: tells its answer from others.
        called: what messages call it.
        request, content: what the worker is sent.
        until: when nobody waits for it any more, by `time.monotonic`.
        tries: how many processes it has ended.
        starts: how many processes could not begin that were to hear it.
    """

    key: int
    called: str
    request: bytes
    content: bytes = b""
    until: float | None = None
    future: "Future[Answer]" = field(default_factory=Future)
    tries: int = 0
    starts: int = 0


class Share:
    """Sounds that wait for a worker, given out evenly: nobody takes another one while one that is ready has fewer."""

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()
        self._held: dict[object, int] = {}
        self._ready: set[object] = set()
        self._changed = threading.Condition()
        self.is_over = False

    def put(self, task: Task) -> None:
        """Let a sound wait for a worker."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def take(self, worker: object, held: int, wait_s: float | None = None) -> Task | None:
        """Return the next sound for a worker that has so many; None where there is none for it.

        One that has none waits for it: `wait_s` seconds, or until all is over. One that is not ready gets none while
        another is.
        """

        def may_take() -> bool:
            return bool(self._tasks) and (worker in self._ready or not self._ready)

        with self._changed:
            self._held[worker] = held
            if not held:
                self._changed.wait_for(lambda: may_take() or self.is_over, wait_s)
            fewest = min((self._held.get(one, 0) for one in self._ready), default=held)
            if self.is_over or not may_take() or held >= _AHEAD or held > fewest:
                return None
            self._held[worker] += 1
            return self._tasks.popleft()

    def give_back(self, task: Task) -> None:
        """Let a sound that was taken wait again, before all others."""
        with self._changed:
            self._tasks.appendleft(task)
            self._changed.notify_all()

    def set_ready(self, worker: object, is_ready: bool) -> None:
        """Say whether a worker has a process that has opened the models."""
        with self._changed:
            (self._ready.add if is_ready else self._ready.discard)(worker)
            self._changed.notify_all()

    @property
    def is_ready(self) -> bool:
        """Whether any worker is."""
        return bool(self._ready)

    def close(self) -> list[Task]:
        """Let nobody wait any longer, and return the sounds that no worker has taken."""
        with self._changed:
            self.is_over = True
            self._changed.notify_all()
            left = list(self._tasks)
            self._tasks.clear()
            return left


class Digests:
    """What the model files held when they were opened first; a process that starts later must find the same.

    Args:
        models: the files.
        known: what they held, where somebody has opened them already.
    """

    def __init__(self, models: Sequence[Path], known: Sequence[str] | None = None) -> None:
        self._models = models
        self._known = known
        self._lock = threading.Lock()

    def check(self, found: Sequence[str]) -> None:
        """Raise `ModelFileError` where a file is not what it was."""
        with self._lock:
            known = self._known = self._known or found
        for model, before, now in zip(self._models, known, found, strict=True):
            if before != now:
                raise ModelFileError(f"{model}: was replaced while it was in use. Start again to use the new one")
