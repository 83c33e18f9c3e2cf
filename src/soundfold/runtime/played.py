"""A file as a source of live sound: at the pace of a clock, or as fast as the listener takes it."""

import math
import threading
import time

from soundfold.audio import Source, probe, stream
from soundfold.errors import AudioError, SoundfoldError
from soundfold.runtime.intake import Intake

__all__ = ["PlayedFile"]

_BLOCK_S = 0.02


class PlayedFile:
    """Plays a file into an `Intake` from a thread of its own.

    Args:
        sound: the file.
        speed: how many times faster than it lasts; 0 for as fast as it is taken, and then nothing is ever dropped.

    Attributes:
        name: what is played.
        sample_rate: of the file.
        patience_s: without end; played slowly, a file gives little, and it tells by itself when it ends.

    Raises:
        PathError: there is no such file.
        AudioError: it is no sound, or the speed cannot be.
    """

    patience_s = math.inf

    def __init__(self, sound: Source, *, speed: float = 1.0) -> None:
        if not 0 <= speed < 1e6:
            raise AudioError(f"speed must be from 0 (as fast as can be) to a million, got {speed}. Say 1 for real time")
        info = probe(sound)
        self._sound, self._speed = sound, speed
        self._channels = min(info.channels, 2)
        self.name, self.sample_rate = str(sound), info.sample_rate
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, intake: Intake) -> None:
        """Begin to play."""
        self._thread = threading.Thread(target=self._play, args=(intake,), name="soundfold-played", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop playing; returns when the thread is gone."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def is_alive(self) -> bool:
        """Tell whether sound may still come."""
        return self._thread is not None and self._thread.is_alive()

    def _play(self, intake: Intake) -> None:
        begun, played = time.monotonic(), 0
        # blocks of 20 ms are for a clock; without one they would only cost time
        block_s = _BLOCK_S * max(self._speed, 1.0) if self._speed else 1.0
        try:
            for block in stream(self._sound, self.sample_rate, self._channels, block_s=block_s):
                played += block.shape[1]
                if self._speed:
                    # a block is there when its last sample has sounded, as with a microphone
                    self._wait_until(begun + played / self.sample_rate / self._speed)
                else:
                    intake.wait_for_room(self._stopping)
                if self._stopping.is_set():
                    break
                intake.put(block)
        except SoundfoldError as error:
            intake.end(str(error))
        else:
            intake.end()

    def _wait_until(self, moment: float) -> None:
        """Wait, bit by bit, as a tiny speed makes it longer than a system's clock can wait."""
        while (rest_s := moment - time.monotonic()) > 0 and not self._stopping.wait(min(rest_s, 60.0)):
            pass
