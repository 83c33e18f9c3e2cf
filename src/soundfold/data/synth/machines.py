"""Voices of machines: air conditioner, drill, idling engine, jackhammer.

A voice is a frozen set of numbers, drawn once a recording (`draw`), and a way to sound (`sound`), in which only noise
and jitter are random. The ranges are wide on purpose: two drills differ far more than two seconds of one drill.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from soundfold.data.synth.oscillators import (
    CONTROL,
    Curve,
    Waveform,
    coloured_noise,
    control_times,
    draw_out,
    formants,
    harmonics,
    log_uniform,
    noise,
    overtones,
    phase,
    place,
    ring,
    swell,
    switched,
)

__all__ = ["AirConditioner", "Drilling", "EngineIdling", "Jackhammer"]


@dataclass(frozen=True)
class AirConditioner:
    """Hum of the mains and the blades in the broad noise of a fan, hardly moving; some units rattle."""

    mains_hz: float
    hum: float
    blade_hz: float
    blade: float
    slope: float
    cut_hz: float
    bump: tuple[float, float, float]
    wobble_hz: float
    wobble: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one unit."""
        centre = log_uniform(rng, 150, 3000)
        return cls(
            mains_hz=float(rng.choice([100.0, 120.0])) * float(rng.uniform(0.97, 1.0)),
            hum=log_uniform(rng, 0.05, 1.0),
            blade_hz=log_uniform(rng, 90, 420),
            blade=log_uniform(rng, 0.03, 0.8),
            slope=float(rng.uniform(0.2, 0.9)),
            cut_hz=log_uniform(rng, 400, 8000),
            bump=(centre, centre * float(rng.uniform(0.1, 0.6)), float(rng.uniform(0, 4))),
            wobble_hz=log_uniform(rng, 0.2, 4),
            wobble=float(rng.uniform(0, 0.25)),
        )

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of the unit at `sample_rate`."""

        def colour(f: Curve) -> Curve:
            return (f + 40) ** -self.slope / (1 + (f / self.cut_hz) ** 2) * formants(f, [self.bump], 1.0)

        times = control_times(samples, sample_rate)
        air = coloured_noise(samples, sample_rate, colour, rng)
        air *= draw_out(1 + self.wobble * np.sin(2 * np.pi * self.wobble_hz * times), CONTROL, samples)
        steady = np.ones_like(times)
        for f0, level, fall in ((self.mains_hz, self.hum, 1.2), (self.blade_hz, self.blade, 0.8)):
            order = overtones(f0, sample_rate, 14)
            tone = phase(f0 * (steady + 0.002 * swell(times, 2, rng)), samples, sample_rate)
            air += harmonics(tone, level * order**-fall)
        return air


@dataclass(frozen=True)
class Drilling:
    """A motor that whines up to speed, bogs down under load, and grinds; hammer drills rattle as well."""

    motor_hz: float
    slope: float
    whine: tuple[float, float, float]
    grind: float
    grind_hz: float
    hammer_hz: float
    hammer: float
    ramp_s: float
    load: float
    on_s: tuple[float, float]
    off_s: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one drill."""
        centre = log_uniform(rng, 2000, 6000)
        hammers = rng.random() < 0.4
        return cls(
            motor_hz=log_uniform(rng, 130, 600),
            slope=float(rng.uniform(0.2, 0.9)),
            whine=(centre, centre * float(rng.uniform(0.1, 0.5)), float(rng.uniform(1, 8))),
            grind=log_uniform(rng, 0.3, 1.2),
            grind_hz=log_uniform(rng, 2500, 7000),
            hammer_hz=log_uniform(rng, 38, 75),
            hammer=float(rng.uniform(0.4, 1.2)) if hammers else 0.0,
            ramp_s=log_uniform(rng, 0.08, 0.6),
            load=float(rng.uniform(0.03, 0.3)),
            on_s=(float(rng.uniform(0.6, 1.5)), float(rng.uniform(1.6, 4.5))),
            off_s=(0.1, float(rng.uniform(0.2, 0.8))),
        )

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of drilling at `sample_rate`."""
        times = control_times(samples, sample_rate)
        on = switched(times, self.on_s, self.off_s, self.ramp_s, rng)
        load = 0.5 + 0.5 * swell(times, 1.5, rng)
        speed = self.motor_hz * (0.25 + 0.75 * on) * (1 - self.load * load)
        order = overtones(self.motor_hz, sample_rate, 50)
        amplitudes = order**-self.slope * formants(order * self.motor_hz, [self.whine], 0.4)
        turned = phase(speed, samples, sample_rate)
        drill = harmonics(turned, amplitudes / np.sqrt(np.sum(amplitudes**2)))
        grit = coloured_noise(samples, sample_rate, lambda f: 1 / (1 + ((f - self.grind_hz) / 1500) ** 2), rng)
        grit *= 1 + np.float32(0.7) * harmonics(turned, np.ones(1))
        grit *= draw_out(self.grind * (0.3 + load), CONTROL, samples)
        drill += grit
        if self.hammer:
            knock = _knock(self.grind_hz, 0.012, sample_rate, rng)
            strikes = _strikes(samples / sample_rate, self.hammer_hz, 0.02, rng)
            for at, gain in zip((strikes * sample_rate).astype(int), rng.uniform(0.7, 1, len(strikes)), strict=True):
                place(drill, knock, int(at), 4 * self.hammer * gain)
        drill *= draw_out(on**1.5, CONTROL, samples)
        return drill


def _strikes(seconds: float, rate_hz: float, jitter: float, rng: np.random.Generator) -> Curve:
    """Return the times of strikes that come `rate_hz` times a second, each gap off by `jitter` of itself."""
    gaps = (1 + jitter * rng.standard_normal(int(seconds * rate_hz * 1.15) + 2)) / rate_hz
    times = np.cumsum(np.maximum(gaps, 0.2 / rate_hz))
    times -= times[0]
    return times[times < seconds]


def _knock(centre_hz: float, seconds: float, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return one short noisy knock around `centre_hz`."""
    samples = max(int(seconds * 3 * sample_rate), 16)
    fall = np.exp(-6.9 / 3 * np.arange(samples) / (seconds * sample_rate))
    tone = np.sin(2 * np.pi * min(centre_hz, 0.4 * sample_rate) * np.arange(samples) / sample_rate)
    knock: Waveform = (fall * (0.5 * noise(samples, rng) + tone)).astype(np.float32)
    return knock


