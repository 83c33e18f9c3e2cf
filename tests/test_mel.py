"""Mel bands: the three scales, their triangles, and Kaldi's as a published network hears them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soundfold.features import frame, hz_to_mel, mel_filters, mel_to_hz, power_spectrum_fft

SCALES = ["htk", "slaney", "kaldi"]


@pytest.mark.parametrize("scale", SCALES)
def test_scale_rises_and_can_be_undone(scale: str) -> None:
    frequency_hz = torch.linspace(0, 22_050, 500, dtype=torch.float64)
    mel = hz_to_mel(frequency_hz, scale)
    assert (mel.diff() > 0).all()
    torch.testing.assert_close(mel_to_hz(mel, scale), frequency_hz)


def test_scales_pass_through_their_published_points() -> None:
    frequency_hz = torch.tensor([0.0, 500.0, 1_000.0, 6_400.0], dtype=torch.float64)
    # the HTK Book: 1,000 Hz are 1,000 mels; Slaney: 15 mels up to 1 kHz, 27 more up to 6.4 kHz
    torch.testing.assert_close(hz_to_mel(frequency_hz, "slaney"), torch.tensor([0.0, 7.5, 15.0, 42.0]).double())
    assert float(hz_to_mel(frequency_hz)[2]) == pytest.approx(1_000, abs=0.02)
    torch.testing.assert_close(
        1127.0 * torch.log(1 + frequency_hz / 700), hz_to_mel(frequency_hz, "kaldi"), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("n_fft", "n_mels"), [(1024, 64), (512, 40), (2048, 128)])
def test_filters_are_triangles_that_peak_at_one(n_fft: int, n_mels: int, scale: str) -> None:
    filters = mel_filters(44_100, n_fft, n_mels, 0.0, 22_050.0, scale=scale)
    assert filters.shape == (n_fft // 2 + 1, n_mels)
    assert filters.dtype == torch.float32
    assert float(filters.min()) == 0.0
    assert 0.9 < float(filters.max()) <= 1.0
    # neighbours overlap so that the bands together pass everything between the outer peaks alike
    inner = slice(int(filters[:, 0].argmax()) + 1, int(filters[:, -1].argmax()))
    torch.testing.assert_close(filters[inner].sum(dim=1), torch.ones(inner.stop - inner.start), rtol=0, atol=1e-4)


def test_each_family_is_straight_over_its_own_axis() -> None:
    bins_hz = torch.linspace(0, 8_000, 513)
    for scale, axis in (("htk", bins_hz), ("slaney", bins_hz), ("kaldi", hz_to_mel(bins_hz))):
        rising = mel_filters(16_000, 1024, 8, 0.0, 8_000.0, scale=scale)[:, -1]
        low, peak = int(rising.nonzero()[0]), int(rising.argmax())
        slopes = rising[low:peak].diff() / axis[low:peak].diff()
        torch.testing.assert_close(slopes, slopes.mean().expand_as(slopes), rtol=1e-2, atol=0)


@pytest.mark.parametrize("scale", SCALES)
def test_slaney_norm_gives_every_band_the_same_area(scale: str) -> None:
    plain = mel_filters(16_000, 2048, 40, 50.0, 7_600.0, scale=scale)
    level = mel_filters(16_000, 2048, 40, 50.0, 7_600.0, scale=scale, norm="slaney")
    area = level.sum(dim=0) * (16_000 / 2048)
    torch.testing.assert_close(area[10:], torch.ones(30), rtol=0.01 if scale != "kaldi" else 0.06, atol=0)
    gain = level.amax(dim=0) / plain.amax(dim=0)
    torch.testing.assert_close(level, plain * gain)


@pytest.mark.parametrize("scale", SCALES)
def test_bands_keep_within_their_edges(scale: str) -> None:
    filters = mel_filters(16_000, 512, 20, 300.0, 3_400.0, scale=scale)
    bins_hz = torch.linspace(0, 8_000, 257)
    assert filters[(bins_hz < 300) | (bins_hz > 3_400)].abs().max() == 0
    assert filters[(bins_hz > 450) & (bins_hz < 3_000)].sum(dim=1).min() > 0.9


def test_kaldi_bands_peak_near_one_overlap_to_one_and_leave_out_the_last_bin() -> None:
    filters = mel_filters(32_000, 1024, 40, 20.0, 16_000.0, scale="kaldi")
    assert filters.shape == (513, 40)
    assert filters.min() == 0
    assert 0.5 < float(filters.amax(dim=0).min()) <= float(filters.max()) <= 1
    # between the peaks of the first and the last band, every bin belongs to two bands with a sum of 1
    inner = filters.sum(dim=1)[int(filters[:, 0].argmax()) + 1 : int(filters[:, -1].argmax())]
    torch.testing.assert_close(inner, torch.ones_like(inner), rtol=0, atol=1e-4)
    assert not filters[512].any()


def test_kaldi_bands_are_those_a_published_network_hears(golden: Path) -> None:
    stored = np.load(golden / "efficientat_mn04.npz")
    waveform = torch.from_numpy(stored["waveform"])[:, None]
    emphasised = waveform[..., 1:] - 0.97 * waveform[..., :-1]
    window = torch.hann_window(800, periodic=False)
    frames = torch.nn.functional.pad(frame(emphasised, 800, 320) * window, (0, 224))
    filters = mel_filters(32_000, 1024, 128, 0.0, 15_000.0, scale="kaldi")
    mel = torch.matmul(power_spectrum_fft(frames), filters).transpose(-1, -2)
    np.testing.assert_allclose((((mel + 1e-5).log() + 4.5) / 5)[:, 0].numpy(), stored["logmel"], rtol=0, atol=1e-3)
