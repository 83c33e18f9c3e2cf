"""Deltas: slopes along time, as further channels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soundfold.features import deltas, with_deltas
from soundfold.models import build_classifier
from soundfold.recipe import load_recipe


@given(slope=st.floats(-5, 5), frames=st.integers(5, 40))
def test_slope_of_a_ramp(slope: float, frames: int) -> None:
    ramp = (slope * torch.arange(float(frames)))[None, None, None]
    inner = deltas(ramp)[..., 2:-2]
    torch.testing.assert_close(inner, torch.full_like(inner, slope), rtol=1e-4, atol=1e-4)


@given(frames=st.integers(1, 20), seed=st.integers(0, 100))
def test_is_the_regression_over_five_frames_with_ends_repeated(frames: int, seed: int) -> None:
    features = torch.randn(2, 1, 3, frames, generator=torch.Generator().manual_seed(seed))
    expected = torch.zeros_like(features)
    for t in range(frames):
        for n in (1, 2):
            later, earlier = min(t + n, frames - 1), max(t - n, 0)
            expected[..., t] += n * (features[..., later] - features[..., earlier]) / 10
    torch.testing.assert_close(deltas(features), expected, rtol=1e-5, atol=1e-5)


def test_channels_come_first_then_their_slopes_then_the_slopes_of_these() -> None:
    plain = torch.randn(3, 2, 20, 32, generator=torch.Generator().manual_seed(0))
    once, twice = with_deltas(plain, 1), with_deltas(plain, 2)
    assert torch.equal(with_deltas(plain, 0), plain)
    assert torch.equal(once, torch.cat([plain, deltas(plain)], dim=1))
    assert torch.equal(twice, torch.cat([once, deltas(deltas(plain))], dim=1))


@pytest.mark.parametrize("orders", [0, 1, 2])
def test_a_network_hears_the_slopes_of_what_is_standardised(orders: int) -> None:
    small = ["sample_rate=8000", "length_s=0.5", "n_fft=256", "hop_length=128", "n_mels=20"]
    classifier = build_classifier(load_recipe("tutorial", [*small, f"deltas={orders}"]), 3, 0).eval()
    waveform = torch.randn(2, 2, 4_000, generator=torch.Generator().manual_seed(0))
    features = classifier.features(waveform)
    classifier.standardise.set_statistics(float(features.mean()), float(features.std()))
    heard = classifier.prepare(features)
    assert torch.equal(heard, with_deltas(classifier.standardise(features), orders))
    torch.testing.assert_close(classifier(waveform), classifier.network(heard))
