"""The shape of a waveform: its channels, its length, and the windows that a long one is cut into.

Plain array work: nothing is decoded, resampled or drawn at random here.
"""

from typing import Literal, TypeAlias

import numpy as np

from soundfold.audio.source import Waveform
from soundfold.errors import AudioError

__all__ = [
    "SILENT_PEAK",
    "Downmix",
    "are_alike",
    "check_downmix",
    "fit_length",
    "holds_nothing",
    "remix",
    "windows",
    "windows_with_sound",
]

SILENT_PEAK = 2.0**-16
"""Half a step of 16 bits: what rounding, coding and resampling make of nothing stays below, the quietest dither does
not."""
_ENOUGH = 64  # samples, nearly always, to see that there is something

Downmix: TypeAlias = Literal["first", "mean"]


def remix(waveform: Waveform, channels: int, downmix: Downmix = "first") -> Waveform:
    """Return the waveform with another number of channels; with the same number, the array itself.

    One channel is repeated. Of more channels than wanted, `first` keeps the first ones, and `mean` averages all and
    repeats the average. Two or more channels are never turned into a larger number: what would the new ones hold?

    Args:
        waveform: `(channels, samples)`, float32.
        channels: the wanted number.
        downmix: how to come down.

    Returns:
        `(channels, samples)`, float32; a view where the first channels are kept.

    Raises:
        AudioError: the number of channels cannot be made.

    >>> remix(np.array([[1, 2], [3, 6]], np.float32), 1, "mean")
    array([[2., 4.]], dtype=float32)
    """
    _at_least("channels", channels, 1)
    check_downmix(downmix)
    found = waveform.shape[0]
    if found == channels:
        return waveform
    if found < channels:
        if found != 1:
            raise AudioError(f"channels must be at most {found} for a sound of {found} channels, got {channels}.")
        return _repeated(waveform, channels)
    if downmix == "first":
        return waveform[:channels]
    # Channel after channel, so that a sum never depends on how the array lies in memory or where a block begins.
    mean = waveform[0] + waveform[1]
    for channel in waveform[2:]:
        mean += channel
    mean /= np.float32(found)
    return _repeated(mean, channels)


def are_alike(waveform: Waveform) -> bool:
    """Tell whether all channels hold the same samples, as those of one channel do."""
    if len(waveform) == 1:
        return True
    beginning = waveform[:, :1024]  # most that differ differ there, and need no second look
    return bool((beginning[1:] == beginning[0]).all() and (waveform[1:] == waveform[0]).all())


def _repeated(samples: Waveform, channels: int) -> Waveform:
    # Twice as fast as np.repeat.
    waveform = np.empty((channels, samples.shape[-1]), np.float32)
    waveform[:] = samples
    return waveform


def check_downmix(downmix: str) -> None:
    """Raise an AudioError unless `downmix` is a way that `remix` knows."""
    if downmix not in ("first", "mean"):
        raise AudioError(f"downmix must be 'first' or 'mean', got {downmix!r}.")


def fit_length(waveform: Waveform, samples: int, offset: int | None = None) -> Waveform:
    """Return the waveform with exactly `samples` samples: cut at the end, or with silence around it.

    Args:
        waveform: `(channels, n)`, float32.
        samples: the wanted length.
        offset: samples of silence before a waveform that is too short, 0 to `samples - n`; None centres it, with
            `(samples - n) // 2` before. A waveform that is long enough has no silence, and any offset is passed over.

    Returns:
        `(channels, samples)`, float32; a view where it was cut, the array itself where it fits.

    Raises:
        AudioError: the offset leaves no room for the waveform.

    >>> fit_length(np.ones((1, 2), np.float32), 5)
    array([[0., 1., 1., 0., 0.]], dtype=float32)
    """
    _at_least("samples", samples, 1)
    n = waveform.shape[1]
    if n >= samples:
        return waveform if n == samples else waveform[:, :samples]
    room = samples - n
    before = room // 2 if offset is None else offset
    if not 0 <= before <= room:
        raise AudioError(f"offset must be from 0 to {room} to put {n} samples into {samples}, got {offset}.")
    fitted = np.zeros((waveform.shape[0], samples), np.float32)
    fitted[:, before : before + n] = waveform
    return fitted


def windows(samples: int, window: int, hop: int) -> list[tuple[int, int]]:
    """Return `(start, stop)` of windows that together cover every sample, in order.

    Windows begin every `hop` samples until one reaches the end, so the last may be shorter than the others.

    Args:
        samples: length of the sound.
        window: samples in a window.
        hop: samples from one beginning to the next, 1 to `window`; a longer one would pass over samples.

    Returns:
        At least one window; none is empty.

    Raises:
        AudioError: a number is below 1, or the hop is longer than the window.

    >>> windows(10, 4, 4)
    [(0, 4), (4, 8), (8, 10)]
    >>> windows(10, 4, 2)
    [(0, 4), (2, 6), (4, 8), (6, 10)]
    """
    for name, value in (("samples", samples), ("window", window), ("hop", hop)):
        _at_least(name, value, 1)
    if hop > window:
        raise AudioError(f"hop must be at most the window of {window} samples, got {hop}. Make it shorter.")
    count = 1 + max(0, -(-(samples - window) // hop))
    return [(start, min(start + window, samples)) for start in range(0, count * hop, hop)]


def windows_with_sound(waveform: np.ndarray, window: int, one: float = 1.0) -> list[tuple[int, int]]:
    """Return `(start, stop)` of the windows of a sound, one after another, that a network learns from and answers for.

    Those that hold nothing are none of them, as they have no say in an answer; where all do, all are.

    Args:
        waveform: (channels, samples).
        window: samples in a window.
        one: what a value of 1 stands for.
    """
    cut = windows(waveform.shape[1], window, window)
    if len(cut) == 1:
        return cut
    return [(start, stop) for start, stop in cut if not holds_nothing(waveform[:, start:stop], one)] or cut


def holds_nothing(waveform: np.ndarray, one: float = 1.0) -> bool:
    """Tell whether all samples (channels, samples) are nearer to zero than half a step of 16 bits.

    Args:
        waveform: any kind of numbers.
        one: what a value of 1 stands for.
    """
    least = SILENT_PEAK / one

    def within(part: np.ndarray) -> bool:
        return bool(part.max() <= least and part.min() >= -least)

    return within(waveform[:, :_ENOUGH]) and within(waveform)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise AudioError(f"{name} must be at least {least}, got {value}.")
