"""Cepstral coefficients: equal to the published ones, and a turn of the log-mel spectrum that loses nothing."""

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch

from soundfold.features import Mfcc, dct_matrix, log_mel, mfcc
from soundfold.recipe import load_recipe


@pytest.mark.parametrize("portable", [False, True])
def test_equals_torchaudio(golden: Path, portable: bool) -> None:
    stored = np.load(golden / "torchaudio_2_11.npz")
    recipe = load_recipe("tutorial", ["kind=mfcc"])
    front_end = Mfcc(recipe.sound, recipe.features, portable=portable)
    coefficients = front_end(torch.from_numpy(stored["waveform"])[None])[0].numpy()
    np.testing.assert_allclose(coefficients, stored["mfcc40"], rtol=0, atol=0.02 if portable else 1e-3)


@pytest.mark.parametrize(("n_mfcc", "n_mels"), [(1, 4), (13, 40), (40, 64), (64, 64), (512, 512)])
def test_dct_is_the_orthonormal_one(n_mfcc: int, n_mels: int) -> None:
    matrix = dct_matrix(n_mfcc, n_mels)
    expected = scipy.fft.dct(np.eye(n_mels), type=2, norm="ortho", axis=0)[:n_mfcc]
    np.testing.assert_allclose(matrix.numpy(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(n_mfcc), rtol=0, atol=1e-5)


def test_all_coefficients_together_are_the_spectrum_again() -> None:
    recipe = load_recipe("tutorial", ["sample_rate=8000", "length_s=0.5", "n_mels=24", "n_mfcc=24", "kind=mfcc"])
    waveform = torch.randn(2, 2, recipe.sound.window, generator=torch.Generator().manual_seed(0))
    spectrogram = log_mel(waveform, recipe.sound, recipe.features)
    coefficients = mfcc(waveform, recipe.sound, recipe.features)
    torch.testing.assert_close(torch.matmul(dct_matrix(24, 24).T, coefficients), spectrogram, rtol=1e-4, atol=1e-3)
    # coefficient 0 is loudness: the mean over the bands, times √n
    torch.testing.assert_close(coefficients[:, :, 0], spectrogram.mean(dim=2) * 24**0.5, rtol=1e-4, atol=1e-3)
