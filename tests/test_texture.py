"""Texture: statistics that hold for the whole of a sound, the regression on them, and the network it answers beside."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import soundfold
from conftest import SMALL, write_folders
from soundfold.errors import RecipeError
from soundfold.models import ResidualNet, TexturedNet, build_classifier
from soundfold.models.texture import Texture
from soundfold.recipe import load_recipe

FRAMES, HOP_S, BANDS, MELS = 400, 0.01, 32, 96
TEXTURE = Texture((1, MELS, FRAMES), HOP_S)
TINY = [*SMALL[:6], "features.fmax_hz=4000", "features.n_mels=16", "features.hop_length=160", "features.win_length=256"]
SCRATCH = [*TINY, "model.width=4", "training.precision=32-true"]
FLOOR = -4.0


def noise(frames: int = FRAMES, seed: int = 0) -> Tensor:
    return torch.randn(1, 1, MELS, frames, generator=torch.Generator().manual_seed(seed))


def moments(values: Tensor) -> Tensor:
    return values[:, : 5 * BANDS]


def modulation(values: Tensor) -> Tensor:
    """Return the logarithm of the power (bands, bands of modulation)."""
    return values[0, 5 * BANDS : 5 * BANDS + BANDS * 16].reshape(BANDS, 16)


def test_silence_around_a_sound_does_not_count_nor_where_it_stands() -> None:
    sound = noise(120) + 6  # far above the floor, all frames
    placed = []
    for first in (0, 100, 250):
        picture = torch.full((1, 1, MELS, FRAMES), FLOOR)
        picture[..., first : first + 120] = sound
        placed.append(moments(TEXTURE(picture)))
    torch.testing.assert_close(placed[1], placed[0])
    torch.testing.assert_close(placed[2], placed[0])
    mean = sound.reshape(1, BANDS, -1, 120).mean(dim=(-2, -1))
    torch.testing.assert_close(placed[0][:, :BANDS], mean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("beats_hz", "band"), [(2.5, 2), (11.0, 7), (24.0, 11), (45.0, 15)])
def test_a_beat_is_told_by_its_band_of_modulation(beats_hz: float, band: int) -> None:
    at = torch.arange(FRAMES) * HOP_S
    picture = torch.sin(2 * math.pi * beats_hz * at).repeat(1, 1, MELS, 1)
    picture[..., 0, 0] = FLOOR
    assert (modulation(TEXTURE(picture)).argmax(dim=1) == band).all()


def ripples(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return how strong ripples are in the mean (4 sizes, 12 places), and by modulation (4, 12, 16 bands)."""
    first = 5 * BANDS + BANDS * 16
    return values[0, first : first + 48].reshape(4, 12), values[0, first + 48 : first + 48 * 17].reshape(4, 12, 16)


@pytest.mark.parametrize(("waves", "size"), [(4, 0), (8, 1), (14, 2), (27, 3)])
@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5])
def test_a_wave_along_the_bands_is_told_by_its_ripple_wherever_its_crests_are(
    waves: int, size: int, phase: float
) -> None:
    place = torch.arange(MELS)[:, None] / MELS
    still = 3 + torch.cos(2 * math.pi * waves * place + phase).repeat(1, 1, 1, FRAMES)
    still[..., 0] = FLOOR
    moving = 2 * torch.cos(2 * math.pi * (waves * place - 9.0 * torch.arange(FRAMES) * HOP_S))[None, None]
    moving[..., 0] = FLOOR
    in_mean, _ = ripples(TEXTURE(still))
    assert (in_mean[:, 2:-2].argmax(dim=0) == size).all()
    _, by_modulation = ripples(TEXTURE(moving))
    told = by_modulation[:, 2:-2].permute(1, 0, 2).flatten(1).argmax(dim=1)
    assert (told == size * 16 + 6).all()


def test_bands_that_go_together_are_told_from_bands_that_do_not() -> None:
    together = TEXTURE(noise()[:, :, :1].expand(1, 1, MELS, FRAMES))[0, -120:]
    apart = TEXTURE(noise())[0, -120:]
    assert together.min() > 0.99
    assert apart.abs().max() < 0.3


@pytest.mark.parametrize("picture", [torch.zeros(2, 1, MELS, FRAMES), torch.full((1, 1, MELS, FRAMES), -80.0)])
def test_nothing_to_hear_gives_finite_numbers(picture: Tensor) -> None:
    assert TEXTURE(picture).isfinite().all()


