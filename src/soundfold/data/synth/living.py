"""Voices of people, animals and single events: children playing, dog bark, gun shot, street music.

These sounds are made of short events. Each recording has a small vocabulary (this dog's barks, this band's notes), made
once and placed many times, which is both how such recordings are and what keeps them cheap.
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
)

__all__ = ["ChildrenPlaying", "DogBark", "GunShot", "StreetMusic"]

_VOWELS = ((800, 1200, 2500), (500, 1900, 2600), (320, 2300, 3000), (500, 900, 2400), (350, 800, 2300))
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
_CHORDS = (0, 3, 4)


def _spoken(
    pitch_hz: Curve, loudness: Curve, mouth: list[tuple[float, float, float]], samples: int, sample_rate: int
) -> Waveform:
    """Return a voiced sound: the pulses of a larynx, as harmonics weighed by the resonances of a mouth."""
    order = overtones(float(np.max(pitch_hz)), sample_rate, 40)
    amplitudes = order**-0.7 * formants(order * float(np.mean(pitch_hz)), mouth, 0.03)
    tone = harmonics(phase(pitch_hz, samples, sample_rate), amplitudes / np.sqrt(np.sum(amplitudes**2)))
    tone *= draw_out(loudness, CONTROL, samples)
    return tone


@dataclass(frozen=True)
class ChildrenPlaying:
    """Several high voices at once: calls that glide, shrieks, and laughter in falling bursts, over a murmur."""

    children: tuple[tuple[float, float], ...]
    calls_hz: float
    laughter: float
    shrieks: float
    murmur: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one yard: each child has a pitch in Hz and a mouth's scale."""
        number = int(rng.integers(3, 7))
        pitches, mouths = rng.uniform(260, 480, number), rng.uniform(1.1, 1.55, number)
        return cls(
            children=tuple(zip(pitches.tolist(), mouths.tolist(), strict=True)),
            calls_hz=log_uniform(rng, 4.0, 9.0),
            laughter=float(rng.uniform(0, 0.5)),
            shrieks=float(rng.uniform(0, 0.35)),
            murmur=log_uniform(rng, 0.02, 0.3),
        )

    def _call(self, sample_rate: int, rng: np.random.Generator) -> Waveform:
        pitch, mouth = self.children[int(rng.integers(len(self.children)))]
        kind = rng.random()
        laughs, shrieks = kind < self.laughter, kind > 1 - self.shrieks
        seconds = float(rng.uniform(0.5, 1.2) if laughs else rng.uniform(0.15, 0.8))
        samples = int(seconds * sample_rate)
        times = control_times(samples, sample_rate)
        part = np.minimum(times / seconds, 1)
        corners = pitch * np.exp(rng.uniform(-0.25, 0.35, 4)) * (rng.uniform(1.8, 2.8) if shrieks else 1)
        glide = np.interp(part, np.linspace(0, 1, 4), corners) * (1 + 0.02 * np.sin(2 * np.pi * 6 * times))
        loud = np.sin(np.pi * part) ** 0.6
        if laughs:
            puffs = rng.uniform(4.5, 6.5)
            glide = pitch * 1.3 * (1 - 0.35 * part) * (1 + 0.12 * np.cos(2 * np.pi * puffs * times))
            loud = (1 - 0.6 * part) * np.clip(np.sin(2 * np.pi * puffs * times), 0, 1)
        vowel = _VOWELS[int(rng.integers(len(_VOWELS)))]
        peaks = [(f * mouth, 90 + 0.05 * f, height) for f, height in zip(vowel, (1.0, 0.6, 0.25), strict=True)]
        return _spoken(glide, loud * rng.uniform(0.25, 1), peaks, samples, sample_rate)

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of the yard at `sample_rate`."""
        yard = coloured_noise(
            samples, sample_rate, lambda f: formants(f, [(600, 700, 1), (1800, 1500, 0.4)], 0.02), rng
        )
        yard *= np.float32(self.murmur * 0.4)
        calls = [self._call(sample_rate, rng) for _ in range(12)]
        number = int(samples / sample_rate * self.calls_hz) + 1
        for at in (0.0, *rng.uniform(-0.3, samples / sample_rate, number).tolist()):
            place(yard, calls[int(rng.integers(len(calls)))], int(at * sample_rate), rng.uniform(0.3, 1))
        return yard


@dataclass(frozen=True)
class DogBark:
    """Short harsh bursts, rising and falling in pitch, through a muzzle's resonances; in bouts of one to five."""

    pitch_hz: float
    bark_s: float
    muzzle: tuple[tuple[float, float, float], ...]
    harsh: float
    bout: int
    gap_s: float
    rest_s: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one dog: small dogs bark higher and shorter."""
        size = float(rng.uniform(0, 1))
        pitch = 900 * (130 / 900) ** size * float(rng.uniform(0.8, 1.25))
        first = 1500 * (380 / 1500) ** size * float(rng.uniform(0.8, 1.25))
        return cls(
            pitch_hz=pitch,
            bark_s=float(0.07 + 0.13 * size + rng.uniform(0, 0.07)),
            muzzle=(
                (first, first * 0.4, 1.0),
                (first * float(rng.uniform(1.8, 2.6)), first * 0.6, float(rng.uniform(0.3, 0.9))),
                (first * float(rng.uniform(3.5, 5)), first, float(rng.uniform(0.05, 0.4))),
            ),
            harsh=float(rng.uniform(0.15, 1.0)),
            bout=int(rng.integers(1, 6)),
            gap_s=float(rng.uniform(0.18, 0.5)),
            rest_s=float(rng.uniform(0.3, 1.3)),
        )

    def _bark(self, sample_rate: int, rng: np.random.Generator) -> Waveform:
        seconds = self.bark_s * float(rng.uniform(0.85, 1.2))
        samples = int(seconds * sample_rate)
        times = control_times(samples, sample_rate)
        part = np.minimum(times / seconds, 1)
        arch = np.interp(part, [0, 0.3, 1], [0.75, 1.0, 0.5])
        loud = np.interp(part, [0, 0.08, 0.5, 1], [0, 1, 0.7, 0])
        pitch = self.pitch_hz * rng.uniform(0.92, 1.08) * arch
        bark = _spoken(pitch, loud, list(self.muzzle), samples, sample_rate)
        rough = coloured_noise(samples, sample_rate, lambda f: formants(f, list(self.muzzle), 0.02), rng)
        rough *= draw_out(self.harsh * loud**1.5, CONTROL, samples)
        return bark + rough

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of the dog at `sample_rate`; it barks at once."""
        barks = [self._bark(sample_rate, rng) for _ in range(3)]
        yard = np.zeros(samples, dtype=np.float32)
        now, seconds = 0.0, samples / sample_rate
        while now < seconds:
            for _ in range(self.bout):
                place(yard, barks[int(rng.integers(3))], int(now * sample_rate), rng.uniform(0.7, 1))
                now += self.bark_s + self.gap_s * rng.uniform(0.8, 1.3)
            now += self.rest_s * rng.uniform(0.7, 1.4)
        return yard


