"""Background in which nothing is to be heard: silence, noises, hum, clicks, murmur. Kinds that tests may hold apart.

Each is drawn from a generator that is passed in. Levels lie anywhere between what a quiet microphone gives and full
scale, as it is the level least of all that tells background from an event.
"""

from collections.abc import Callable

import numpy as np

from soundfold.data.synth.oscillators import (
    CONTROL,
    Waveform,
    coloured_noise,
    control_times,
    draw_out,
    harmonics,
    log_uniform,
    phase,
    place,
    ring,
    swell,
    switched,
)

__all__ = ["BACKGROUNDS", "draw_background"]

_LOUDEST = 0.99


def draw_background(kind: str, samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Return (samples,) float32 of background.

    Args:
        kind: one of `BACKGROUNDS`.
        samples: how many, at least 1.
        sample_rate: Hz.
        generator: where the random numbers come from.
    """
    waveform = BACKGROUNDS[kind](samples, sample_rate, generator)
    loudest = float(np.abs(waveform).max())
    if not loudest:
        return waveform
    level = _LOUDEST * 10 ** (-generator.uniform(0, 60) / 20)
    scaled: Waveform = waveform * np.float32(level / loudest)
    return scaled


def _silence(samples: int, *_: object) -> Waveform:
    """Return nothing at all."""
    return np.zeros(samples, dtype=np.float32)


def _constant(samples: int, _: int, generator: np.random.Generator) -> Waveform:
    """Return an offset that does not move, of either sign, as a broken converter gives."""
    return np.full(samples, generator.choice([-1.0, 1.0]), dtype=np.float32)


def _steady(exponent: float) -> Callable[[int, int, np.random.Generator], Waveform]:
    """Return a maker of noise whose power falls with frequency to this exponent: 0 white, 1 pink, 2 brown."""

    def make(samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
        return coloured_noise(samples, sample_rate, lambda f: np.maximum(f, 20.0) ** (-exponent / 2), generator)

    return make


def _band(samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Return noise of one band, as of a fan, a tap or a poor line."""
    centre = log_uniform(generator, 80, 0.4 * sample_rate)
    width = log_uniform(generator, 0.1, 1.5)
    return coloured_noise(
        samples, sample_rate, lambda f: np.exp(-0.5 * (np.log((f + 1.0) / centre) / width) ** 2), generator
    )


def _wind(samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Return low noise that swells and falls."""
    low = _steady(generator.uniform(1.5, 3.0))(samples, sample_rate, generator)
    times = control_times(samples, sample_rate)
    gusts = (1 + np.clip(swell(times, log_uniform(generator, 0.3, 3.0), generator), -1, 1)) ** 2
    return low * draw_out(gusts, CONTROL, samples)


def _hum(samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Return the mains and their overtones, with a little noise."""
    mains = float(generator.choice([50.0, 60.0])) * (1 + generator.uniform(-0.002, 0.002))
    amplitudes = np.arange(1, 13) ** -generator.uniform(0.5, 2.0) * generator.uniform(0.1, 1.0, 12)
    turned = phase(np.full(len(control_times(samples, sample_rate)), mains), samples, sample_rate)
    tone = harmonics(turned, amplitudes)
    hiss = coloured_noise(samples, sample_rate, lambda f: np.ones_like(f), generator)
    return tone / np.float32(np.abs(tone).max()) + np.float32(log_uniform(generator, 0.001, 0.1)) * hiss


def _tone(samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Return a tone that does not change, as of a whistling line."""
    times = np.arange(samples) / sample_rate
    turned = 2 * np.pi * log_uniform(generator, 100, 0.4 * sample_rate) * times
    return np.sin(turned + generator.uniform(0, 2 * np.pi)).astype(np.float32)


def _clicks(samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Return single samples and short knocks at random moments, as of a loose plug."""
    waveform = np.zeros(samples, dtype=np.float32)
    for _ in range(1 + generator.poisson(log_uniform(generator, 0.3, 20) * samples / sample_rate)):
        knock = ring(
            [(log_uniform(generator, 300, 6_000), log_uniform(generator, 0.001, 0.03), 1.0)], 0.03, sample_rate
        )
        click = np.ones(1, dtype=np.float32) if generator.random() < 0.5 else knock
        place(waveform, click, int(generator.integers(samples)), float(generator.uniform(0.2, 1.0)))
    return waveform


def _murmur(samples: int, sample_rate: int, generator: np.random.Generator) -> Waveform:
    """Return syllables of voices without words: buzzing tones through moving resonances, several at once."""
    times = control_times(samples, sample_rate)
    waveform = np.zeros(samples, dtype=np.float32)
    for _ in range(int(generator.integers(1, 6))):
        pitch = log_uniform(generator, 85, 260) * 2 ** (0.2 * np.clip(swell(times, 2.0, generator), -1.5, 1.5))
        order = np.arange(1, max(2, int(min(4_000, 0.4 * sample_rate) / pitch.max())))
        place_hz = log_uniform(generator, 350, 900), log_uniform(generator, 900, 2_500)
        amplitudes = sum(1 / (1 + ((order * float(pitch.mean()) - f) / 150) ** 2) for f in place_hz) / order**0.3
        voice = harmonics(phase(pitch, samples, sample_rate), np.asarray(amplitudes))
        spoken = switched(times, (0.06, 0.3), (0.03, 0.25), 0.02, generator)
        waveform += voice * draw_out(spoken, CONTROL, samples) * np.float32(generator.uniform(0.3, 1.0))
    return waveform


BACKGROUNDS: dict[str, Callable[[int, int, np.random.Generator], Waveform]] = {
    "silence": _silence,
    "constant": _constant,
    "white": _steady(0.0),
    "pink": _steady(1.0),
    "brown": _steady(2.0),
    "band": _band,
    "wind": _wind,
    "hum": _hum,
    "tone": _tone,
    "clicks": _clicks,
    "murmur": _murmur,
}
"""What `draw_background` can make, by name."""