@pytest.mark.parametrize(("shape", "hop_s"), [((2, 64, 345), 0.0116), ((1, 20, 63), 0.064), ((1, 4, 2), 0.5)])
def test_takes_pictures_of_any_size(shape: tuple[int, int, int], hop_s: float) -> None:
    texture = Texture(shape, hop_s)
    values = texture(torch.randn(3, *shape))
    assert values.shape == (3, texture.size)
    assert values.isfinite().all()


@pytest.mark.parametrize("pool", ["linear", "residual"])
def test_a_front_end_that_is_given_has_its_own_frames(pool: str) -> None:
    """AudioSet's frames are 10 ms apart, whatever `features.hop_length` says beside them."""
    kind = ["features.kind=audioset", "features.level=absolute"]
    network = build_classifier(load_recipe("texture" if pool == "linear" else "scratch", kind), 3, seed=0).network
    told = build_classifier(
        load_recipe("texture" if pool == "linear" else "scratch", [*kind, "hop_length=512"]), 3, seed=0
    ).network
    for each in (network, told):
        regression = each.regression if isinstance(each, TexturedNet) else each
        assert torch.equal(regression.texture.waves, Texture((1, 128, 400), 0.01).waves)
        assert not isinstance(each, TexturedNet) or each.frames == 3


def test_ripples_are_as_many_as_the_bands_hold_and_none_answers_to_a_flat_spectrum() -> None:
    assert [len(Texture((1, bands, 63), 0.02).ripples) for bands in (8, 12, 40, 96)] == [0, 24, 48, 96]
    for bands in (12, 40, 96):
        assert Texture((1, bands, 63), 0.02).ripples.sum(dim=1).abs().max() < 1e-6


def test_a_clips_answer_does_not_depend_on_its_neighbours() -> None:
    batch = torch.cat([noise(seed=seed) for seed in range(3)])
    torch.testing.assert_close(TEXTURE(batch)[1:2], TEXTURE(batch[1:2]))


@pytest.mark.parametrize(("shape", "hop_s"), [((1, MELS, FRAMES), HOP_S), ((2, 64, 345), 0.0116), ((1, 4, 2), 0.5)])
def test_kinds_follow_one_another_and_leave_nothing_out(shape: tuple[int, int, int], hop_s: float) -> None:
    texture = Texture(shape, hop_s)
    assert texture.views[0][0] == 0
    assert texture.views[-1][1] == texture.size
    assert all(end == first for (_, end), (first, _) in pairwise(texture.views))
    assert all(end > first for first, end in texture.views)


def test_what_lasts_all_through_a_clip_moves_two_kinds_and_what_varies_the_other_three() -> None:
    tilt = torch.linspace(0, 3, MELS)[:, None] ** 2
    plain, tilted = TEXTURE(noise() + 6), TEXTURE(noise() + 6 + tilt)
    moved = [bool((plain - tilted)[:, first:end].abs().max() > 1e-3) for first, end in TEXTURE.views]
    assert moved == [True, False, True, False, False]


def test_kinds_judged_apart_answer_as_well_and_are_given_more_each(small_data: Path, tmp_path: Path) -> None:
    common = {"test_fold": 3, "cache": tmp_path / "cache"}
    learned = {}
    for apart in ("true", "false"):
        run, changes = tmp_path / apart, [*TINY, f"model.texture_apart={apart}"]
        result = soundfold.train(small_data, recipe="texture", changes=changes, out=run, **common)
        assert result.accuracy is not None
        assert result.accuracy > 0.8
        assert any("equals torch" in note for note in result.notes)
        learned[apart] = load_file(run / "weights.safetensors")["network.head.weight"]
    recipe = load_recipe("texture", TINY)
    network = build_classifier(recipe, 2, seed=0).network
    views = network.texture.views
    assert len(views) > 1
    for first, end in views:
        # a kind alone must explain what all of them explain together: it is given more, and a mean takes it back
        assert learned["true"][:, first:end].norm() > learned["false"][:, first:end].norm() / len(views) ** 0.5
    assert not torch.allclose(learned["true"], learned["false"], atol=1e-4)


