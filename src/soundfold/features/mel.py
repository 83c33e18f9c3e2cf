"""Mel bands: the scale and the triangular filters that sum a power spectrum into bands."""

import torch
from torch import Tensor

__all__ = ["hz_to_mel", "mel_filters", "mel_to_hz"]


def hz_to_mel(frequency_hz: Tensor) -> Tensor:
    """Return mels of frequencies in Hz on the HTK scale, `2595 log10(1 + f / 700)`."""
    return 2595.0 * torch.log10(1.0 + frequency_hz / 700.0)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Return frequencies in Hz of mels on the HTK scale."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def mel_filters(sample_rate: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float) -> Tensor:
    """Return triangular filters that are evenly wide in mels and peak at 1 (HTK's, not area-normalised).

    With many bands and a short transform the lowest triangles fall between two bins and are all zero; such a band is
    silent for every sound.

    Args:
        sample_rate: Hz.
        n_fft: samples of the transform.
        n_mels: number of bands.
        fmin_hz, fmax_hz: outer edges in Hz, at most half the rate.

    Returns:
        (n_fft // 2 + 1, n_mels) float32.

    >>> mel_filters(16_000, 512, 40, 0.0, 8_000.0).shape
    torch.Size([257, 40])
    """
    # in float32 on purpose: the published filters are, and float64 edges would move steep slopes by 1e-4
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    lowest, highest = hz_to_mel(torch.tensor([fmin_hz, fmax_hz], dtype=torch.float64)).tolist()
    edges = mel_to_hz(torch.linspace(lowest, highest, n_mels + 2))
    width = edges[1:] - edges[:-1]
    slopes = edges[None, :] - bins[:, None]
    rising = -slopes[:, :-2] / width[:-1]
    falling = slopes[:, 2:] / width[1:]
    return torch.minimum(rising, falling).clamp(min=0)
