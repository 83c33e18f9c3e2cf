"""Mel bands: the scales, and the triangular filters that sum a power spectrum into bands."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["MelNorm", "MelScale", "hz_to_mel", "mel_filters", "mel_to_hz"]

MelScale = Literal["htk", "slaney", "kaldi"]
MelNorm = Literal["none", "slaney"]

_LINEAR_HZ = 200.0 / 3.0  # Slaney's scale: Hz of one mel below the knee
_KNEE_HZ = 1_000.0
_KNEE_MEL = _KNEE_HZ / _LINEAR_HZ
_LOG_STEP = math.log(6.4) / 27.0  # above the knee 27 mels are a factor of 6.4


def hz_to_mel(frequency_hz: Tensor, scale: MelScale = "htk") -> Tensor:
    """Return mels of frequencies in Hz.

    `htk` and `kaldi` are one scale, `2595 log10(1 + f / 700)`, which is `1127 ln(1 + f / 700)`. `slaney` is linear
    below 1 kHz, three mels for 200 Hz, and logarithmic above.

    Args:
        frequency_hz: any shape, Hz, not negative.
        scale: whose scale.

    References:
        Young et al., "The HTK Book". Slaney (1998), "Auditory Toolbox", Interval Research technical report 1998-010.
    """
    if scale != "slaney":
        return 2595.0 * torch.log10(1.0 + frequency_hz / 700.0)
    above = _KNEE_MEL + torch.log(frequency_hz.clamp(min=_KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return torch.where(frequency_hz < _KNEE_HZ, frequency_hz / _LINEAR_HZ, above)


def mel_to_hz(mel: Tensor, scale: MelScale = "htk") -> Tensor:
    """Return frequencies in Hz of mels: the inverse of `hz_to_mel`."""
    if scale != "slaney":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = _KNEE_HZ * torch.exp((mel.clamp(min=_KNEE_MEL) - _KNEE_MEL) * _LOG_STEP)
    return torch.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)


def mel_filters(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    fmin_hz: float,
    fmax_hz: float,
    *,
    scale: MelScale = "htk",
    norm: MelNorm = "none",
) -> Tensor:
    """Return triangular filters that are evenly wide in mels.

    With many bands and a short transform the lowest triangles fall between two bins and are all zero; such a band is
    silent for every sound. Kaldi's triangles are straight over mels, the others' over Hz, and Kaldi's leave out the bin
    at half the rate.

    Args:
        sample_rate: Hz.
        n_fft: samples of the transform.
        n_mels: number of bands.
        fmin_hz, fmax_hz: outer edges in Hz, at most half the rate.
        scale: whose bands.
        norm: `none` for triangles that peak at 1; `slaney` for triangles of area 1 over Hz, so that white noise is
            level over the bands.

    Returns:
        (n_fft // 2 + 1, n_mels) float32.

    References:
        Kaldi's are those of its `MelBanks`, as torchaudio 2.11 has it in `compliance.kaldi`.

    >>> mel_filters(16_000, 512, 40, 0.0, 8_000.0).shape
    torch.Size([257, 40])
    """
    # in float32 on purpose: the published filters are, and float64 edges would move steep slopes by 1e-4
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    lowest, highest = hz_to_mel(torch.tensor([fmin_hz, fmax_hz], dtype=torch.float64), scale).tolist()
    edges = mel_to_hz(torch.linspace(lowest, highest, n_mels + 2), scale)
    if scale == "kaldi":
        filters = _kaldi_filters(sample_rate, n_fft, n_mels, fmin_hz, fmax_hz)
    else:
        width = edges[1:] - edges[:-1]
        slopes = edges[None, :] - bins[:, None]
        rising = -slopes[:, :-2] / width[:-1]
        falling = slopes[:, 2:] / width[1:]
        filters = torch.minimum(rising, falling).clamp(min=0)
    return filters * (2.0 / (edges[2:] - edges[:-2])) if norm == "slaney" else filters


def _kaldi_filters(sample_rate: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float) -> Tensor:
    """Return triangles that are straight on the mel scale and peak at 1; the bin at half the rate is in none."""
    lowest, highest = _kaldi_mels(torch.tensor([fmin_hz, fmax_hz]))
    step = (highest - lowest) / (n_mels + 1)
    left = lowest + torch.arange(n_mels) * step
    bins = _kaldi_mels(torch.arange(n_fft // 2) * (sample_rate / n_fft))
    rising = (bins[:, None] - left) / step
    return nn.functional.pad(torch.minimum(rising, 2 - rising).clamp(min=0), (0, 0, 0, 1))


def _kaldi_mels(frequency_hz: Tensor) -> Tensor:
    return 1127.0 * torch.log(1.0 + frequency_hz / 700.0)
