"""What published audio encoders take: their own spectrograms, or the waveform itself, batched and exportable.

Nothing may be changed in them: a pretrained network knows one picture of sound only. The values are those of the
feature extractors that are published with the networks. Those work on one clip at a time, in numpy; these on a batch,
on any device, and gradients pass through.
"""

import torch
from torch import Tensor, nn

from soundfold.features.dft import MatmulDft, frame, power_spectrum_fft
from soundfold.features.mel import mel_filters
from soundfold.features.precision import in_full_precision

__all__ = ["AstInput", "ClapInput", "NormalisedWaveform", "WhisperInput"]

_SMALLEST_POWER = 1e-10


class NormalisedWaveform(nn.Module):
    """Waveforms (batch, 1, samples) → (batch, samples), each with mean 0 and deviation 1, or as they are.

    For wav2vec 2.0, HuBERT and WavLM, which make features of samples themselves.

    Args:
        normalises: whether the network was trained with this.

    References:
        Baevski et al. (2020), "wav2vec 2.0: a framework for self-supervised learning of speech representations",
        NeurIPS.
    """

    def __init__(self, *, normalises: bool) -> None:
        super().__init__()
        self.normalises = normalises

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return waveforms as the network takes them."""
        mono = waveform[:, 0]
        if not self.normalises:
            return mono
        centred = mono - mono.mean(dim=-1, keepdim=True)
        return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-7).sqrt()


class AstInput(nn.Module):
    """Waveforms (batch, 1, samples) at 16 kHz → log-mel spectrograms (batch, max_length, n_mels), as AST takes them.

    Kaldi's filter bank: frames of 25 ms every 10 ms that lie wholly in the sound, each with its own mean taken out and
    pre-emphasised, symmetric Hann window, power, Kaldi's bands from 20 Hz up, logarithm. What is missing after the
    sound is filled with zeros; then a fixed shift and scale.

    Args:
        n_mels: number of bands.
        max_length: frames that the network takes; more are cut off.
        mean, std: what is taken off, and half of what it is divided by; None to leave the logarithm as it is.
        portable: with a Fourier transform that a model file can hold; the same values within rounding.

    References:
        Gong, Chung and Glass (2021), "AST: Audio Spectrogram Transformer", Interspeech.
    """

    sample_rate = 16_000
    frame_length = 400
    hop_length = 160
    n_fft = 512

    def __init__(
        self, n_mels: int, max_length: int, mean: float | None, std: float | None, *, portable: bool = False
    ) -> None:
        super().__init__()
        self.max_length, self.portable = max_length, portable
        self.shift, self.scale = (0.0, 1.0) if mean is None or std is None else (mean, 2.0 * std)
        filters = mel_filters(self.sample_rate, self.n_fft, n_mels, 20.0, self.sample_rate / 2, scale="kaldi")
        window = torch.hann_window(self.frame_length, periodic=False)
        self.bands = _Bands(window, self.n_fft, filters, portable=portable)

    def frames(self, samples: int) -> int:
        """Return how many frames hear a sound of so many samples."""
        return min(self.max_length, (samples - self.frame_length) // self.hop_length + 1)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel spectrograms."""
        count = self.frames(waveform.shape[-1])
        framed = _inner_frames(waveform[:, 0], count, self.frame_length, self.hop_length, portable=self.portable)
        framed = framed - framed.mean(dim=-1, keepdim=True)
        before = torch.cat([framed[..., :1], framed[..., :-1]], dim=-1)
        power = self.bands(framed - 0.97 * before)
        logarithm = power.clamp(min=torch.finfo(torch.float32).eps).log()
        filled = nn.functional.pad(logarithm, (0, 0, 0, self.max_length - count))
        spectrogram: Tensor = (filled - self.shift) / self.scale
        return spectrogram


