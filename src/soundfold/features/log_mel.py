"""The log-mel spectrogram, batched, on any device, and exportable."""

import math

import torch
from torch import Tensor, nn

from soundfold.features.mel_power import MelPower
from soundfold.features.precision import in_full_precision
from soundfold.recipe import FeatureRecipe, SoundRecipe

__all__ = ["LogMel", "log_mel", "power_to_db", "power_to_log"]

_SMALLEST_POWER = 1e-10  # −100 dB: keeps the logarithm of digital silence finite


def power_to_db(power: Tensor, top_db: float | None = None) -> Tensor:
    """Return power in decibels re 1, with a floor `top_db` under the loudest value of each clip.

    The floor is under the loudest value over ALL channels of a clip, so a quiet channel stays quiet beside a loud one.

    Args:
        power: (batch, channels, n_mels, frames), not negative.
        top_db: depth of the floor in dB; None for none but −100 dB.

    Returns:
        the same shape, in dB.
    """
    db = 10.0 * torch.log10(power.clamp(min=_SMALLEST_POWER))
    if top_db is None:
        return db
    floor = db.amax(dim=(-3, -2, -1), keepdim=True) - top_db
    return torch.maximum(db, floor)


def power_to_log(power: Tensor, offset: float) -> Tensor:
    """Return the natural logarithm of power plus a small offset, which is a soft floor: the same one for every clip.

    Beside `power_to_db` with its floor under each clip's loudest value, a loud click does not hide what is faint beside
    it, and a faint clip keeps no more of its noise than a loud one.

    Args:
        power: any shape, not negative.
        offset: power at the floor, more than 0.
    """
    # in units of the offset: ONNX's optimiser takes an added constant of 1e-8 or less for nothing, and leaves it out
    return torch.log(power * (1.0 / offset) + 1.0) + math.log(offset)


class LogMel(nn.Module):
    """Waveforms (batch, channels, samples) → log-mel spectrograms (batch, channels, n_mels, frames).

    Power in mel bands (`MelPower`), then decibels or the natural logarithm. With the default settings equal to what
    torchaudio 2.11 gives for MelSpectrogram and AmplitudeToDB.

    Args:
        sound: rate and channels of the waveforms.
        features: settings of the transform; `top_db` counts from a clip's loudest value in decibels, and from a
            full-scale sine in logarithms.
        portable: compute the Fourier transform by matrix products, for export; the same values within rounding.
    """

    def __init__(self, sound: SoundRecipe, features: FeatureRecipe, *, portable: bool = False) -> None:
        super().__init__()
        self.mel_power = MelPower(sound, features, portable=portable)
        self.shape = self.mel_power.shape
        self.scale, self.top_db = features.scale, features.top_db
        self.offset = self.mel_power.full_scale * 10.0 ** (-features.top_db / 10.0)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel spectrograms."""
        power = self.mel_power(waveform)
        return power_to_db(power, self.top_db) if self.scale == "db" else power_to_log(power, self.offset)


def log_mel(waveform: Tensor, sound: SoundRecipe, features: FeatureRecipe) -> Tensor:
    """Return the log-mel spectrogram of waveforms: `LogMel` in one line.

    >>> from soundfold.recipe import Recipe
    >>> recipe = Recipe()
    >>> log_mel(torch.zeros(1, 2, recipe.sound.window), recipe.sound, recipe.features).shape
    torch.Size([1, 2, 64, 345])
    """
    front_end: Tensor = LogMel(sound, features).to(waveform.device)(waveform)
    return front_end
