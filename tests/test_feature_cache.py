"""The feature cache: what the front end gives, within half a step of 16 bits, for every window of every clip."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from conftest import RATE, SMALL, tone
from soundfold.audio import fit_length
from soundfold.data import WaveformStore, open_store, read_clips
from soundfold.features import build_features
from soundfold.recipe import Recipe, load_recipe
from soundfold.training import FeatureCache, build_feature_cache, clip_probabilities, open_feature_cache
from soundfold.training.wave_windows import WaveWindows

LENGTHS_S = (0.05, 0.3, 0.5, 0.6, 1.25)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[WaveformStore, FeatureCache, Recipe]:
    folder = tmp_path_factory.mktemp("features")
    for number, seconds in enumerate(LENGTHS_S):
        for label in ("a", "b"):
            (folder / "sounds" / label).mkdir(parents=True, exist_ok=True)
            wave = tone(400 + 200 * number, seconds, number)
            stereo = np.stack([wave, 0.5 * wave[::-1]], axis=1) if number == 2 else wave
            soundfile.write(folder / "sounds" / label / f"{number}.wav", stereo, RATE, subtype="PCM_16")
    recipe = load_recipe("tutorial", [*SMALL, "channels=2"])
    store = open_store(read_clips(folder / "sounds"), recipe.sound, cache=folder / "cache")
    path = build_feature_cache(store, recipe)
    assert build_feature_cache(store, recipe) == path
    return store, open_feature_cache(path), recipe


def test_values_are_the_front_ends(made: tuple[WaveformStore, FeatureCache, Recipe]) -> None:
    store, cache, recipe = made
    front_end, window = build_features(recipe), recipe.sound.window
    seen = []
    for clip in range(len(store)):
        first, count = (int(values[0]) for values in cache.windows_of(np.array([clip])))
        whole = store.waveform(clip)
        assert count == -(-whole.shape[1] // window)
        for part in range(count):
            piece = fit_length(whole[:, part * window : (part + 1) * window], window)
            expected = front_end(torch.from_numpy(np.broadcast_to(piece, (2, window)).copy())[None])
            kept = cache.gather(np.array([first + part]))
            bound = float(expected.max() - expected.min()) / 65_535
            torch.testing.assert_close(kept, expected, rtol=0, atol=bound + 1e-5)
            seen.append(expected)
    rows = np.arange(len(cache.clip))
    mean, std = cache.statistics(rows)
    values = torch.cat(seen)
    assert mean == pytest.approx(float(values.mean()), abs=1e-2)
    assert std == pytest.approx(float(values.std(correction=0)), abs=1e-2)
    mean, std = cache.statistics(rows, per_band=True)
    np.testing.assert_allclose(mean, values.mean(dim=(0, 1, 3)), atol=1e-2)
    np.testing.assert_allclose(std, values.std(dim=(0, 1, 3), correction=0), atol=1e-2)


def test_windows_tell_their_silence_and_their_sound(made: tuple[WaveformStore, FeatureCache, Recipe]) -> None:
    store, cache, recipe = made
    hop, window = recipe.features.hop_length, recipe.sound.window
    assert cache.weight.sum() == store.index["samples"].sum()
    silence = window - cache.weight
    assert (cache.before == silence // 2 // hop).all()
    assert (cache.after * hop <= silence - silence // 2).all()


def test_long_clips_answer_with_the_mean_over_their_windows_weighted_by_sound(
    made: tuple[WaveformStore, FeatureCache, Recipe],
) -> None:
    _, cache, _ = made

    def classify(features: torch.Tensor) -> torch.Tensor:
        level = features.mean(dim=(1, 2, 3)) / 10
        return torch.stack([level, -level], dim=1)

    clips = np.array([4, 0, 3])
    answer = clip_probabilities(classify, cache, clips, torch.device("cpu"))
    for row, clip in enumerate(clips):
        windows = np.flatnonzero(cache.clip == clip)
        each = classify(cache.gather(windows)).softmax(dim=-1).double().numpy()
        expected = np.average(each, axis=0, weights=cache.weight[windows])
        np.testing.assert_allclose(answer[row], expected, atol=1e-6)
    np.testing.assert_allclose(answer.sum(axis=1), 1.0, atol=1e-6)


def test_windows_that_hold_nothing_are_not_kept_where_a_clip_has_others(tmp_path: Path) -> None:
    nothing = np.zeros(RATE // 2, np.float32)
    barks = tone(500, 0.5, 0)
    clips = {"a": [nothing, barks, nothing, barks[:900]], "b": [nothing, nothing]}
    for label, parts in clips.items():
        (tmp_path / "sounds" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / label / "x.wav", np.concatenate(parts), RATE)
    recipe = load_recipe("tutorial", SMALL)
    store = open_store(read_clips(tmp_path / "sounds"), recipe.sound, cache=tmp_path / "cache")
    cache = open_feature_cache(build_feature_cache(store, recipe))
    assert cache.clip.tolist() == [0, 0, 1, 1]
    assert cache.start.tolist() == [RATE // 2, 3 * RATE // 2, 0, RATE // 2]
    assert cache.weight.tolist() == [RATE // 2, 900, RATE // 2, RATE // 2]
    [expected] = build_features(recipe)(torch.from_numpy(store.waveform(0, RATE // 2, RATE)[None]))
    torch.testing.assert_close(cache.gather(np.array([0]))[0], expected, rtol=0, atol=2e-3)
    sounds = WaveWindows(store, cache, recipe.sound.window)
    _, tail = sounds.restored(*sounds.kept(np.array([0, 1])))
    np.testing.assert_allclose(tail[0, sounds.before[1] :][:900], barks[:900], atol=1e-4)


def test_mono_data_keeps_one_channel(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / label / "x.wav", tone(500, 0.5, 0), RATE)
    recipe = load_recipe("tutorial", [*SMALL, "channels=2"])
    store = open_store(read_clips(tmp_path / "sounds"), recipe.sound, cache=tmp_path / "cache")
    cache = open_feature_cache(build_feature_cache(store, recipe))
    assert cache.gather(np.array([0])).shape[1] == 1
    assert cache.shape[0] == 2


def test_other_settings_get_another_cache(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / label / "x.wav", tone(500, 0.5, 0), RATE)
    clips = read_clips(tmp_path / "sounds")
    folders = set()
    for change in ("n_mels=16", "n_mels=8", "hop_length=64", "length_s=0.25", "epochs=9"):
        recipe = load_recipe("tutorial", [*SMALL, change])
        folders.add(build_feature_cache(open_store(clips, recipe.sound, cache=tmp_path / "cache"), recipe))
    assert len(folders) == 4  # epochs decide nothing here
