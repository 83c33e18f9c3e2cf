"""Where a source that cannot wait meets a listener that may be late: a bounded queue that tells what it had to drop."""

import threading
import time
from collections import deque
from typing import NamedTuple

import numpy as np

__all__ = ["Intake", "Piece"]

_MOST_S = 10.0


class Piece(NamedTuple):
    """Sound that came without a break.

    Attributes:
        lost: samples that were lost before it.
        block: (channels, samples) float32.
        at: when its last sample was there, by `time.monotonic`.
    """

    lost: int
    block: np.ndarray
    at: float


class Intake:
    """Takes blocks in one thread and gives them in another. A microphone does not wait, so what comes is never refused:
    of more than `most_s` seconds the oldest are dropped, and counted.

    Args:
        sample_rate: of the sound in Hz.
        most_s: seconds of sound that wait for a listener.
    """

    def __init__(self, sample_rate: int, most_s: float = _MOST_S) -> None:
        self._most = round(most_s * sample_rate)
        self._pieces: deque[Piece] = deque()
        self._waiting = 0
        self._ended: str | None = None
        self._changed = threading.Condition()

    def put(self, block: np.ndarray, *, lost: int = 0) -> None:
        """Take a block (channels, samples), and note how many samples the source itself lost before it."""
        at = time.monotonic()
        with self._changed:
            self._pieces.append(Piece(lost, block, at))
            self._waiting += block.shape[1]
            while self._waiting > self._most and len(self._pieces) > 1:
                dropped = self._pieces.popleft()
                self._waiting -= dropped.block.shape[1]
                after = self._pieces[0]
                self._pieces[0] = after._replace(lost=after.lost + dropped.lost + dropped.block.shape[1])
            self._changed.notify_all()

    def wait_for_room(self, give_up: threading.Event) -> None:
        """Wait until half of what may wait is taken; for sources that can wait."""
        with self._changed:
            while self._waiting > self._most // 2 and not give_up.is_set():
                self._changed.wait(0.1)

    def end(self, why: str = "") -> None:
        """Say that nothing more will come, and what went wrong if that is why."""
        with self._changed:
            self._ended = why
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Piece | None:
        """Return all that waits, up to the next loss; None where nothing comes in time."""
        with self._changed:
            if not self._pieces and self._ended is None:
                self._changed.wait(timeout_s)
            if not self._pieces:
                return None
            taken = [self._pieces.popleft()]
            while self._pieces and not self._pieces[0].lost:
                taken.append(self._pieces.popleft())
            self._waiting -= sum(piece.block.shape[1] for piece in taken)
            self._changed.notify_all()
        if len(taken) == 1:
            return taken[0]
        return Piece(taken[0].lost, np.concatenate([piece.block for piece in taken], axis=1), taken[-1].at)

    @property
    def ended(self) -> str | None:
        """None while more may come; else why it ended, "" where all went well. What waits can still be taken."""
        with self._changed:
            return None if self._pieces else self._ended
