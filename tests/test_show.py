"""The picture of clips: its axes say what is drawn."""

from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch")

import numpy as np
import soundfile
import torch
from matplotlib.figure import Figure

import soundfold
from conftest import RATE, SMALL, STILL, tone, write_folders
from soundfold.data.reading import read_clips
from soundfold.data.store import open_store
from soundfold.errors import DataError, RecipeError
from soundfold.features import build_features, mel_filters
from soundfold.features.mel import MelScale
from soundfold.jobs.clip_picture import hertz_ticks
from soundfold.recipe import FeatureRecipe, load_recipe
from soundfold.training import build_feature_cache, open_feature_cache

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
    ticks = hertz_ticks(features, sample_rate)
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
    small_data: Path, tmp_path: Path, figures: list[Figure], change: tuple[str, ...], axis: str, ticks: list[str] | None
) -> None:
    soundfold.show(small_data, tmp_path / "clips.png", recipe="tutorial", changes=SMALL + change, clips=2)
    (figure,) = figures
    rows = [figure.axes[:3], figure.axes[3:]]
    for wave, plain, varied in rows:
        for axes in (plain, varied):
            assert axes.get_ylabel() == axis
            if ticks is not None:
                assert [text.get_text() for text in axes.get_yticklabels()] == ticks
            assert axes.get_xlim() == wave.get_xlim()
    assert [axes.get_xlabel() for axes in rows[-1]] == ["seconds"] * 3


@pytest.mark.parametrize("crop", ["start", "random"])
def test_the_window_of_a_longer_clip_is_one_that_training_hears(
    tmp_path: Path, figures: list[Figure], crop: str
) -> None:
    changes = (*SMALL, *STILL, f"crop={crop}")
    data, recipe = write_folders(tmp_path / "sounds", clips=2, seconds=1.3), load_recipe("tutorial", changes)
    kept = build_feature_cache(open_store(read_clips(data), recipe.sound, cache=tmp_path / "cache"), recipe)
    cache = open_feature_cache(kept)
    trained = cache.gather(np.arange(len(cache))).numpy()[:, 0]  # three windows a clip, in the last one less sound
    seen = set()
    for seed in range(3):
        soundfold.show(data, tmp_path / "clips.png", recipe="tutorial", changes=changes, seed=seed)
        axes = figures[-1].axes
        for wave, picture in zip(axes[::3], axes[1::3], strict=True):
            off = np.abs(trained - picture.images[0].get_array()).max(axis=(1, 2))
            assert off.min() < 0.01
            window = off.argmin() % 3
            assert wave.get_title("left").endswith(f" · window {window + 1} of 3")
            seen.add(int(window))
    assert seen == ({0} if crop == "start" else {0, 1, 2})


def test_two_different_channels_stand_one_above_the_other(tmp_path: Path, figures: list[Figure]) -> None:
    low, high = tone(300.0, 0.5, 1), tone(1_200.0, 0.5, 2)
    for name, sound in {"mono": low, "stereo": np.stack([low, high], axis=1)}.items():
        (tmp_path / "sounds" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / name / "clip.wav", sound, RATE, subtype="PCM_16")
    changes = (*SMALL, *STILL, "sound.channels=2", "mix_alpha=20")
    for mix in ("none", "mixup"):
        soundfold.show(tmp_path / "sounds", tmp_path / "c.png", recipe="tutorial", changes=(*changes, f"mix={mix}"))
    alone, mixed = ([axes[row : row + 3] for row in range(0, len(axes), 3)] for axes in (f.axes for f in figures))
    assert [wave.get_title("left") for wave, *_ in alone] == [
        "mono · clip.wav", "stereo · clip.wav · left", "stereo · clip.wav · right"
    ]  # fmt: skip
    front_end = build_features(load_recipe("tutorial", changes))
    expected = front_end(torch.from_numpy(np.stack([[low, low], [low, high]])))
    for (_, *pictures), features in zip(alone, (expected[0, 0], *expected[1]), strict=True):
        for picture in pictures:  # as 16 bits keep it
            np.testing.assert_allclose(picture.images[0].get_array(), features.numpy(), atol=1)
    # what a clip of one channel is mixed with may have two
    assert [wave.get_title("left").split(" · ")[-1] for wave, *_ in mixed] == ["left", "right"] * 2
    assert not np.allclose(mixed[0][2].images[0].get_array(), mixed[1][2].images[0].get_array(), atol=1)


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, sentence: str) -> None:
        self.said.append(sentence)


def test_what_the_recipe_with_pretrained_weights_varies_can_be_seen(
    small_data: Path, tmp_path: Path, figures: list[Figure]
) -> None:
    soundfold.show(small_data, tmp_path / "clips.png", recipe="finetune", clips=2)
    plain, varied = (axes.images[0].get_array() for axes in figures[0].axes[1:3])
    assert plain.shape == varied.shape == (128, 400)
    assert abs(plain - varied).max() > 0.5
    with pytest.raises(RecipeError, match="features.kind must be log_mel, mfcc, pcen, audioset to be drawn, got emb"):
        soundfold.show(small_data, tmp_path / "clips.png", recipe="probe")


def test_clips_that_cannot_be_read_are_told_and_others_drawn(tmp_path: Path, figures: list[Figure]) -> None:
    files = sorted(write_folders(tmp_path / "sounds", clips=2).rglob("*.wav"))
    for file in files[:-2]:
        file.write_text("no sound")
    notes = Notes()
    soundfold.show(
        tmp_path / "sounds", tmp_path / "clips.png", recipe="tutorial", changes=SMALL, clips=2, reporter=notes
    )  # type: ignore[arg-type]
    assert len(figures[0].axes) == 2 * 3
    assert notes.said[0].startswith(f"cannot be drawn: {tmp_path}")
    assert notes.said[-1] == "10 clips left out of the picture; soundfold data check names all"
    assert len(notes.said) == 6
    for file in files[-2:]:
        file.write_text("no sound")
    with pytest.raises(DataError, match=r"no clip can be read; .*\. Audit the data: soundfold data check$") as caught:
        soundfold.show(tmp_path / "sounds", tmp_path / "clips.png", recipe="tutorial", changes=SMALL, clips=2)
    assert ".." not in str(caught.value)