class ClapInput(nn.Module):
    """Waveforms (batch, 1, samples) at 48 kHz → log-mel spectrograms (batch, 1, frames, n_mels), as CLAP takes them.

    A shorter sound is repeated as often as it fits and then filled with silence. Centred frames with mirrored ends,
    periodic Hann window, power, mel bands, decibels.

    Args:
        sample_rate: Hz.
        samples: length that sounds are brought to.
        n_fft, hop_length: of the transform.
        n_mels: number of bands.
        fmin_hz, fmax_hz: outer edges of the bands.
        slaney: bands of equal area on Slaney's scale, as for networks without fusion; else HTK's.
        repeats: whether a shorter sound is repeated.
        portable: as for `AstInput`.

    References:
        Wu et al. (2023), "Large-scale contrastive language-audio pretraining with feature fusion and
        keyword-to-caption augmentation", ICASSP.
    """

    def __init__(
        self,
        sample_rate: int,
        samples: int,
        n_fft: int,
        hop_length: int,
        n_mels: int,
        fmin_hz: float,
        fmax_hz: float,
        *,
        slaney: bool,
        repeats: bool,
        portable: bool = False,
    ) -> None:
        super().__init__()
        self.samples, self.n_fft, self.hop_length = samples, n_fft, hop_length
        self.repeats, self.portable = repeats, portable
        filters = mel_filters(
            sample_rate,
            n_fft,
            n_mels,
            fmin_hz,
            fmax_hz,
            scale="slaney" if slaney else "htk",
            norm="slaney" if slaney else "none",
        )
        self.bands = _Bands(torch.hann_window(n_fft), n_fft, filters, portable=portable)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel spectrograms."""
        length = waveform.shape[-1]
        times = self.samples // length if self.repeats else 1
        filled = nn.functional.pad(torch.cat([waveform] * times, dim=-1), (0, self.samples - times * length))
        power = self.bands(frame(filled, self.n_fft, self.hop_length, portable=self.portable))
        spectrogram: Tensor = 10.0 * power.clamp(min=_SMALLEST_POWER).log10()
        return spectrogram


class WhisperInput(nn.Module):
    """Waveforms (batch, 1, samples) at 16 kHz → log-mel spectrograms (batch, n_mels, frames), as Whisper takes them.

    Centred frames with mirrored ends, periodic Hann window, power, bands of equal area on Slaney's scale up to 8 kHz,
    decimal logarithm with a floor 80 dB under the clip's loudest value, and a fixed shift and scale. After the sound
    there is silence up to the network's length, which is 30 s.

    Args:
        n_mels: number of bands.
        n_fft, hop_length: of the transform.
        frames: that the network takes.
        portable: as for `AstInput`.

    References:
        Radford et al. (2023), "Robust speech recognition via large-scale weak supervision", ICML.
    """

    sample_rate = 16_000

    def __init__(self, n_mels: int, n_fft: int, hop_length: int, frames: int, *, portable: bool = False) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.frames, self.portable = n_fft, hop_length, frames, portable
        filters = mel_filters(self.sample_rate, n_fft, n_mels, 0.0, self.sample_rate / 2, scale="slaney", norm="slaney")
        self.bands = _Bands(torch.hann_window(n_fft), n_fft, filters, portable=portable)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel spectrograms."""
        # of all the silence that follows, only the first frames can hear the sound's end
        heard = min(self.frames, -(-(waveform.shape[-1] + self.n_fft) // self.hop_length))
        padded = nn.functional.pad(waveform, (0, heard * self.hop_length - waveform.shape[-1]))
        power = self.bands(frame(padded, self.n_fft, self.hop_length, portable=self.portable)[:, 0, :heard])
        silent = power.new_full((power.shape[0], self.frames - heard, power.shape[-1]), _SMALLEST_POWER)
        logarithm = torch.cat([power.clamp(min=_SMALLEST_POWER), silent], dim=1).log10()
        floor = logarithm.amax(dim=(-2, -1), keepdim=True) - 8.0
        return ((torch.maximum(logarithm, floor) + 4.0) / 4.0).transpose(-1, -2)


class _Bands(nn.Module):
    """Frames (…, frame length) → power in bands (…, n_mels)."""

    def __init__(self, window: Tensor, n_fft: int, filters: Tensor, *, portable: bool) -> None:
        super().__init__()
        self.missing = n_fft - len(window)
        self.matmul_dft = MatmulDft(n_fft) if portable else None
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", window, persistent=False)
        kept = filters if self.matmul_dft is None else self.matmul_dft.reorder(filters)
        self.register_buffer("filters", kept, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        padded = nn.functional.pad(frames * self.window, (0, self.missing))
        power = power_spectrum_fft(padded) if self.matmul_dft is None else self.matmul_dft.unordered(padded)
        return torch.matmul(power, self.filters)


def _inner_frames(waveform: Tensor, count: int, length: int, hop_length: int, *, portable: bool) -> Tensor:
    """Return frames (batch, count, length) of (batch, samples), the first from sample 0 on; none reaches beyond."""
    if not portable:
        view: Tensor = waveform.unfold(-1, length, hop_length)
        return view[:, :count]
    # whole hops are copied, as in `frame`
    hops = -(-length // hop_length)
    needed = (count + hops - 1) * hop_length
    padded = nn.functional.pad(waveform, (0, max(0, needed - waveform.shape[-1])))[..., :needed]
    rows = padded.reshape(*padded.shape[:-1], -1, hop_length)
    parts = [rows[..., i : i + count, : min(hop_length, length - i * hop_length)] for i in range(hops)]
    return torch.cat(parts, dim=-1)
