"""From waveforms to pictures of them: batched, on the device, differentiable, exportable. Needs torch."""

from collections.abc import Callable

from soundfold.features.audioset_mel import AudiosetMel
from soundfold.features.deltas import deltas, with_deltas
from soundfold.features.dft import MatmulDft, frame, power_spectrum_fft
from soundfold.features.log_mel import LogMel, log_mel, power_to_db, power_to_log
from soundfold.features.mel import hz_to_mel, mel_filters, mel_to_hz
from soundfold.features.mel_power import MelPower
from soundfold.features.mfcc import Mfcc, dct_matrix, mfcc
from soundfold.features.pcen import Pcen, normalise_energy, pcen, running_mean
from soundfold.recipe import Recipe

__all__ = [
    "AudiosetMel",
    "LogMel",
    "MatmulDft",
    "MelPower",
    "Mfcc",
    "Pcen",
    "build_features",
    "dct_matrix",
    "deltas",
    "frame",
    "hz_to_mel",
    "log_mel",
    "mel_filters",
    "mel_to_hz",
    "mfcc",
    "normalise_energy",
    "pcen",
    "power_spectrum_fft",
    "power_to_db",
    "power_to_log",
    "running_mean",
    "with_deltas",
]

_KINDS: dict[str, Callable[..., LogMel | Mfcc | Pcen]] = {"log_mel": LogMel, "mfcc": Mfcc, "pcen": Pcen}


def build_features(recipe: Recipe, *, portable: bool = False) -> AudiosetMel | LogMel | Mfcc | Pcen:
    """Return the front end that a recipe asks for, without deltas: these are added to what masks and shifts left.

    `portable` is for the one that goes into a model file. It takes waveforms (batch, channels, samples) and gives
    (batch, *shape), where `shape` is its attribute. It has nothing to learn and nothing to save.
    """
    features = recipe.features
    if features.kind == "audioset":
        return AudiosetMel(portable=portable, samples=recipe.sound.window)
    return _KINDS[features.kind](recipe.sound, features, portable=portable)
