"""The log-mel spectrogram, batched, on any device, and exportable."""

import torch
from torch import Tensor, nn

from soundfold.features.dft import MatmulDft, frame, power_spectrum_fft
from soundfold.features.mel import mel_filters
from soundfold.recipe import FeatureRecipe, SoundRecipe

__all__ = ["LogMel", "log_mel", "power_to_db"]

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


class LogMel(nn.Module):
    """Waveforms (batch, channels, samples) → log-mel spectrograms (batch, channels, n_mels, frames) in dB.

    Hann window (periodic), centred frames with mirrored ends, power, HTK bands: equal to what torchaudio 2.11 gives for
    MelSpectrogram and AmplitudeToDB.

    Args:
        sound: rate and channels of the waveforms.
        features: settings of the transform.
        portable: compute the Fourier transform by matrix products, for export; the same values within rounding.
    """

    def __init__(self, sound: SoundRecipe, features: FeatureRecipe, *, portable: bool = False) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.top_db = features.n_fft, features.hop_length, features.top_db
        length = features.win_length or features.n_fft
        left = (self.n_fft - length) // 2
        window = nn.functional.pad(torch.hann_window(length), (left, self.n_fft - length - left))
        fmax_hz = features.fmax_hz or sound.sample_rate / 2
        filters = mel_filters(sound.sample_rate, self.n_fft, features.n_mels, features.fmin_hz, fmax_hz)
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.power_spectrum = MatmulDft(self.n_fft) if portable else power_spectrum_fft
        frames = sound.window // self.hop_length + 1
        self.shape = (sound.channels, features.n_mels, frames)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return spectrograms in dB."""
        frames = frame(waveform, self.n_fft, self.hop_length) * self.window
        mel = torch.matmul(self.power_spectrum(frames), self.filters)
        return power_to_db(mel.transpose(-1, -2), self.top_db)


def log_mel(waveform: Tensor, sound: SoundRecipe, features: FeatureRecipe) -> Tensor:
    """Return the log-mel spectrogram of waveforms: `LogMel` in one line.

    >>> from soundfold.recipe import Recipe
    >>> recipe = Recipe()
    >>> log_mel(torch.zeros(1, 2, recipe.sound.window), recipe.sound, recipe.features).shape
    torch.Size([1, 2, 64, 345])
    """
    front_end: Tensor = LogMel(sound, features).to(waveform.device)(waveform)
    return front_end
