"""`data show` draws what a recipe varies, and the backgrounds it takes from a folder."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

import torch
from matplotlib.figure import Figure

import soundfold
from conftest import RATE, SMALL, STILL, tone
from soundfold.audio import load
from soundfold.data.backgrounds import read_backgrounds
from soundfold.errors import DataError, PathError, RecipeError
from soundfold.features import build_features
from soundfold.recipe import AugmentRecipe, SoundRecipe, load_recipe

WINDOW = SoundRecipe(sample_rate=RATE, channels=1, length_s=0.5)  # type: ignore[call-arg]


@pytest.fixture
def street(tmp_path: Path) -> Path:
    folder = tmp_path / "street"
    (folder / "night").mkdir(parents=True)
    soundfile.write(folder / "long.wav", tone(200.0, 1.3, 1), RATE)
    soundfile.write(folder / "night" / "short.wav", tone(900.0, 0.2, 2), RATE)
    (folder / "notes.txt").write_text("no sound", encoding="utf-8")
    return folder


def drawn(figures: list[Figure], data: Path, *changes: str) -> list[tuple[np.ndarray, np.ndarray, str, str]]:
    """Return the plain and the augmented picture of each clip, and what stands over the clip and the latter."""
    soundfold.show(data, data.parent / "clips.png", recipe="tutorial", changes=SMALL + STILL + changes, clips=4)
    axes = figures.pop().axes
    return [
        (plain.images[0].get_array(), varied.images[0].get_array(), wave.get_title("left"), varied.get_title("left"))
        for wave, plain, varied in (axes[row : row + 3] for row in range(0, len(axes), 3))
    ]


WAVEFORM = "domain=waveform"
BACKGROUNDS = ("background_probability=1", "background_snr_db=0", "background_folder=STREET")
VARIED = [  # what else is asked for, and the change that must show
    (("noise_probability=1",), (WAVEFORM,)),
    (("length_s=0.05",), ("crop=random",)),
    (("length_s=0.05", WAVEFORM), ("crop=random",)),
    (("length_s=0.8",), ("place=random",)),
    (("length_s=0.8", WAVEFORM), ("place=random",)),
    (("mix=mixup",), ("mix_alpha=20",)),
    (("mix=mixup",), ("mix_probability=0",)),
    (("noise_probability=1",), ("noise_snr_db=40",)),
    (("mixstyle_probability=1",), ("mixstyle_alpha=20",)),
    (("frequency_masks=8",), ("frequency_mask=0.5",)),
    (("time_masks=8",), ("time_mask=0.5",)),
    ((WAVEFORM,), ("speed=0.5",)),
    ((WAVEFORM,), ("pitch_shift=6",)),
    ((WAVEFORM,), BACKGROUNDS),
    ((WAVEFORM, *BACKGROUNDS), ("background_snr_db=20",)),
    ((WAVEFORM, "kind=mfcc", "n_mfcc=8"), ("filter_db=12",)),
    *[
        (domain, (change,))
        for domain in ((), (WAVEFORM,))
        for change in (
            "time_shift=0.4", "time_stretch=0.5", "band_shift=4", "mix=mixup", "mix=between_class", "mix=cutmix",
            "noise_probability=1", "filter_db=12", "gain_db=12", "mixstyle_probability=1", "frequency_masks=8",
            "time_masks=8",
        )
    ],
]  # fmt: skip


def test_every_setting_has_its_case() -> None:
    assert {text.split("=")[0] for _, change in VARIED for text in change} == set(AugmentRecipe.model_fields)


@pytest.mark.parametrize(("asked", "change"), VARIED, ids=lambda texts: " ".join(texts))
def test_what_a_recipe_varies_is_drawn(
    asked: tuple[str, ...], change: tuple[str, ...], small_data: Path, street: Path, figures: list[Figure]
) -> None:
    asked, changed = ([text.replace("STREET", str(street)) for text in texts] for texts in (asked, asked + change))
    before, after = drawn(figures, small_data, *asked), drawn(figures, small_data, *changed)
    differ = [
        not (np.array_equal(clip[0], again[0]) and np.array_equal(clip[1], again[1]))
        for clip, again in zip(before, after, strict=True)
    ]
    assert sum(differ) >= 2, "a clip may get its own place, or a mask of no width, but not every one"
    assert all(plain.shape == varied.shape for plain, varied, *_ in after)


@pytest.mark.parametrize("domain", [(), (WAVEFORM,)], ids=["spectrogram", "waveform"])
@pytest.mark.parametrize(
    "kind", [("log_mel",), ("mfcc", "n_mfcc=8"), ("pcen",), ("audioset", "sample_rate=32000")], ids=lambda kind: kind[0]
)
def test_what_is_drawn_of_unvaried_clips_is_their_features(
    domain: tuple[str, ...], kind: tuple[str, ...], small_data: Path, figures: list[Figure]
) -> None:
    changes = (*domain, f"kind={kind[0]}", *kind[1:])
    recipe = load_recipe("tutorial", SMALL + STILL + changes)
    front_end = build_features(recipe)
    of_files = {
        label: np.stack(
            [
                front_end(torch.from_numpy(load(path, recipe.sound.sample_rate, 1))[None])[0, 0].numpy()
                for path in sorted(small_data.glob(f"*/{label}/*/*.wav"))
            ]
        )
        for label in ("low", "high")
    }
    for plain, varied, title, _ in drawn(figures, small_data, *changes):
        assert np.array_equal(plain, varied)
        assert np.abs(of_files[title.split(" · ")[0]] - plain).max(axis=(1, 2)).min() < 1e-3


def test_a_level_that_a_network_does_not_hear_is_not_drawn(small_data: Path, figures: list[Figure]) -> None:
    for plain, varied, *_ in drawn(figures, small_data, "level=clip", "gain_db=12", "mix=mixup"):
        assert plain.max() == varied.max() == 0


def test_a_mixture_tells_its_shares(small_data: Path, figures: list[Figure]) -> None:
    told = [title for *_, title in drawn(figures, small_data, "mix=mixup", "mix_alpha=20")]
    assert str(told[0]).startswith("as one training epoch sees it")
    assert any("low" in str(title) and "high" in str(title) and " + 0." in str(title) for title in told)
    assert [title for *_, title in drawn(figures, small_data)][1:] == ["", "", ""]


def test_features_that_are_no_picture_are_refused(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match="features.kind must be log_mel, mfcc, pcen, audioset to be drawn, got embedding"
    ):
        soundfold.show(small_data, tmp_path / "clips.png", recipe="probe")


def test_backgrounds_are_windows_of_every_sound(street: Path) -> None:
    pieces = read_backgrounds(street, WINDOW)
    assert pieces.shape == (3, 1, WINDOW.window)
    assert pieces.dtype == np.float32
    whole, _ = soundfile.read(street / "long.wav", dtype="float32")
    assert np.array_equal(pieces[:2, 0].ravel(), whole[: 2 * WINDOW.window])
    short, _ = soundfile.read(street / "night" / "short.wav", dtype="float32")
    assert np.array_equal(pieces[2, 0], np.tile(short, 3)[: WINDOW.window])


def test_many_backgrounds_are_thinned_evenly(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.data.backgrounds._MOST_BYTES", 2 * 4 * WINDOW.window)
    assert read_backgrounds(street, WINDOW).shape[0] == 2
    monkeypatch.setattr("soundfold.data.backgrounds._MOST_BYTES", 1)
    assert read_backgrounds(street, WINDOW).shape[0] == 1


def test_a_folder_without_sounds_is_told(tmp_path: Path, street: Path) -> None:
    with pytest.raises(PathError, match="gone: augment.background_folder must be a folder of sounds"):
        read_backgrounds(tmp_path / "gone", WINDOW)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no sounds to be backgrounds. Name another"):
        read_backgrounds(tmp_path / "empty", WINDOW)
    (street / "torn.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"torn\.wav: .*It is in augment.background_folder"):
        read_backgrounds(street, WINDOW)
