"""PCEN: its running mean against the recursion, its formula, and what it is for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from soundfold.features import Pcen, normalise_energy, pcen, running_mean
from soundfold.recipe import load_recipe

RECIPE = load_recipe(
    "tutorial", ["kind=pcen", "sample_rate=8000", "channels=1", "length_s=2", "n_fft=256", "hop_length=80", "n_mels=20"]
)


def recursion(energy: Tensor, weight: float) -> Tensor:
    """The definition, one frame after another, in double precision."""
    means = [energy[..., 0].double()]
    for step in range(1, energy.shape[-1]):
        means.append((1 - weight) * means[-1] + weight * energy[..., step].double())
    return torch.stack(means, dim=-1)


@given(frames=st.integers(1, 400), weight=st.floats(1e-6, 1.0), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_running_mean_is_the_recursion(frames: int, weight: float, seed: int) -> None:
    energy = torch.rand(2, 3, frames, generator=torch.Generator().manual_seed(seed)) ** 4
    means = running_mean(energy, weight)
    assert means.shape == energy.shape
    torch.testing.assert_close(means, recursion(energy, weight).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weight", [0.025, 0.5, 1.0])
def test_running_mean_has_the_gradient_of_the_recursion(weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    energy = torch.rand(2, 50, generator=generator, dtype=torch.float64, requires_grad=True)
    towards = torch.rand(2, 50, generator=generator, dtype=torch.float64)
    (ours,) = torch.autograd.grad((running_mean(energy, weight) * towards).sum(), energy)
    (theirs,) = torch.autograd.grad((recursion(energy, weight) * towards).sum(), energy)
    torch.testing.assert_close(ours, theirs)


def test_running_mean_stays_sound_over_long_and_extreme_input() -> None:
    energy = torch.zeros(1, 6_000)
    energy[0, 0], energy[0, 3_000] = 1e12, 1.0
    means = running_mean(energy, 0.9)
    assert torch.isfinite(means).all()
    # after the giant has decayed, nothing of it is left to drown what follows
    torch.testing.assert_close(means[0, 3_000:3_005], recursion(energy[:, 3_000:3_005], 0.9)[0].float() * 0.9)


def test_formula() -> None:
    energy = torch.rand(2, 5, 30, generator=torch.Generator().manual_seed(0)).double() ** 3
    means = recursion(energy, 0.1)
    expected = (energy / (1e-5 + means) ** 0.7 + 3.0) ** 0.3 - 3.0**0.3
    ours = normalise_energy(energy, 0.1, gain=0.7, bias=3.0, power=0.3, floor=1e-5)
    torch.testing.assert_close(ours, expected)


def test_time_constant_gives_the_papers_weight_at_its_frame_rate() -> None:
    assert Pcen(RECIPE.sound, RECIPE.features).weight == pytest.approx(0.025, rel=0.02)  # 100 frames a second


def noise(seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(1, 1, RECIPE.sound.window, generator=torch.Generator().manual_seed(seed))


def test_silence_is_zero_and_nothing_is_below_it() -> None:
    assert torch.equal(pcen(torch.zeros(1, 1, 16_000), RECIPE.sound, RECIPE.features), torch.zeros(1, 1, 20, 201))
    assert pcen(noise(), RECIPE.sound, RECIPE.features).amin() >= 0


def test_level_hardly_matters() -> None:
    loud, faint = (pcen(noise() * gain, RECIPE.sound, RECIPE.features) for gain in (1.0, 0.1))
    assert float((loud - faint).abs().mean()) < 0.1 * float(loud.mean())
    wholly = load_recipe(RECIPE, ["pcen_gain=1", "top_db=100"])
    alike = [pcen(noise() * gain, wholly.sound, wholly.features) for gain in (1.0, 0.1)]
    torch.testing.assert_close(*alike, rtol=0.01, atol=1e-3)


def test_what_begins_stands_out_and_what_stays_fades() -> None:
    time_s = torch.arange(RECIPE.sound.window) / 8_000
    tone = torch.sin(2 * torch.pi * 1_000 * time_s) * (time_s >= 1.0) * 0.3
    features = pcen(noise() * 0.01 + tone, RECIPE.sound, RECIPE.features)[0, 0]
    band = int(features[:, 101:].mean(dim=1).argmax())
    begins, stays = features[band, 101:104].amax(), features[band, 190:198].mean()
    assert begins > 3 * stays
    assert stays > 0