@dataclass(frozen=True)
class EngineIdling:
    """Firing pulses, a little uneven between cylinders, through the resonances of an exhaust; valves tick."""

    firing_hz: float
    cylinders: tuple[float, ...]
    jitter: float
    pipe: tuple[tuple[float, float, float], ...]
    hiss: float
    hiss_hz: float
    tick: float
    tick_hz: float
    hunting: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one engine."""
        low = log_uniform(rng, 45, 140)
        return cls(
            firing_hz=log_uniform(rng, 9, 42),
            cylinders=tuple(rng.uniform(0.4, 1.0, int(rng.choice([1, 2, 3, 4, 6])))),
            jitter=log_uniform(rng, 0.005, 0.07),
            pipe=(
                (low, log_uniform(rng, 0.05, 0.2), 1.0),
                (low * float(rng.uniform(1.7, 2.4)), log_uniform(rng, 0.03, 0.12), float(rng.uniform(0.2, 0.9))),
                (log_uniform(rng, 300, 1200), log_uniform(rng, 0.01, 0.05), float(rng.uniform(0.05, 0.6))),
            ),
            hiss=log_uniform(rng, 0.02, 0.2),
            hiss_hz=log_uniform(rng, 300, 4000),
            tick=log_uniform(rng, 0.15, 0.8),
            tick_hz=log_uniform(rng, 1500, 6000),
            hunting=float(rng.uniform(0.0, 0.08)),
        )

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of idling at `sample_rate`."""
        times = control_times(samples, sample_rate)
        engine = coloured_noise(samples, sample_rate, lambda f: (f + 60) ** -0.5 / (1 + (f / self.hiss_hz) ** 2), rng)
        beat = phase(np.full_like(times, self.firing_hz), samples, sample_rate)
        engine *= np.float32(self.hiss) * (1 + np.float32(0.6) * harmonics(beat, np.ones(1)))
        strikes = _strikes(samples / sample_rate, self.firing_hz, self.jitter, rng)
        strikes = strikes * (1 + self.hunting * 0.2 * np.sin(2 * np.pi * 0.4 * strikes))
        thud = ring(list(self.pipe), 0.16, sample_rate)
        tick = _knock(self.tick_hz, 0.004, sample_rate, rng)
        offset = int(0.4 * sample_rate / self.firing_hz)
        for number, at in enumerate((strikes * sample_rate).astype(int)):
            gain = self.cylinders[number % len(self.cylinders)] * rng.uniform(0.85, 1.0)
            place(engine, thud, int(at), gain)
            place(engine, tick, int(at) + offset, self.tick * gain)
        return engine


@dataclass(frozen=True)
class Jackhammer:
    """A chisel struck 20 to 32 times a second: metal rings, the ground thuds, compressed air hisses; in bursts."""

    strike_hz: float
    jitter: float
    metal: tuple[tuple[float, float, float], ...]
    thud_hz: float
    thud: float
    air: float
    air_hz: float
    on_s: tuple[float, float]
    off_s: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one jackhammer on its ground."""
        first = log_uniform(rng, 700, 1800)
        spread = np.cumprod(rng.uniform(1.15, 1.9, 4)) * first
        return cls(
            strike_hz=float(rng.uniform(20, 32)),
            jitter=log_uniform(rng, 0.004, 0.03),
            metal=tuple((float(f), log_uniform(rng, 0.01, 0.06), float(rng.uniform(0.1, 1))) for f in spread),
            thud_hz=log_uniform(rng, 60, 180),
            thud=log_uniform(rng, 0.5, 2.0),
            air=log_uniform(rng, 0.02, 0.2),
            air_hz=log_uniform(rng, 1000, 6000),
            on_s=(float(rng.uniform(0.8, 2.0)), float(rng.uniform(2.0, 6.0))),
            off_s=(0.15, float(rng.uniform(0.2, 0.8))),
        )

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of breaking ground at `sample_rate`."""
        times = control_times(samples, sample_rate)
        on = switched(times, self.on_s, self.off_s, 0.02, rng)
        strikes = _strikes(samples / sample_rate, self.strike_hz, self.jitter, rng)
        at = (strikes * sample_rate).astype(int)
        gains = rng.uniform(0.6, 1.0, len(at)) * np.interp(strikes, times, on)
        hit = ring([*self.metal, (self.thud_hz, 0.09, self.thud)], 0.08, sample_rate)
        place(hit, _knock(self.air_hz, 0.006, sample_rate, rng), 0)
        hammer = np.zeros(samples, dtype=np.float32)
        for start, gain in zip(at, gains, strict=True):
            place(hammer, hit, int(start), float(gain))
        air = coloured_noise(samples, sample_rate, lambda f: 1 / (1 + ((f - self.air_hz) / self.air_hz) ** 4), rng)
        hammer += air * draw_out(self.air * (0.3 + on), CONTROL, samples)
        return hammer
