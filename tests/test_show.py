"""The picture of clips: its axes say what is drawn."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch")

import torch
from matplotlib.figure import Figure

import soundfold
from conftest import SMALL, write_folders
from soundfold.errors import DataError, RecipeError
from soundfold.features import mel_filters
from soundfold.features.mel import MelScale
from soundfold.jobs.show import _hertz_ticks
from soundfold.recipe import FeatureRecipe

RANGES = [
    (0, 22_050, 64),
    (0, 8_000, 128),
    (0, 8_000, 40),
    (50, 15_000, 128),
    (300, 450, 8),
    (0, 120, 16),
    (10, 24_000, 4),
]


@pytest.mark.parametrize("scale", get_args(FeatureRecipe.model_fields["mel_scale"].annotation))
@pytest.mark.parametrize(("lowest_hz", "highest_hz", "n_mels"), RANGES)
def test_a_tick_stands_at_the_band_that_its_frequency_sounds_in(
    lowest_hz: float, highest_hz: float, n_mels: int, scale: MelScale
) -> None:
    sample_rate, n_fft = 48_000, 2**18  # bins fine enough for every frequency here
    features = FeatureRecipe(n_mels=n_mels, fmin_hz=lowest_hz, fmax_hz=highest_hz, mel_scale=scale)
    ticks = _hertz_ticks(features, sample_rate)
    assert len(ticks) >= 3
    positions = list(ticks)
    assert positions[0] >= 0
    assert positions[-1] <= n_mels
    assert all(below + 0.1 * n_mels <= above for below, above in pairwise(positions))
    filters = mel_filters(sample_rate, n_fft, n_mels, lowest_hz, highest_hz, scale=scale)
    for position, frequency in ticks.items():
        if 0.5 <= position <= n_mels - 0.5:  # where two bands sound, their weights tell the place between them
            sounding = filters[round(frequency * n_fft / sample_rate)]
            centre = (sounding * (torch.arange(n_mels) + 0.5)).sum() / sounding.sum()
            assert centre.item() == pytest.approx(position, abs=0.15)


@pytest.mark.parametrize(
    ("change", "axis", "ticks"),
    [
        ((), "hertz", ["50", "200", "500", "1,000", "2,000"]),
        (("features.kind=pcen",), "hertz", ["50", "200", "500", "1,000", "2,000"]),
        (("features.kind=mfcc", "features.n_mfcc=12"), "coefficient", None),
        (("features.kind=audioset", "sample_rate=32000"), "hertz", ["100", "500", "1,000", "2,000", "5,000", "10,000"]),
    ],
)
def test_axes_of_the_picture(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, ...], axis: str,
    ticks: list[str] | None,
) -> None:  # fmt: skip
    drawn: list[Figure] = []
    monkeypatch.setattr(sys.modules["soundfold.jobs.show"], "save_png", lambda _path, figure: drawn.append(figure))
    soundfold.show(small_data, tmp_path / "clips.png", recipe="tutorial", changes=SMALL + change, clips=2)
    (figure,) = drawn
    rows = [figure.axes[:3], figure.axes[3:]]
    for wave, plain, varied in rows:
        for axes in (plain, varied):
            assert axes.get_ylabel() == axis
            if ticks is not None:
                assert [text.get_text() for text in axes.get_yticklabels()] == ticks
            assert axes.get_xlim() == wave.get_xlim()
    assert [axes.get_xlabel() for axes in rows[-1]] == ["seconds"] * 3


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, sentence: str) -> None:
        self.said.append(sentence)


def test_what_the_recipe_with_pretrained_weights_varies_can_be_seen(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(sys.modules["soundfold.jobs.show"], "save_png", lambda _path, figure: drawn.append(figure))
    soundfold.show(small_data, tmp_path / "clips.png", recipe="finetune", clips=2)
    plain, varied = (axes.images[0].get_array() for axes in drawn[0].axes[1:3])
    assert plain.shape == varied.shape == (128, 400)
    assert abs(plain - varied).max() > 0.5
    with pytest.raises(RecipeError, match="features.kind must be log_mel, mfcc, pcen, audioset to be drawn, got emb"):
        soundfold.show(small_data, tmp_path / "clips.png", recipe="probe")


def test_clips_that_cannot_be_read_are_told_and_others_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(sys.modules["soundfold.jobs.show"], "save_png", lambda _path, figure: drawn.append(figure))
    files = sorted(write_folders(tmp_path / "sounds", clips=2).rglob("*.wav"))
    for file in files[:-2]:
        file.write_text("no sound")
    notes = Notes()
    soundfold.show(
        tmp_path / "sounds", tmp_path / "clips.png", recipe="tutorial", changes=SMALL, clips=2, reporter=notes
    )  # type: ignore[arg-type]
    assert len(drawn[0].axes) == 2 * 3
    assert notes.said[0].startswith(f"cannot be drawn: {tmp_path}")
    assert notes.said[-1] == "10 clips left out of the picture; soundfold data check names all"
    assert len(notes.said) == 6
    for file in files[-2:]:
        file.write_text("no sound")
    with pytest.raises(DataError, match=r"no clip can be read; .*\. Audit the data: soundfold data check$") as caught:
        soundfold.show(tmp_path / "sounds", tmp_path / "clips.png", recipe="tutorial", changes=SMALL, clips=2)
    assert ".." not in str(caught.value)
