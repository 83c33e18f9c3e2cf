"""Where the times of a file's frames leap: what is not there is silence, so that what follows keeps its time.

Each frame of these containers has a time of the writer's own; elsewhere times are guessed. Where one begins later than
the last one ended, nothing was in between: a recorder paused, or a page was lost.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from soundfold.audio.source import Waveform
from soundfold.errors import AudioError

__all__ = ["Gaps", "silence"]

_TELL_TIMES = ("matroska", "mov", "ogg")
_LEAST_S = 0.05  # less is rounding
_LONGEST_S = 60  # where no header says how long the sound is
_PIECE = 1 << 16


class Gaps:
    """Looks at frames in their order.

    Args:
        container: FFmpeg's name of it.
        told_s: seconds of sound that the header promises; None where it does not.
        name: what messages call the sound.
    """

    def __init__(self, container: str, told_s: float | None, name: str) -> None:
        self._tells_times = container.startswith(_TELL_TIMES)
        self._told_s, self._name = told_s, name
        self._end_s: float | None = None  # of the last frame, by the file's times

    def before(self, frame: Any, at_s: float) -> Iterator[Waveform]:
        """Yield silence (channels, n) for what lies between the last frame and this one.

        Args:
            frame: the next one, of PyAV.
            at_s: seconds of sound before it, silence too.

        Raises:
            AudioError: its time leaps beyond the end of the sound.
        """
        if not self._tells_times or frame.time is None:
            return
        begin_s, self._end_s = self._end_s, frame.time + frame.samples / frame.sample_rate
        gap_s = 0.0 if begin_s is None else frame.time - begin_s
        if gap_s <= _LEAST_S:
            return
        if gap_s > (_LONGEST_S if self._told_s is None else self._told_s - at_s):
            raise AudioError(
                f"{self._name}: is damaged at {at_s:.1f} s (its times leap by {gap_s:.1f} s). "
                "Fetch it again or remove it."
            )
        yield from silence(frame.layout.nb_channels, round(gap_s * frame.sample_rate))


def silence(channels: int, length: int) -> Iterator[Waveform]:
    """Yield pieces (channels, n) of so many samples of silence in all; none where that is no number above zero."""
    for begin in range(0, length, _PIECE):
        yield np.zeros((channels, min(_PIECE, length - begin)), np.float32)
