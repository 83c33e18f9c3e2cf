"""The front end of networks that were trained on AudioSet by EfficientAT's recipe: Kaldi's bands, a plain logarithm.

Nothing may be changed in it but the outer edges of the bands, which those networks' training jitters: pretrained
weights know one picture of sound only. The front end that a recipe may shape is `log_mel`.
"""

import torch
from torch import Tensor, nn

from soundfold.features.dft import MatmulDft, frame
from soundfold.features.precision import in_full_precision

__all__ = ["AudiosetMel", "audioset_mel", "draw_band_edges", "kaldi_mel_filters"]

_PRE_EMPHASIS = 0.97
_SMALLEST_POWER = 1e-5
_FMAX_HZ = 15_000.0


def kaldi_mel_filters(sample_rate: int, n_fft: int, n_mels: int, edges_hz: Tensor) -> Tensor:
    """Return Kaldi's triangular mel filters: evenly wide in mels, straight in mels rather than in Hz, peaking at 1.

    Two traps beside HTK's filters: the slopes are straight on the mel scale `1127 ln(1 + f / 700)`, and the bin at half
    the rate belongs to no band.

    Args:
        sample_rate: Hz.
        n_fft: samples of the transform.
        n_mels: number of bands.
        edges_hz: (…, 2), the outer edges in Hz, low and high; the high one at most half the rate.

    Returns:
        (…, n_fft // 2 + 1, n_mels) float32, on the device of the edges.

    References:
        Kaldi's `MelBanks`, as torchaudio 2.11 has it in `compliance.kaldi`.

    >>> kaldi_mel_filters(32_000, 1024, 128, torch.tensor([0.0, 15_000.0])).shape
    torch.Size([513, 128])
    """
    lowest, highest = _mels(edges_hz.float()).unsqueeze(-1).unbind(-2)
    step = (highest - lowest) / (n_mels + 1)
    left = lowest + torch.arange(n_mels, device=edges_hz.device) * step
    bins = _mels(torch.arange(n_fft // 2, device=edges_hz.device) * (sample_rate / n_fft))
    rising = (bins[:, None] - left[..., None, :]) / step[..., None]
    filters = torch.minimum(rising, 2 - rising).clamp(min=0)
    return nn.functional.pad(filters, (0, 0, 0, 1))


def draw_band_edges(generator: torch.Generator, size: int | None = None) -> Tensor:
    """Draw jittered outer edges for training: the low one up to 10 Hz up, the high one up to 1,000 Hz up or down.

    Args:
        generator: on the CPU.
        size: number of clips; None for one pair of edges that all clips of a batch share, as in the published recipe.

    Returns:
        (size, 2) or (2,) float32 in Hz, on the CPU.
    """
    drawn = torch.rand((2,) if size is None else (size, 2), generator=generator)
    return drawn * torch.tensor([10.0, 2_000.0]) + torch.tensor([0.0, _FMAX_HZ - 1_000.0])


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

    def __init__(self, *, portable: bool = False, samples: int = 320_000) -> None:
        super().__init__()
        self.shape = (1, self.n_mels, (samples - 1) // self.hop_length + 1)
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.hann_window(self.win_length, periodic=False), persistent=False)
        filters = self._filters_between(torch.tensor([0.0, _FMAX_HZ]))
        self.matmul_dft = MatmulDft(self.n_fft) if portable else None
        kept = filters if self.matmul_dft is None else self.matmul_dft.reorder(filters)
        self.register_buffer("filters", kept, persistent=False)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel spectrograms."""
        emphasised = waveform[..., 1:] - _PRE_EMPHASIS * waveform[..., :-1]
        if self.matmul_dft is not None:
            frames = frame(emphasised, self.win_length, self.hop_length, portable=True) * self.window
            padded = nn.functional.pad(frames, (0, self.n_fft - self.win_length))
            mel = torch.matmul(self.matmul_dft.unordered(padded), self.filters)
        elif waveform.device.type == "cpu":
            # one clip at a time, so that what it needs on the way stays in the processor's cache
            own = [self.filters] * len(waveform) if self.filters.dim() == 2 else self.filters.unbind()
            mel = torch.cat([self._bands(clip, f) for clip, f in zip(torch.split(emphasised, 1), own, strict=True)])
        else:
            mel = self._bands(emphasised, self.filters)
        return ((mel + _SMALLEST_POWER).log() + 4.5).transpose(-1, -2) / 5.0

    def jittered(self, waveform: Tensor, edges_hz: Tensor) -> Tensor:
        """Return log-mel spectrograms with other bands, for training; `draw_band_edges` draws their edges.

        Args:
            waveform: (batch, 1, samples) float32.
            edges_hz: (2,) for the whole batch or (batch, 2), outer edges of the bands in Hz.

        Raises:
            ValueError: the front end is the portable one, which has its bands for good.
        """
        if self.matmul_dft is not None:
            raise ValueError("a portable front end must keep its bands. Jitter the one that training uses")
        filters = self._filters_between(edges_hz.to(waveform.device)).unsqueeze(-3)  # a clip's serve its one channel
        filters = filters[0] if edges_hz.dim() == 1 else filters
        spectrogram: Tensor = torch.func.functional_call(self, {"filters": filters}, (waveform,))
        return spectrogram

    def _filters_between(self, edges_hz: Tensor) -> Tensor:
        """Return the filters (…, 513, 128) for outer edges (…, 2) in Hz."""
        return kaldi_mel_filters(self.sample_rate, self.n_fft, self.n_mels, edges_hz)

    def _bands(self, emphasised: Tensor, filters: Tensor) -> Tensor:
        """Return power in bands (batch, 1, frames, 128), by the FFT.

        Frames hold the window's 800 samples and no more. The zeros around them would only turn the phase, and power
        does not see that.
        """
        frames = frame(emphasised, self.win_length, self.hop_length) * self.window
        squares = torch.view_as_real(torch.fft.rfft(frames, n=self.n_fft)).square()
        return torch.matmul(squares[..., 0] + squares[..., 1], filters)


def audioset_mel(waveform: Tensor) -> Tensor:
    """Return the log-mel spectrogram of waveforms at 32 kHz: `AudiosetMel` in one line.

    >>> audioset_mel(torch.zeros(2, 1, 128_000)).shape
    torch.Size([2, 1, 128, 400])
    """
    spectrogram: Tensor = AudiosetMel().to(waveform.device)(waveform)
    return spectrogram


def _mels(frequency_hz: Tensor) -> Tensor:
    return 1127.0 * torch.log(1.0 + frequency_hz / 700.0)
