"""The front end of networks that were trained on AudioSet by EfficientAT's recipe: Kaldi's bands, a plain logarithm.

Nothing may be changed in it: pretrained weights know one picture of sound only. The front end that a recipe may shape
is `log_mel`.
"""

import torch
from torch import Tensor, nn

from soundfold.features.dft import MatmulDft, frame
from soundfold.features.mel import mel_filters
from soundfold.features.precision import in_full_precision

__all__ = ["AudiosetMel", "audioset_mel"]


class AudiosetMel(nn.Module):
    """Waveforms (batch, 1, samples) at 32 kHz → log-mel spectrograms (batch, 1, 128, frames).

    Pre-emphasis, symmetric Hann window of 25 ms every 10 ms, centred frames with mirrored ends, power, 128 Kaldi bands
    from 0 to 15 kHz, logarithm, and a fixed shift and scale to about the range from −1 to 1. It has nothing to learn or
    to save. `samples` must be more than 401; there are `(samples − 1) // 320 + 1` frames.

    Args:
        portable: compute the Fourier transform by matrix products, for export; the same values within rounding.
        samples: length of the waveforms, where they are all alike.

    Attributes:
        shape: (1, 128, frames) of waveforms of that length.

    References:
        Schmid, Koutini and Widmer (2023), "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
        Distillation", ICASSP.
    """

    sample_rate = 32_000
    n_fft = 1_024
    win_length = 800
    hop_length = 320
    n_mels = 128
    fmax_hz = 15_000.0
    pre_emphasis = 0.97
    smallest_power = 1e-5

    def __init__(self, *, portable: bool = False, samples: int = 320_000) -> None:
        super().__init__()
        self.shape = (1, self.n_mels, (samples - 1) // self.hop_length + 1)
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.hann_window(self.win_length, periodic=False), persistent=False)
        filters = mel_filters(self.sample_rate, self.n_fft, self.n_mels, 0.0, self.fmax_hz, scale="kaldi")
        self.matmul_dft = MatmulDft(self.n_fft) if portable else None
        kept = filters if self.matmul_dft is None else self.matmul_dft.reorder(filters)
        self.register_buffer("filters", kept, persistent=False)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel spectrograms."""
        emphasised = waveform[..., 1:] - self.pre_emphasis * waveform[..., :-1]
        if self.matmul_dft is not None:
            frames = frame(emphasised, self.win_length, self.hop_length, portable=True) * self.window
            padded = nn.functional.pad(frames, (0, self.n_fft - self.win_length))
            mel = torch.matmul(self.matmul_dft.unordered(padded), self.filters)
        elif waveform.device.type == "cpu":
            # one clip at a time, so that what it needs on the way stays in the processor's cache
            mel = torch.cat([self._bands(clip) for clip in torch.split(emphasised, 1)])
        else:
            mel = self._bands(emphasised)
        return ((mel + self.smallest_power).log() + 4.5).transpose(-1, -2) / 5.0

    def _bands(self, emphasised: Tensor) -> Tensor:
        """Return power in bands (batch, 1, frames, 128), by the FFT.

        Frames hold the window's 800 samples and no more. The zeros around them would only turn the phase, and power
        does not see that.
        """
        frames = frame(emphasised, self.win_length, self.hop_length) * self.window
        squares = torch.view_as_real(torch.fft.rfft(frames, n=self.n_fft)).square()
        return torch.matmul(squares[..., 0] + squares[..., 1], self.filters)


def audioset_mel(waveform: Tensor) -> Tensor:
    """Return the log-mel spectrogram of waveforms at 32 kHz: `AudiosetMel` in one line.

    >>> audioset_mel(torch.zeros(2, 1, 128_000)).shape
    torch.Size([2, 1, 128, 400])
    """
    spectrogram: Tensor = AudiosetMel().to(waveform.device)(waveform)
    return spectrogram
