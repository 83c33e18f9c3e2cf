"""The ten sound classes in the order of their class numbers, and the one contract their voices share."""

from typing import Protocol, Self

import numpy as np

from soundfold.data.synth.living import ChildrenPlaying, DogBark, GunShot, StreetMusic
from soundfold.data.synth.machines import AirConditioner, Drilling, EngineIdling, Jackhammer
from soundfold.data.synth.oscillators import Waveform
from soundfold.data.synth.signals import CarHorn, Siren

__all__ = ["LABELS", "VOICES", "Voice"]


class Voice(Protocol):
    """One source of sound: drawn once a recording, then sounding as long and as often as wanted."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the source."""
        ...

    def sound(self, samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Return `samples` samples, float32 of any level, for a `sample_rate` from 32,000 to 48,000 Hz.

        Something sounds from the first milliseconds on, since a clip may be as short as 0.05 s.
        """
        ...


LABELS: tuple[str, ...] = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
VOICES: tuple[type[Voice], ...] = (
    AirConditioner,
    CarHorn,
    ChildrenPlaying,
    DogBark,
    Drilling,
    EngineIdling,
    GunShot,
    Jackhammer,
    Siren,
    StreetMusic,
)
