"""Deltas: slopes along time, as further channels."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from soundfold.features import build_features, deltas
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
    small = ["sample_rate=8000", "length_s=0.5", "n_fft=256", "hop_length=128", "n_mels=20"]
    waveform = torch.randn(3, 2, 4_000, generator=torch.Generator().manual_seed(0))
    plain, once, twice = (build_features(load_recipe("tutorial", [*small, f"deltas={n}"]))(waveform) for n in range(3))
    assert (plain.shape[1], once.shape[1], twice.shape[1]) == (2, 4, 6)
    assert torch.equal(twice[:, :4], once)
    assert torch.equal(once[:, :2], plain)
    assert torch.equal(once[:, 2:], deltas(plain))
    assert torch.equal(twice[:, 4:], deltas(deltas(plain)))
