"""From waveforms to power in mel bands: what the mel spectrogram, the cepstrum and PCEN have in common."""

import torch
from torch import Tensor, nn

from soundfold.features.dft import MatmulDft, frame, power_spectrum_fft
from soundfold.features.mel import mel_filters
from soundfold.features.precision import in_full_precision
from soundfold.recipe import FeatureRecipe, SoundRecipe

__all__ = ["MelPower"]

_GROUP = 16  # bands that are summed together
_SAMPLES = 2**19  # of overlapping frames that are transformed together; a longer window is taken in parts


class MelPower(nn.Module):
    """Waveforms (batch, channels, samples) → power in mel bands (batch, channels, n_mels, frames).

    Hann window (periodic), centred frames with mirrored ends. Equal to torchaudio 2.11's MelSpectrogram.

    Args:
        sound: rate and channels of the waveforms.
        features: settings of the transform and the bands.
        portable: compute the Fourier transform by matrix products, for export; the same values within rounding.

    Attributes:
        shape: (channels, n_mels, frames) of what comes out for a window.
        full_scale: power that a sine of amplitude 1 brings into a band at its peak.
    """

    def __init__(self, sound: SoundRecipe, features: FeatureRecipe, *, portable: bool = False) -> None:
        super().__init__()
        self.n_fft, self.hop_length = features.n_fft, features.hop_length
        length = features.win_length or features.n_fft
        left = (self.n_fft - length) // 2
        window = nn.functional.pad(torch.hann_window(length), (left, self.n_fft - length - left))
        filters = mel_filters(
            sound.sample_rate,
            self.n_fft,
            features.n_mels,
            features.fmin_hz,
            features.fmax_hz or sound.sample_rate / 2,
            scale=features.mel_scale,
            norm=features.mel_norm,
        )
        self.shape = (sound.channels, features.n_mels, sound.window // self.hop_length + 1)
        self.full_scale = float((window.sum() / 2) ** 2 * filters.max())
        self.groups = [] if portable else _group(filters)
        self.matmul_dft = MatmulDft(self.n_fft) if portable else None
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", window, persistent=False)
        kept = filters if self.matmul_dft is None else self.matmul_dft.reorder(filters)
        self.register_buffer("filters", kept, persistent=False)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return power in mel bands."""
        if self.matmul_dft is not None:
            frames = frame(waveform, self.n_fft, self.hop_length, portable=True) * self.window
            return torch.matmul(self.matmul_dft.unordered(frames), self.filters).transpose(-1, -2)
        rows = waveform.flatten(0, 1)
        # A CPU takes one channel of one clip at a time: what that needs on the way, about 5 MB, stays in its cache, and
        # a batch of 32 clips takes a quarter of the time.
        at_once = 1 if waveform.device.type == "cpu" else max(len(rows), 1)
        power = torch.cat([self._sum_channels(part) for part in torch.split(rows, at_once)])
        return power.reshape(*waveform.shape[:2], *power.shape[1:])

    def _sum_channels(self, rows: Tensor) -> Tensor:
        """Return power in mel bands (rows, n_mels, frames) of (rows, samples), by the FFT."""
        frames = torch.split(frame(rows, self.n_fft, self.hop_length), max(1, _SAMPLES // self.n_fft), dim=-2)
        return torch.cat([self._sum_frames(part * self.window) for part in frames], dim=-1)

    def _sum_frames(self, frames: Tensor) -> Tensor:
        power = power_spectrum_fft(frames)
        bands = [
            torch.matmul(power[..., low:high], self.filters[low:high, first : first + _GROUP])
            for first, low, high in self.groups
        ]
        return torch.cat(bands, dim=-1).transpose(-1, -2)


def _group(filters: Tensor) -> list[tuple[int, int, int]]:
    """Return first band, first bin and end bin of neighbouring bands: most of the filters is zeros."""
    groups = []
    for first in range(0, filters.shape[1], _GROUP):
        heard = filters[:, first : first + _GROUP].any(dim=1).nonzero().flatten().tolist()
        low, high = (heard[0], heard[-1] + 1) if heard else (0, 0)
        groups.append((first, low, high))
    return groups
