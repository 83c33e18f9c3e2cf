"""From waveforms to pictures of them: batched, on the device, differentiable, exportable. Needs torch."""

from soundfold.features.dft import MatmulDft, frame, power_spectrum_fft
from soundfold.features.log_mel import LogMel, log_mel, power_to_db
from soundfold.features.mel import hz_to_mel, mel_filters, mel_to_hz
from soundfold.recipe import Recipe

__all__ = [
    "LogMel",
    "MatmulDft",
    "build_features",
    "frame",
    "hz_to_mel",
    "log_mel",
    "mel_filters",
    "mel_to_hz",
    "power_spectrum_fft",
    "power_to_db",
]


def build_features(recipe: Recipe, *, portable: bool = False) -> LogMel:
    """Return the front end that a recipe asks for; `portable` for the one that goes into a model file."""
    return LogMel(recipe.sound, recipe.features, portable=portable)