def test_the_preset_goes_all_the_way(small_data: Path, tmp_path: Path) -> None:
    result = soundfold.train(
        small_data, recipe="texture", changes=TINY, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert any("equals torch" in note for note in result.notes)
    assert result.accuracy is not None
    assert result.accuracy > 0.8
    answer = soundfold.load(tmp_path / "run").predict(next(small_data.rglob("*.wav")))
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)


def test_the_network_learns_alone_and_answers_together() -> None:
    classifier = build_classifier(load_recipe("scratch", SCRATCH), 3, seed=0)
    network = classifier.network
    assert isinstance(network, TexturedNet)
    assert isinstance(network.network, ResidualNet)
    picture = torch.randn(4, *classifier.features.shape, generator=torch.Generator().manual_seed(0))
    torch.nn.init.constant_(network.regression.head.bias, 5.0)
    network.train()
    network(picture).sum().backward()
    assert all(values.grad is None for values in network.regression.parameters())
    alone = network.network.eval()(torch.nn.functional.avg_pool2d(picture, (1, network.frames)))
    network.eval()
    torch.testing.assert_close(network(picture), 0.1 * alone + 0.9 * network.regression(picture))
    learned = {id(values) for stage in network.stages() for values in stage.parameters()}
    assert learned == {id(values) for values in network.network.parameters()}


@pytest.mark.long
def test_the_regression_is_that_of_the_preset_and_stays(small_data: Path, tmp_path: Path) -> None:
    """However many epochs the network learns, before a break or after it, what was fitted before does not move."""
    same = [*SCRATCH, "crop=start", "place=centre"]
    common = {"test_fold": 3, "cache": tmp_path / "cache"}
    apart = [*TINY, "model.texture_apart=true", f"training.c={load_recipe('scratch').training.c}"]
    soundfold.train(small_data, recipe="texture", changes=apart, out=tmp_path / "one", **common)
    for epochs in (1, 3):
        run = tmp_path / f"run{epochs}"
        soundfold.train(small_data, recipe="scratch", changes=same, epochs=epochs, out=run, **common)
        fitted, kept = load_file(tmp_path / "one" / "weights.safetensors"), load_file(run / "weights.safetensors")
        for name in ("head.weight", "head.bias"):
            torch.testing.assert_close(kept[f"network.regression.{name}"], fitted[f"network.{name}"])


@pytest.mark.parametrize(
    ("recipe", "change", "message"),
    [
        ("tutorial", "model.texture_apart=true", r"model\.texture_apart must be false unless model\.pool is texture"),
        (
            "mfcc",
            "model.texture_apart=true",
            r"model\.texture_apart must be false .* with mean_std and linear",
        ),
        ("tutorial", "model.texture=true", r"model\.texture must be false unless model\.name is residual"),
        ("probe", "model.pool=texture", r"model\.pool must be none unless model\.name is linear and features\.kind"),
    ],
)
def test_a_texture_that_nobody_would_hear_is_refused(recipe: str, change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe, [change])


@pytest.mark.parametrize("recipe", ["mfcc", "texture"])
def test_values_that_hardly_vary_do_not_shout(recipe: str, tmp_path: Path) -> None:
    """Short clips in long windows: a mean of slopes between two silences is rounding noise, and no evidence."""
    result_notes = soundfold.train(
        write_folders(tmp_path / "data", seconds=0.2), recipe=recipe, changes=["sample_rate=8000", "fmax_hz=4000"],
        out=tmp_path / "run", cache=tmp_path / "cache",
    ).notes  # fmt: skip
    assert any("equals torch" in note for note in result_notes)
    weight = load_file(tmp_path / "run" / "weights.safetensors")["network.head.weight"]
    assert weight.abs().max() < 100


def test_a_recipe_says_how_much_say_the_regression_has():
    def answer(say: float) -> torch.Tensor:
        torch.manual_seed(0)
        recipe = load_recipe("scratch", [f"model.texture_say={say}"])
        network = build_classifier(recipe, 3, seed=0).eval().network
        torch.nn.init.normal_(network.regression.head.weight)
        return network(torch.randn(2, 1, 96, 401))

    network, both, regression = (answer(say) for say in (0.0, 0.25, 1.0))
    assert not torch.allclose(network, regression)
    torch.testing.assert_close(both, 0.75 * network + 0.25 * regression)
