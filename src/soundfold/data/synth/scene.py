"""The place and the device of one recording: its equaliser, room, hum, noise, and what is heard in the distance.

All clips of a recording share these numbers, and no two recordings do: this is the fingerprint by which a network
recognises a recording instead of its class when a split lets it, as it does with real recordings.

The key idea: one transform of the dry sound, one of the room's answer, and one inverse for each channel do everything:
room, equaliser and noise are products and sums in the spectrum, and the file's own sample rate comes from leaving bins
out of the last transform or adding empty ones.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from soundfold.data.synth.oscillators import (
    CONTROL,
    Curve,
    Waveform,
    control_times,
    draw_out,
    fast_length,
    harmonics,
    log_uniform,
    noise,
    phase,
    response,
    spectrum,
)
from soundfold.data.synth.voices import VOICES, Voice

__all__ = ["Scene", "inner_rate"]

Channels = NDArray[np.float32]

_BANDS_HZ = np.geomspace(40, 20_000, 10)
_DISTANT = 4
_FAR_S = 0.25


def inner_rate(sample_rate: int) -> int:
    """Return the rate between 32 and 48 kHz at which sound for files of `sample_rate` is made: a simple multiple of it.

    >>> [inner_rate(rate) for rate in (8_000, 11_024, 22_050, 44_100, 96_000, 192_000)]
    [32000, 44096, 44100, 44100, 48000, 48000]
    """
    rate = sample_rate
    while rate > 48_000:
        rate //= 2
    while rate < 32_000:
        rate *= 2
    return rate


@dataclass(frozen=True)
class Scene:
    """What one recording's place and device do to any sound."""

    equaliser_db: tuple[float, ...]
    low_cut_hz: float
    high_cut_hz: float
    other_ear_db: tuple[float, ...]
    noise_db: tuple[float, ...]
    hum_hz: float
    hum: float
    room_s: float
    room: float
    peak: float
    clear_db: float
    distant: Voice | None
    distant_gain: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one place and device."""
        bands = len(_BANDS_HZ)
        tilt = rng.uniform(-3.5, 3.5) * np.linspace(-1, 1, bands)
        fall = -rng.uniform(1, 7) * np.arange(bands)
        two_ears = rng.random() < 0.7
        distant = VOICES[int(rng.integers(len(VOICES)))].draw(rng) if rng.random() < 0.35 else None
        return cls(
            equaliser_db=tuple(tilt + rng.normal(0, 3, bands)),
            low_cut_hz=log_uniform(rng, 15, 180),
            high_cut_hz=log_uniform(rng, 4500, 24_000),
            other_ear_db=tuple(rng.normal(0, 2, bands)) if two_ears else (),
            noise_db=tuple(fall + rng.normal(0, 3, bands)),
            hum_hz=float(rng.choice([50.0, 60.0, 100.0, 120.0])) * float(rng.uniform(0.98, 1.02)),
            hum=log_uniform(rng, 0.01, 0.5),
            room_s=log_uniform(rng, 0.1, 1.0),
            room=log_uniform(rng, 0.03, 0.7),
            peak=log_uniform(rng, 0.2, 1.1),
            clear_db=float(rng.uniform(16, 40)),
            distant=distant,
            distant_gain=log_uniform(rng, 0.3, 1.0),
        )

    def record(
        self, dry: Waveform, salience: int, channels: int, sample_rate: int, rng: np.random.Generator
    ) -> Channels:
        """Return the sound as it stands in the recording.

        Args:
            dry: the source alone, (samples,), at `inner_rate(sample_rate)`.
            salience: 1 when the source stands in front, 2 when it stands behind the place's own noise.
            channels: 1 or 2.
            sample_rate: of the answer.
            rng: for the noise.

        Returns:
            (channels, samples at `sample_rate`), of any level.
        """
        inner = inner_rate(sample_rate)
        length = fast_length(len(dry) + int(_FAR_S * inner))
        noise_gain = 10 ** (-(self.clear_db if salience == 1 else self.clear_db * 0.25) / 20)
        near = dry / np.float32(_level(dry, inner))
        near += np.float32(noise_gain) * self._around(len(dry), inner, rng)
        heard = spectrum(near, length)
        heard *= 1 + self._room(length, inner, rng)
        shape = response(self._equalise, length, inner)
        colour = response(lambda f: _curve(f, self.noise_db), length, inner)
        colour *= np.float32(noise_gain / (np.sqrt(np.mean(colour * colour)) + 1e-9))
        ears = [shape]
        if channels == 2 and self.other_ear_db:
            ears.append(shape * response(lambda f: _curve(f, self.other_ear_db), length, inner))
        samples = round(len(dry) * sample_rate / inner)
        wet = []
        for ear in ears:
            bins = _hiss(length, rng)
            bins *= colour
            bins += heard
            bins *= ear
            wet.append(_to_rate(bins, length, inner, sample_rate)[:samples])
        return np.stack(wet * channels if len(wet) < channels else wet)

    def _equalise(self, f: Curve) -> Curve:
        low = f**2 / (f**2 + self.low_cut_hz**2)
        high = 1 / (1 + (f / self.high_cut_hz) ** 6)
        return _curve(f, self.equaliser_db) * low * high

    def _around(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return hum and distant sound, made at a quarter of the rate, which dulls it as distance does."""
        few, rate = samples // _DISTANT + 2, sample_rate // _DISTANT
        steady = phase(np.full_like(control_times(few, rate), self.hum_hz), few, rate)
        around = harmonics(steady, self.hum / np.arange(1, 7) ** 1.5)
        if self.distant is not None:
            far = self.distant.sound(few, rate, rng)
            around += far * np.float32(self.distant_gain / _level(far, rate))
        return draw_out(around.astype(np.float64), _DISTANT, samples)

    def _room(self, length: int, sample_rate: int, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Return the spectrum of the room's answer: noise that dies away, (bins,).

        A short answer has a smooth spectrum: it is transformed at an eighth of the length and drawn out between bins.
        """
        taps = min(int(self.room_s * 0.8 * sample_rate), length // 2)
        step = next(step for step in (8, 4, 2) if length // step >= taps)
        times = np.arange(0, taps + CONTROL, CONTROL) / sample_rate
        answer = noise(taps, rng) * draw_out(np.exp(-6.9 * times / self.room_s), CONTROL, taps)
        answer *= np.float32(self.room * np.sqrt(length / step) / (np.sqrt(np.sum(answer * answer)) + 1e-9))
        coarse = spectrum(answer, length // step)
        room = np.empty(length // 2 + 1, dtype=np.complex64)
        for part in ("real", "imag"):
            points = np.append(getattr(coarse, part), 0).astype(np.float64)
            setattr(room, part, draw_out(points, step, len(room)))
        return room


def _curve(f: Curve, bands_db: tuple[float, ...]) -> Curve:
    return 10 ** (np.interp(np.log(f + 1), np.log(_BANDS_HZ), bands_db) / 20)


def _level(waveform: Waveform, sample_rate: int) -> float:
    """Return the root mean square of the louder parts, so that pauses between barks do not count."""
    block = min(max(sample_rate // 20, 1), len(waveform))
    blocks = waveform[: len(waveform) // block * block].reshape(-1, block)
    return float(np.sqrt(np.quantile(np.mean(blocks * blocks, axis=1), 0.9))) + 1e-6


def _hiss(length: int, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Return the spectrum of noise of root mean square 1, (bins,)."""
    bins = rng.random(length + 2, dtype=np.float32)
    bins -= np.float32(0.5)
    bins *= np.float32(np.sqrt(6))
    return bins.view(np.complex64)


def _to_rate(bins: NDArray[np.complex64], length: int, inner: int, sample_rate: int) -> Waveform:
    """Go back to time at another rate; `length * sample_rate / inner` is a whole number by the choice of both."""
    wanted = length * sample_rate // inner
    waveform = np.fft.irfft(bins[: wanted // 2 + 1], wanted, norm="ortho").astype(np.float32, copy=False)
    waveform *= np.float32(np.sqrt(wanted / length))
    return waveform