@dataclass(frozen=True)
class GunShot:
    """A crack of a few milliseconds, a low boom, a noisy tail and echoes; single shots, pairs, or automatic fire."""

    crack_s: float
    boom_hz: float
    boom: float
    tail_s: float
    tail_hz: float
    tail: float
    echo_s: float
    echo: float
    volley: int
    gap_s: float
    rest_s: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one weapon and the place where it is fired."""
        automatic = rng.random() < 0.3
        return cls(
            crack_s=log_uniform(rng, 0.002, 0.02),
            boom_hz=log_uniform(rng, 45, 190),
            boom=log_uniform(rng, 0.1, 1.2),
            tail_s=log_uniform(rng, 0.15, 1.6),
            tail_hz=log_uniform(rng, 400, 5000),
            tail=log_uniform(rng, 0.05, 0.5),
            echo_s=float(rng.uniform(0.08, 0.6)),
            echo=float(rng.uniform(0, 0.4)),
            volley=int(rng.integers(4, 14)) if automatic else int(rng.choice([1, 1, 1, 2])),
            gap_s=float(rng.uniform(0.07, 0.13) if automatic else rng.uniform(0.25, 0.6)),
            rest_s=float(rng.uniform(0.9, 2.2)),
        )

    def _shot(self, sample_rate: int, rng: np.random.Generator) -> Waveform:
        samples = int((self.tail_s + 0.15) * sample_rate)
        times = np.arange(samples, dtype=np.float32) / np.float32(sample_rate)
        shot: Waveform = noise(samples, rng) * np.exp(times * np.float32(-3 / self.crack_s)) * np.float32(3)
        tail = coloured_noise(samples, sample_rate, lambda f: 1 / (1 + (f / self.tail_hz) ** 2), rng)
        shot += tail * np.exp(times * np.float32(-5 / self.tail_s)) * np.float32(self.tail)
        boom = np.sin(np.float32(2 * np.pi * self.boom_hz) * times) * np.exp(times * np.float32(-14))
        shot += boom * np.float32(self.boom)
        return shot

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of firing at `sample_rate`; the first shot comes at once."""
        shot = self._shot(sample_rate, rng)
        field = np.zeros(samples, dtype=np.float32)
        now, seconds = 0.004, samples / sample_rate
        while now < seconds:
            for _ in range(self.volley):
                gain = rng.uniform(0.8, 1)
                place(field, shot, int(now * sample_rate), gain)
                place(field, shot, int((now + self.echo_s) * sample_rate), gain * self.echo)
                now += self.gap_s * rng.uniform(0.97, 1.03)
            now += self.rest_s * rng.uniform(0.8, 1.2)
        return field


