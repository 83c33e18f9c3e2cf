"""The front end: equal to torchaudio's, equal in both its forms, and well behaved in batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soundfold.features import (
    LogMel,
    MatmulDft,
    build_features,
    frame,
    log_mel,
    mel_filters,
    power_spectrum_fft,
    power_to_db,
)
from soundfold.recipe import Recipe, build_recipe

RECIPE = Recipe()


def test_equals_torchaudio(golden: Path) -> None:
    stored = np.load(golden / "torchaudio_2_11.npz")
    waveform = torch.from_numpy(stored["waveform"])[None]
    spectrogram = LogMel(RECIPE.sound, RECIPE.features)(waveform)[0].numpy()
    np.testing.assert_allclose(spectrogram, stored["mel_db_top80"], rtol=1e-4, atol=1e-4)
    windowed = frame(waveform, 1024, 512) * torch.hann_window(1024)
    filters = mel_filters(44_100, 1024, 64, 0.0, 22_050.0)
    power = torch.matmul(power_spectrum_fft(windowed), filters).transpose(-1, -2)[0].numpy()
    np.testing.assert_allclose(power, stored["mel_power"], rtol=1e-4)


def test_portable_form_equals_torchaudio(golden: Path) -> None:
    stored = np.load(golden / "torchaudio_2_11.npz")
    spectrogram = LogMel(RECIPE.sound, RECIPE.features, portable=True)(torch.from_numpy(stored["waveform"])[None])[0]
    # float32 products leave noise 140 dB under the loudest bin, which shows in bands that hold nothing else
    np.testing.assert_allclose(spectrogram.numpy(), stored["mel_db_top80"], rtol=1e-4, atol=0.01)


@pytest.mark.parametrize("n_fft", [16, 31, 64, 100, 256, 400, 441, 512, 1000, 1024, 2048])
def test_matmul_dft_equals_fft(n_fft: int) -> None:
    frames = torch.randn(2, 3, 5, n_fft, generator=torch.Generator().manual_seed(n_fft))
    expected = power_spectrum_fft(frames)
    result = MatmulDft(n_fft)(frames)
    assert result.shape == expected.shape == (2, 3, 5, n_fft // 2 + 1)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


def test_frames_are_centred_on_multiples_of_the_hop() -> None:
    waveform = torch.zeros(1, 1, 1000)
    waveform[0, 0, 300] = 1.0
    frames = frame(waveform, 64, 50)
    assert frames.shape == (1, 1, 1000 // 50 + 1, 64)
    assert frames[0, 0, 6, 32] == 1.0


@pytest.mark.parametrize(("n_fft", "n_mels"), [(1024, 64), (512, 40), (2048, 128)])
def test_mel_filters_are_triangles_that_peak_at_one(n_fft: int, n_mels: int) -> None:
    filters = mel_filters(44_100, n_fft, n_mels, 0.0, 22_050.0)
    assert filters.shape == (n_fft // 2 + 1, n_mels)
    assert float(filters.min()) == 0.0
    assert float(filters.max()) <= 1.0
    # neighbours overlap so that the bands together pass everything between the outer peaks alike
    inner = slice(int(filters[:, 0].argmax()) + 1, int(filters[:, -1].argmax()))
    torch.testing.assert_close(filters[inner].sum(dim=1), torch.ones(inner.stop - inner.start), rtol=0, atol=1e-4)


def test_tone_lights_the_band_it_belongs_to() -> None:
    recipe = build_recipe({"sound": {"sample_rate": 16_000, "channels": 1, "length_s": 0.5}})
    filters = mel_filters(16_000, 1024, 64, 0.0, 8_000.0)
    for frequency_hz in (500.0, 1_000.0, 4_000.0):
        time_s = torch.arange(recipe.sound.window) / 16_000
        tone = torch.sin(2 * torch.pi * frequency_hz * time_s)[None, None]
        loudest = int(log_mel(tone, recipe.sound, recipe.features)[0, 0].mean(dim=1).argmax())
        assert loudest == int(filters[round(frequency_hz / 16_000 * 1024)].argmax())


def test_floor_is_under_the_loudest_value_of_all_channels() -> None:
    power = torch.tensor([[[[1.0, 1e-20]], [[1e-4, 1e-20]]]])
    db = power_to_db(power, top_db=80.0)
    assert db.amax() == 0.0
    assert db.amin() == -80.0
    assert power_to_db(power).amin() == -100.0


def test_clips_do_not_influence_each_other() -> None:
    front_end = build_features(RECIPE)
    batch = torch.randn(4, 2, RECIPE.sound.window, generator=torch.Generator().manual_seed(0))
    batch[1] *= 1e-3
    batch[2] = 0
    together = front_end(batch)
    for row in range(4):
        torch.testing.assert_close(together[row : row + 1], front_end(batch[row : row + 1]), rtol=1e-5, atol=1e-3)


def test_shape_is_what_it_says_and_gradients_flow() -> None:
    front_end = build_features(RECIPE)
    waveform = torch.randn(1, 2, RECIPE.sound.window, requires_grad=True)
    spectrogram = front_end(waveform)
    assert spectrogram.shape[1:] == front_end.shape == (2, 64, 345)
    spectrogram.sum().backward()
    assert waveform.grad is not None
    assert torch.isfinite(waveform.grad).all()


def test_silence_is_finite_and_flat() -> None:
    spectrogram = build_features(RECIPE)(torch.zeros(1, 2, RECIPE.sound.window))
    assert torch.equal(spectrogram, torch.full_like(spectrogram, -100.0))


def test_front_end_has_nothing_to_save() -> None:
    assert build_features(RECIPE).state_dict() == {}
    assert build_features(RECIPE, portable=True).state_dict() == {}
