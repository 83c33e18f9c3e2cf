"""Voices that are meant to be heard: car horn, siren."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from soundfold.data.synth.oscillators import (
    CONTROL,
    Waveform,
    control_times,
    draw_out,
    formants,
    harmonics,
    log_uniform,
    overtones,
    phase,
    swell,
    switched,
)

__all__ = ["CarHorn", "Siren"]


@dataclass(frozen=True)
class CarHorn:
    """One or two reed-like tones a third apart, rich in harmonics, in beeps or in one long blast."""

    tones_hz: tuple[float, ...]
    slope: float
    formant: tuple[float, float, float]
    on_s: tuple[float, float]
    off_s: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one car."""
        low = log_uniform(rng, 260, 560)
        ratio = float(rng.choice([1.0, 1.189, 1.26, 1.26, 1.335]))
        centre = log_uniform(rng, 1600, 4200)
        beeps = rng.random() < 0.5
        on = float(rng.uniform(0.08, 0.35) if beeps else rng.uniform(0.5, 2.5))
        off = float(rng.uniform(0.06, 0.4) if beeps else rng.uniform(0.2, 1.0))
        return cls(
            tones_hz=(low,) if ratio == 1.0 else (low, low * ratio),
            slope=float(rng.uniform(0.3, 0.9)),
            formant=(centre, centre * float(rng.uniform(0.3, 0.7)), float(rng.uniform(2, 8))),
            on_s=(on * 0.8, on * 1.2),
            off_s=(off * 0.8, off * 1.3),
        )

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of honking at `sample_rate`."""
        times = control_times(samples, sample_rate)
        on = switched(times, self.on_s, self.off_s, 0.012, rng)
        horn = np.zeros(samples, dtype=np.float32)
        for f0 in self.tones_hz:
            order = overtones(f0, sample_rate, 40)
            amplitudes = order**-self.slope * formants(order * f0, [self.formant], 0.5)
            pitch = f0 * (0.96 + 0.04 * np.minimum(on, 1) + 0.001 * swell(times, 6, rng))
            horn += harmonics(phase(pitch, samples, sample_rate), amplitudes / np.abs(amplitudes).sum())
        horn *= draw_out(on * (0.95 + 0.05 * swell(times, 8, rng)), CONTROL, samples)
        return horn


@dataclass(frozen=True)
class Siren:
    """A tone with harmonics that wails (slow sweep), yelps (fast sweep), or steps between two notes."""

    pattern: str
    low_hz: float
    high_hz: float
    turns_hz: float
    slope: float
    formant: tuple[float, float, float]
    drift: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one siren."""
        pattern = str(rng.choice(["wail", "wail", "yelp", "two notes"]))
        low = log_uniform(rng, 380, 800)
        centre = log_uniform(rng, 700, 3000)
        turns = {"wail": (0.12, 0.45), "yelp": (2.2, 5.0), "two notes": (0.4, 1.1)}[pattern]
        return cls(
            pattern=pattern,
            low_hz=low,
            high_hz=low * float(rng.uniform(1.25, 1.5) if pattern == "two notes" else rng.uniform(1.7, 2.6)),
            turns_hz=log_uniform(rng, *turns),
            slope=float(rng.uniform(0.8, 2.2)),
            formant=(centre, centre * 0.5, float(rng.uniform(0, 3))),
            drift=float(rng.uniform(-0.01, 0.01)),
        )

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of the siren at `sample_rate`."""
        times = control_times(samples, sample_rate)
        turned = (times * self.turns_hz + rng.random()) % 1
        if self.pattern == "two notes":
            level = np.clip(np.sin(2 * np.pi * turned) * 25, -1, 1) * 0.5 + 0.5
        else:
            peak = 0.35 if self.pattern == "yelp" else 0.45
            rise = np.minimum(turned / peak, (1 - turned) / (1 - peak))
            level = np.sin(np.clip(rise, 0, 1) * np.pi / 2)
        drift = 1 + self.drift * np.minimum(times, 10)
        pitch = self.low_hz * (self.high_hz / self.low_hz) ** level * drift
        order = overtones(self.high_hz * 1.1, sample_rate, 24)
        middle = 0.5 * (self.low_hz + self.high_hz)
        amplitudes = order**-self.slope * formants(order * middle, [self.formant], 1.0)
        siren = harmonics(phase(pitch, samples, sample_rate), amplitudes / np.sqrt(np.sum(amplitudes**2)))
        siren *= draw_out(0.8 + 0.2 * swell(times, 0.7, rng), CONTROL, samples)
        return siren