@dataclass(frozen=True)
class StreetMusic:
    """A plucked melody over sustained chords with a beat: one key, one tempo, one band."""

    root_hz: float
    scale: tuple[int, ...]
    beat_s: float
    pluck_slope: float
    pluck_s: float
    pad_slope: float
    pad: float
    bass: float
    drums: float
    busy: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one band."""
        return cls(
            root_hz=log_uniform(rng, 98, 262),
            scale=_SCALES[int(rng.integers(len(_SCALES)))],
            beat_s=60 / float(rng.uniform(70, 150)),
            pluck_slope=float(rng.uniform(0.9, 1.8)),
            pluck_s=log_uniform(rng, 0.2, 1.2),
            pad_slope=float(rng.uniform(1.2, 2.2)),
            pad=log_uniform(rng, 0.1, 0.5),
            bass=log_uniform(rng, 0.4, 1.5),
            drums=float(rng.choice([0.0, rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.0)])),
            busy=float(rng.uniform(0.4, 0.95)),
        )

    def _note(self, degree: int, seconds: float, plucked: bool, sample_rate: int) -> Waveform:
        octave, step = divmod(degree, len(self.scale))
        f0 = self.root_hz * 2 ** (octave + self.scale[step] / 12)
        samples = int(seconds * sample_rate)
        times = control_times(samples, sample_rate)
        order = overtones(f0, sample_rate, 24)
        slope = self.pluck_slope if plucked else self.pad_slope
        fall = np.exp(-4 * times / seconds) if plucked else np.sin(np.pi * np.minimum(times / seconds, 1)) ** 0.4
        note = harmonics(phase(np.full_like(times, f0), samples, sample_rate), order**-slope)
        note *= draw_out(fall * np.minimum(times / 0.004, 1), CONTROL, samples)
        return note

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples of the band at `sample_rate`."""
        band = np.zeros(samples, dtype=np.float32)
        beat = self.beat_s * sample_rate
        degrees = len(self.scale)
        melody = [self._note(degrees + d, self.pluck_s, True, sample_rate) for d in range(degrees + 2)]
        chords = [
            np.sum([self._note(d + third, 4 * self.beat_s, False, sample_rate) for third in (0, 2, 4)], axis=0)
            for d in _CHORDS
        ]
        bass = [self._note(d - degrees, 2 * self.beat_s, True, sample_rate) for d in _CHORDS]
        kick = _kick(sample_rate)
        hat = noise(int(0.04 * sample_rate), rng)
        hat *= np.exp(-np.linspace(0, 6, len(hat))).astype(np.float32)
        at, chord = int(rng.integers(degrees)), 0
        for number in range(int(samples / beat * 2) + 1):
            start = int(number * beat / 2)
            if number % 8 == 0:
                chord = int(rng.integers(len(chords)))
                place(band, chords[chord], start, self.pad)
            if number % 2 == 0:
                place(band, bass[chord], start, self.bass)
            at = int(np.clip(at + rng.integers(-2, 3), 0, len(melody) - 1))
            if number == 0 or rng.random() < self.busy:
                place(band, melody[at], start, rng.uniform(0.5, 1))
            if self.drums and number % 4 == 0:
                place(band, kick, start, 1.5 * self.drums)
            if self.drums and number % 2 == 1:
                place(band, hat, start, 0.5 * self.drums)
        return band


def _kick(sample_rate: int) -> Waveform:
    times = np.arange(int(0.18 * sample_rate)) / sample_rate
    kick: Curve = np.sin(2 * np.pi * (50 * times - 4 * np.exp(-times * 30))) * np.exp(-times * 18)
    return kick.astype(np.float32)
