"""The building blocks of synthetic sound: oscillators, noise, envelopes, and the fast routes through numpy they share.

Only signal blocks that know nothing of sound classes live here. Everything is float32, mono, shape (samples,), and
costs a few nanoseconds a sample: slow curves are computed once every `CONTROL` samples and drawn out by straight lines,
tones are read from one-cycle tables, and noise is made in the spectrum, where colouring it costs one multiplication.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CONTROL",
    "Curve",
    "Waveform",
    "coloured_noise",
    "control_times",
    "draw_out",
    "fast_length",
    "formants",
    "harmonics",
    "log_uniform",
    "noise",
    "overtones",
    "phase",
    "place",
    "response",
    "ring",
    "spectrum",
    "swell",
    "switched",
]

Waveform = NDArray[np.float32]
Curve = NDArray[np.floating[Any]]

CONTROL = 64
"""Samples between two points of a slow curve (1.5 ms at 44.1 kHz)."""
_CYCLE = 8192
_LOOP = 1 << 18
_GRID = 4096


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number between `low` and `high`, every octave alike."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def fast_length(samples: int) -> int:
    """Return the shortest length of at least `samples` that a Fourier transform likes: 2^a 3^b 5^c, a multiple of 8.

    >>> fast_length(176_400), fast_length(1)
    (180000, 8)
    """
    best = 1 << max(samples - 1, 7).bit_length()
    fives = 8
    while fives < best:
        threes = fives
        while threes < best:
            twos = threes << max((-(-samples // threes) - 1).bit_length(), 0)
            best = min(best, twos)
            threes *= 3
        fives *= 5
    return best


def draw_out(values: Curve, step: int, samples: int) -> Waveform:
    """Draw straight lines between points that stand `step` samples apart.

    Args:
        values: at least `samples / step + 1` points.
        step: samples between two points.
        samples: length of the answer.
    """
    return _lines(values[:-1], np.diff(values), step)[:samples]


def _lines(start: Curve, rise: Curve, step: int) -> Waveform:
    """Return `step` samples of each line, end to end."""
    low, slope = start.astype(np.float32), rise.astype(np.float32)
    drawn = np.empty((len(low), step), dtype=np.float32)
    if step <= 16:  # broadcasting over so short an axis is many times slower than one strided pass each
        for place in range(step):
            np.multiply(slope, np.float32(place / step), out=drawn[:, place])
            drawn[:, place] += low
    else:
        np.multiply(slope[:, None], np.arange(step, dtype=np.float32) / np.float32(step), out=drawn)
        drawn += low[:, None]
    return drawn.reshape(-1)


def control_times(samples: int, sample_rate: int) -> Curve:
    """Return the times in seconds at which slow curves for `samples` samples are computed."""
    return np.arange(samples // CONTROL + 2) * (CONTROL / sample_rate)


def swell(times: Curve, points_hz: float, rng: np.random.Generator) -> Curve:
    """Return a slow random curve between about -1 and 1 that changes direction `points_hz` times a second."""
    points = max(int(times[-1] * points_hz) + 3, 4)
    values = rng.uniform(-1, 1, points)
    curve: Curve = np.sin(np.interp(times * points_hz, np.arange(points), values) * (np.pi / 2))
    return curve


def phase(frequency_hz: Curve, samples: int, sample_rate: int) -> Waveform:
    """Return the phase in cycles (0 to a little over 1) of a tone whose frequency is given at the control times."""
    cycles = frequency_hz[:-1] * (CONTROL / sample_rate)
    start = np.concatenate(([0.0], np.cumsum(cycles)[:-1])) % 1.0
    return _lines(start, cycles, CONTROL)[:samples]


def overtones(f0_hz: float, sample_rate: int, most: int) -> Curve:
    """Return the numbers 1, 2, … of at most `most` harmonics of `f0_hz`, as far as they stay clear of folding back."""
    return np.arange(1, max(min(int(0.42 * sample_rate / f0_hz), most), 1) + 1, dtype=np.float64)


def harmonics(turned: Waveform, amplitudes: Curve) -> Waveform:
    """Return the tone with the given amplitudes of its harmonics 1, 2, …, read from a table of one cycle.

    Harmonics above the Nyquist frequency would fold back: leave them out of `amplitudes`.
    """
    bins = np.zeros(_CYCLE // 2 + 1, dtype=np.complex128)
    order = np.arange(1, len(amplitudes) + 1)
    bins[order] = amplitudes * np.exp(1j * np.pi * order * order / max(len(amplitudes), 4)) * (_CYCLE / 2)
    cycle = np.fft.irfft(bins, _CYCLE).astype(np.float32)
    read: Waveform = cycle[(turned * np.float32(_CYCLE)).astype(np.int32) & (_CYCLE - 1)]
    return read


def noise(samples: int, rng: np.random.Generator) -> Waveform:
    """Return white noise between -1 and 1."""
    white: Waveform = rng.random(samples, dtype=np.float32)
    white *= 2
    white -= 1
    return white


def spectrum(waveform: Waveform, length: int) -> NDArray[np.complex64]:
    """Return the orthonormal spectrum of `waveform`, padded with silence to `length`.

    The norm matters: without one numpy takes a route that is three times slower for float32.
    """
    return np.fft.rfft(waveform, length, norm="ortho").astype(np.complex64, copy=False)


def response(gain: Callable[[Curve], Curve], length: int, sample_rate: int) -> Waveform:
    """Evaluate a gain over frequency (Hz) for every bin of a spectrum of `length` samples: 4,096 points, then lines."""
    bins = length // 2 + 1
    step = -(-bins // _GRID)
    points = np.arange(-(-bins // step) + 1) * (step * sample_rate / length)
    return draw_out(gain(points), step, bins)


def coloured_noise(
    samples: int, sample_rate: int, gain: Callable[[Curve], Curve], rng: np.random.Generator
) -> Waveform:
    """Return noise of root mean square 1 whose amplitude over frequency (Hz) follows `gain`.

    Longer noise repeats after six seconds at 44.1 kHz; its spectrum is made once and its ends meet.
    """
    length = min(fast_length(max(samples, 4096)), _LOOP)
    bins = rng.random(length + 2, dtype=np.float32)
    bins -= np.float32(0.5)
    shaped = bins.view(np.complex64) * response(gain, length, sample_rate)
    shaped[0] = 0
    loop = np.fft.irfft(shaped, length).astype(np.float32, copy=False)
    loop /= np.sqrt(np.mean(loop * loop)) + np.float32(1e-9)
    return np.tile(loop, -(-samples // length))[:samples]


def formants(frequency_hz: Curve, peaks: list[tuple[float, float, float]], floor: float = 0.01) -> Curve:
    """Return the gain at each frequency of resonances given as (centre in Hz, width in Hz, height)."""
    gain = np.full_like(frequency_hz, floor)
    for centre, width, height in peaks:
        gain += height / (1 + ((frequency_hz - centre) / (width / 2)) ** 2)
    return gain


def ring(modes: list[tuple[float, float, float]], seconds: float, sample_rate: int) -> Waveform:
    """Return the sound of a struck body: dying tones given as (frequency in Hz, time to fall by 60 dB in s, height)."""
    times = np.arange(max(int(seconds * sample_rate), 1)) / sample_rate
    struck = np.zeros(len(times))
    for frequency_hz, fall_s, height in modes:
        if frequency_hz < 0.45 * sample_rate:
            struck += height * np.exp(-6.9 * times / fall_s) * np.sin(2 * np.pi * frequency_hz * times)
    return struck.astype(np.float32)


def place(target: Waveform, event: Waveform, at: int, gain: float = 1.0) -> None:
    """Add `event` to `target` from sample `at` on; what would stand outside is left out."""
    start, stop = max(at, 0), min(at + len(event), len(target))
    if start < stop:
        target[start:stop] += np.float32(gain) * event[start - at : stop - at]


def switched(
    times: Curve, on_s: tuple[float, float], off_s: tuple[float, float], edge_s: float, rng: np.random.Generator
) -> Curve:
    """Return an envelope that is on (1) and off (0) in turns, on at the start, with edges of `edge_s` seconds."""
    corners, levels, now = [0.0], [0.0], 0.0
    while now < times[-1]:
        stop = now + edge_s + rng.uniform(*on_s)
        corners += [now + edge_s, stop, stop + edge_s]
        levels += [1.0, 1.0, 0.0]
        now = stop + edge_s + rng.uniform(*off_s)
        corners.append(now)
        levels.append(0.0)
    return np.interp(times, corners, levels)
