"""Mel-frequency cepstral coefficients: the shape of the log-mel spectrum in a few numbers a frame."""

import math

import torch
from torch import Tensor, nn

from soundfold.features.log_mel import LogMel
from soundfold.features.precision import in_full_precision
from soundfold.recipe import FeatureRecipe, SoundRecipe

__all__ = ["Mfcc", "dct_matrix", "mfcc"]


def dct_matrix(n_mfcc: int, n_mels: int) -> Tensor:
    """Return the orthonormal discrete cosine transform (DCT-II) as (n_mfcc, n_mels) float32; its rows are unit vectors.

    >>> dct_matrix(13, 40).shape
    torch.Size([13, 40])
    """
    row, column = torch.arange(n_mfcc), torch.arange(n_mels)
    # reduced by the period 4n first, so that the angle keeps every digit
    angle = torch.outer(row, 2 * column + 1) % (4 * n_mels)
    basis = torch.cos(angle.double() * (math.pi / (2 * n_mels))) * math.sqrt(2.0 / n_mels)
    basis[0] /= math.sqrt(2.0)
    return basis.float()


class Mfcc(nn.Module):
    """Waveforms (batch, channels, samples) → cepstral coefficients (batch, channels, n_mfcc, frames).

    The first `n_mfcc` coefficients of the orthonormal DCT-II over the bands of `LogMel`, the 0th (loudness) among them;
    no lifter. With the default settings equal to what torchaudio 2.11 gives for MFCC.

    Args:
        sound, features, portable: as for `LogMel`.

    References:
        Davis and Mermelstein (1980), "Comparison of parametric representations for monosyllabic word recognition in
        continuously spoken sentences", IEEE Transactions on Acoustics, Speech, and Signal Processing 28(4).
    """

    def __init__(self, sound: SoundRecipe, features: FeatureRecipe, *, portable: bool = False) -> None:
        super().__init__()
        self.log_mel = LogMel(sound, features, portable=portable)
        channels, n_mels, frames = self.log_mel.shape
        self.shape = (channels, features.n_mfcc, frames)
        self.dct: Tensor
        self.register_buffer("dct", dct_matrix(features.n_mfcc, n_mels), persistent=False)

    @in_full_precision
    def forward(self, waveform: Tensor) -> Tensor:
        """Return cepstral coefficients."""
        return torch.matmul(self.dct, self.log_mel(waveform))


def mfcc(waveform: Tensor, sound: SoundRecipe, features: FeatureRecipe) -> Tensor:
    """Return the cepstral coefficients of waveforms: `Mfcc` in one line.

    >>> from soundfold.recipe import Recipe
    >>> recipe = Recipe()
    >>> mfcc(torch.zeros(1, 2, recipe.sound.window), recipe.sound, recipe.features).shape
    torch.Size([1, 2, 40, 345])
    """
    front_end: Tensor = Mfcc(sound, features).to(waveform.device)(waveform)
    return front_end
