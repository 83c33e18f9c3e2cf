"""`data show` draws what a recipe varies, and the backgrounds it takes from a folder."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from matplotlib.figure import Figure

import soundfold
from conftest import RATE, SMALL, tone
from soundfold.data.backgrounds import read_backgrounds
from soundfold.errors import DataError, PathError, RecipeError
from soundfold.recipe import SoundRecipe

STILL = ("place=centre", "time_shift=0", "time_masks=0", "frequency_masks=0")
WINDOW = SoundRecipe(sample_rate=RATE, channels=1, length_s=0.5)  # type: ignore[call-arg]


@pytest.fixture
def street(tmp_path: Path) -> Path:
    folder = tmp_path / "street"
    (folder / "night").mkdir(parents=True)
    soundfile.write(folder / "long.wav", tone(200.0, 1.3, 1), RATE)
    soundfile.write(folder / "night" / "short.wav", tone(900.0, 0.2, 2), RATE)
    (folder / "notes.txt").write_text("no sound", encoding="utf-8")
    return folder


def drawn(data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *changes: str) -> list[tuple[np.ndarray, ...]]:
    """Return the plain and the augmented picture of each clip, and what stands over the latter."""
    figures: list[Figure] = []
    monkeypatch.setattr(
        importlib.import_module("soundfold.jobs.show"), "save_png", lambda _path, figure: figures.append(figure)
    )
    soundfold.show(data, out, recipe="tutorial", changes=SMALL + STILL + changes, clips=4)
    axes = figures[0].axes
    return [
        (axes[row + 1].images[0].get_array(), axes[row + 2].images[0].get_array(), axes[row + 2].get_title("left"))
        for row in range(0, len(axes), 3)
    ]  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        (),
        ("time_stretch=0.5",),
        ("band_shift=4",),
        ("mix=mixup",),
        ("mix=between_class",),
        ("mix=cutmix",),
        ("noise_probability=1",),
        ("filter_db=12",),
        ("gain_db=12",),
        ("mixstyle_probability=1",),
        ("domain=waveform",),
        ("domain=waveform", "speed=0.5"),
        ("domain=waveform", "pitch_shift=6"),
        ("domain=waveform", "mix=between_class"),
        ("domain=waveform", "noise_probability=1"),
        ("domain=waveform", "filter_db=12", "kind=mfcc", "n_mfcc=8"),
        ("domain=waveform", "background_probability=1", "background_snr_db=0", "background_folder="),
    ],
    ids=" ".join,
)
def test_what_a_recipe_varies_is_drawn(
    change: tuple[str, ...], small_data: Path, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [f"{text}{street}" if text.endswith("=") else text for text in change]
    for plain, varied, _ in drawn(small_data, tmp_path / "clips.png", monkeypatch, *changes):
        assert plain.shape == varied.shape
        assert np.array_equal(plain, varied) == (change in ((), ("domain=waveform",)))


def test_a_mixture_tells_its_shares(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [title for *_, title in drawn(small_data, tmp_path / "c.png", monkeypatch, "mix=mixup", "mix_alpha=20")]
    assert str(told[0]).startswith("as one training epoch sees it")
    assert any("low" in str(title) and "high" in str(title) and " + 0." in str(title) for title in told)
    assert [title for *_, title in drawn(small_data, tmp_path / "c.png", monkeypatch)][1:] == ["", "", ""]


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
