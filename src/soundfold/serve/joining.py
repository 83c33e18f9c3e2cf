"""Windows of several sounds through the network together, without anybody waiting for company.

The key idea: as many passes run at once as there are cores. Windows that come while all of them run wait, and who is
free next takes several at a time. A lone request is never delayed; the busier the server, the fuller the passes.
"""

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from soundfold.runtime.windowing import MOST_WINDOWS

__all__ = ["Joiner"]


class _Asked:
    """What one thread asks for, and what came of it."""

    def __init__(self, batch: np.ndarray) -> None:
        self.batch = batch
        self.rows: np.ndarray | None = None
        self.error: Exception | None = None


class Joiner:
    """Joins the windows that threads bring into common passes; each gets its own rows back.

    Args:
        run: windows (batch, channels, window) → rows (batch, labels).
        passes: how many may run at once.
        on_pass: called with the number of windows of each pass.
    """

    def __init__(
        self, run: Callable[[np.ndarray], np.ndarray], passes: int, on_pass: Callable[[int], object] = lambda _: None
    ) -> None:
        self._run, self._passes, self._on_pass = run, passes, on_pass
        self._running = 0
        self._waiting: deque[_Asked] = deque()
        self._changed = threading.Condition()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Return the rows of a batch; what `run` raises is raised in every thread whose windows were in that pass."""
        asked = _Asked(batch)
        with self._changed:
            self._waiting.append(asked)
        while asked.rows is None and asked.error is None:
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        asked.rows is not None
                        or asked.error is not None
                        or (self._waiting and self._running < self._passes)
                    )
                )
                if asked.rows is not None or asked.error is not None:
                    break
                taken = self._take()
                self._running += 1
            self._answer(taken)
        if asked.error is not None:
            raise asked.error
        assert asked.rows is not None
        return asked.rows

    def _take(self) -> list[_Asked]:
        """Take the first that waits, and those behind it as long as they fit into the pass."""
        taken = [self._waiting.popleft()]
        windows = len(taken[0].batch)
        while self._waiting and windows + len(self._waiting[0].batch) <= MOST_WINDOWS:
            taken.append(self._waiting.popleft())
            windows += len(taken[-1].batch)
        return taken

    def _answer(self, taken: list[_Asked]) -> None:
        rows: np.ndarray | None = None
        error: Exception | None = None
        try:
            joined = taken[0].batch if len(taken) == 1 else np.concatenate([one.batch for one in taken])
            self._on_pass(len(joined))
            rows = self._run(joined)
        except Exception as failure:  # it belongs to those who asked, in their own threads
            error = failure
        with self._changed:
            self._running -= 1
            start = 0
            for one in taken:
                one.error = error
                if rows is not None:
                    one.rows = rows[start : start + len(one.batch)]
                start += len(one.batch)
            self._changed.notify_all()
