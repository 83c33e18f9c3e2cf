"""Our own network: one dial for its size, any picture, and a level that is taken out of each clip."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import soundfold
from conftest import SMALL
from soundfold.errors import RecipeError
from soundfold.models import ResidualNet, build_classifier
from soundfold.recipe import load_recipe

TINY = [
    *SMALL[:6], "features.fmax_hz=4000", "features.win_length=256", "model.width=4", "training.epochs=1",
    "training.precision=32-true",
]  # fmt: skip


def size(width: int) -> int:
    return sum(values.numel() for values in ResidualNet(1, 10, width).parameters())


def test_one_dial_goes_from_tens_of_thousands_to_millions() -> None:
    assert size(7) < 50_000
    assert size(12) < 150_000
    assert 2_000_000 < size(50) < 4_000_000


@pytest.mark.parametrize("shape", [(1, 96, 126), (2, 64, 345), (4, 16, 9), (1, 4, 2)])
def test_takes_pictures_of_any_size(shape: tuple[int, int, int]) -> None:
    network = ResidualNet(shape[0], 3, width=4).eval()
    assert network(torch.randn(2, *shape)).shape == (2, 3)


def test_stages_hold_all_that_learns_once() -> None:
    network = ResidualNet(1, 3, width=4)
    held = [values for stage in network.stages() for values in stage.parameters()]
    assert {id(values) for values in held} == {id(values) for values in network.parameters()}
    assert len(held) == len(list(network.parameters()))


def test_a_clips_level_is_taken_out() -> None:
    by_clip = build_classifier(load_recipe("scratch", TINY), 3, seed=0).eval()
    features = 10 * torch.randn(3, *by_clip.features.shape, generator=torch.Generator().manual_seed(0))
    louder = features + torch.tensor([0.0, 20.0, -35.0])[:, None, None, None]
    assert torch.allclose(by_clip.classify(features), by_clip.classify(louder), atol=1e-5)
    absolute = build_classifier(load_recipe("scratch", [*TINY, "level=absolute"]), 3, seed=0).eval()
    assert not torch.allclose(absolute.classify(features), absolute.classify(louder), atol=1e-2)


def test_the_preset_goes_all_the_way(small_data: Path, tmp_path: Path) -> None:
    result = soundfold.train(
        small_data, recipe="scratch", changes=TINY, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert any("equals torch" in note for note in result.notes)
    answer = soundfold.load(tmp_path / "run").predict(next(small_data.rglob("*.wav")))
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)


def test_a_level_is_taken_out_of_power_in_bands_only() -> None:
    with pytest.raises(RecipeError, match=r"features\.level must be absolute with features\.kind = mfcc, got clip"):
        load_recipe("scratch", ["features.kind=mfcc"])


def test_dropout_draws_the_same_every_time(small_data: Path, tmp_path: Path) -> None:
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)  # the caller's own numbers must not matter
        run = tmp_path / f"run{seed}"
        changes = [*TINY, "model.dropout=0.5", "model.texture=false"]
        soundfold.train(
            small_data, recipe="scratch", changes=changes, epochs=2, test_fold=3, out=run, cache=tmp_path / "cache"
        )
        weights.append(load_file(run / "weights.safetensors"))
    for name, values in weights[0].items():
        assert torch.equal(values, weights[1][name]), name
