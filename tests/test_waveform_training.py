"""Training that varies waveforms: windows, draws, resumes and shares as with spectrograms, and what differs."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import soundfold
from conftest import RATE, SMALL, tone, write_folders
from soundfold.data import open_store, read_clips
from soundfold.data.store import WaveformStore
from soundfold.errors import DataError, PathError, RecipeError, RunError
from soundfold.models import build_front_end
from soundfold.recipe import load_recipe
from soundfold.training import FitJob, Fitted, Hardware, build_feature_cache, fit, open_feature_cache
from soundfold.training.feature_source import Mapped, Resident, Streamed
from soundfold.training.launch import fit_together, networks_at_once
from soundfold.training.together import can_step_together
from soundfold.training.wave_windows import WaveWindows

CPU = Hardware("cpu")
STILL = (
    "augment.place=centre", "augment.time_shift=0", "augment.time_masks=0", "augment.frequency_masks=0",
)  # fmt: skip
LIVELY = (
    "augment.domain=waveform", "augment.speed=0.2", "augment.pitch_shift=1", "augment.noise_probability=0.5",
    "augment.filter_db=6", "augment.gain_db=6", "augment.mix=between_class", "augment.mixstyle_probability=0.3",
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WaveformStore:
    """Clips shorter than a window, as long, and of several windows, some of two channels."""
    folder = tmp_path_factory.mktemp("waves")
    data = write_folders(folder / "sounds")
    for label, frequency_hz in (("low", 300.0), ("high", 1200.0)):
        for number, seconds in enumerate((0.2, 1.3)):
            left = tone(frequency_hz, seconds, number)
            target = data / "fold1" / label / f"other{number}" / "clip.wav"
            target.parent.mkdir()
            soundfile.write(target, np.stack([left, 0.5 * left], axis=1), RATE, subtype="PCM_16")
    recipe = load_recipe("tutorial", (*SMALL, "sound.channels=2"))
    return open_store(read_clips(data), recipe.sound, cache=folder / "cache")


@pytest.fixture(scope="module")
def job(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FitJob:
    folder = tmp_path_factory.mktemp("job")
    recipe = load_recipe("tutorial", SMALL)
    clips = read_clips(small_data)
    store = open_store(clips, recipe.sound, cache=folder / "cache")
    rows, ids = np.arange(len(clips)), clips.class_ids()
    train, test = rows[:-7], rows[-7:]
    np.save(folder / "backgrounds.npy", np.random.default_rng(0).normal(0, 0.1, (3, 1, 5_000)).astype(np.float32))
    return FitJob(
        recipe=recipe, n_labels=2, features=build_feature_cache(store, recipe), train=train, train_labels=ids[train],
        held_out=test, held_out_labels=ids[test], folder=folder, store=store, backgrounds=folder / "backgrounds.npy",
    )  # fmt: skip


def changed(job: FitJob, folder: Path, *changes: str) -> FitJob:
    folder.mkdir(exist_ok=True)
    return dataclasses.replace(job, recipe=load_recipe(job.recipe, changes), folder=folder)


def run(job: FitJob, folder: Path, *changes: str, hardware: Hardware = CPU) -> Fitted:
    return fit(changed(job, folder, *changes), hardware, lambda _: None)


def test_windows_are_those_whose_features_are_kept(store: WaveformStore) -> None:
    recipe = load_recipe("tutorial", (*SMALL, "sound.channels=2"))
    cache = open_feature_cache(build_feature_cache(store, recipe))
    windows = WaveWindows(store, cache, recipe.sound.window)
    rows = np.random.default_rng(0).permutation(len(cache))
    assert len(windows) == len(cache) > len(store)
    assert windows.channels == 2
    waveform = windows.restored(*windows.kept(rows))
    assert waveform.shape == (len(rows), 2, recipe.sound.window)
    torch.testing.assert_close(build_front_end(recipe)(waveform), cache.gather(rows), rtol=0, atol=1e-3)
    assert (windows.before + windows.after + cache.weight == recipe.sound.window).all()
    for row, one in zip(rows, waveform, strict=True):
        before, after = windows.before[row], windows.after[row]
        assert not one[:, :before].any()
        assert not one[:, recipe.sound.window - after :].any()


@pytest.mark.parametrize("make", [Resident, Streamed])
def test_every_source_gives_the_same_waveforms(store: WaveformStore, make: type[Resident] | type[Streamed]) -> None:
    recipe = load_recipe("tutorial", (*SMALL, "sound.channels=2"))
    windows = WaveWindows(store, open_feature_cache(build_feature_cache(store, recipe)), recipe.sound.window)
    batches = [np.array([3, 1, 2]), np.array([], dtype=np.int64), np.array([len(windows) - 1, 0, 3])]
    ours = make(windows, torch.device("cpu")).stream(batches)
    for one, other in zip(ours, Mapped(windows).stream(batches), strict=True):
        assert torch.equal(one, other)


def test_with_nothing_varied_it_learns_what_kept_features_teach(job: FitJob, tmp_path: Path) -> None:
    """Masks act on features either way, and are the same ones."""
    still = ("augment.place=centre", "augment.time_shift=0")
    kept = run(job, tmp_path / "kept", *still)
    heard = run(job, tmp_path / "heard", *still, "augment.domain=waveform")
    for one, other in zip(kept.history, heard.history, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
    for name, tensor in kept.state.items():
        torch.testing.assert_close(heard.state[name], tensor, rtol=1e-3, atol=1e-3)


def test_learns_from_all_that_can_be_varied(job: FitJob, tmp_path: Path) -> None:
    behind = ("augment.background_folder=x", "augment.background_probability=0.5")
    history = run(job, tmp_path / "run", *LIVELY, *behind, "training.epochs=15", "training.lr=0.01").history
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].val_accuracy == 1.0


@pytest.mark.parametrize("change", ["speed=0.3", "pitch_shift=3", "noise_probability=1", "filter_db=9", "gain_db=9"])
def test_each_variation_changes_what_is_learned(job: FitJob, tmp_path: Path, change: str) -> None:
    plain, varied = (
        run(job, tmp_path / name, *STILL, "augment.domain=waveform", "training.epochs=1", *more)
        for name, more in (("plain", ()), ("varied", (f"augment.{change}",)))
    )
    assert varied.history[0].train_loss != pytest.approx(plain.history[0].train_loss, rel=1e-4)
    mean = "standardise.mean"
    assert torch.equal(plain.state[mean], varied.state[mean])  # statistics are those of the kept features


def test_backgrounds_are_heard(job: FitJob, tmp_path: Path) -> None:
    behind = ("augment.background_folder=x", "augment.background_probability=1", "augment.background_snr_db=0")
    changes = (*STILL, "augment.domain=waveform", "training.epochs=1", *behind)
    one = run(job, tmp_path / "one", *changes)
    other = tmp_path / "others.npy"
    np.save(other, np.random.default_rng(1).normal(0, 0.1, (3, 1, 5_000)).astype(np.float32))
    two = run(dataclasses.replace(job, backgrounds=other), tmp_path / "two", *changes)
    assert two.history[0].train_loss != one.history[0].train_loss


@pytest.mark.long
def test_two_processes_learn_what_one_does(job: FitJob, tmp_path: Path) -> None:
    """Batches are whole: in a smaller one, clips are mixed with those of the same process only, as `Partners` tells."""
    changes = (*LIVELY, "training.epochs=2", "training.weighting=classes")
    whole = dataclasses.replace(job, train=job.train[:24], train_labels=job.train_labels[:24])
    alone = run(whole, tmp_path / "one", *changes)
    together = run(whole, tmp_path / "two", *changes, hardware=Hardware("cpu", devices=2))
    for one, two in zip(alone.history, together.history, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, rel=1e-3)
    for name, tensor in alone.state.items():
        torch.testing.assert_close(together.state[name], tensor, rtol=1e-3, atol=1e-3)


class KilledError(Exception):
    pass


def test_a_continued_training_ends_as_an_unbroken_one(
    job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfold.training.loop._CHECKPOINT_EVERY_S", 0.0)
    whole = run(job, tmp_path / "whole", *LIVELY)
    broken = changed(job, tmp_path / "broken", *LIVELY)

    def kill(record: object) -> None:
        if getattr(record, "epoch") == 3:  # noqa: B009
            raise KilledError

    with pytest.raises(KilledError):
        fit(broken, CPU, kill)
    again = fit(broken, CPU, lambda _: None)
    assert all(torch.equal(again.state[name], tensor) for name, tensor in whole.state.items())


def test_a_stack_refuses_and_trains_step_by_step(job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [changed(job, tmp_path / str(seed), *LIVELY, f"training.seed={seed}") for seed in (0, 1)]
    assert can_step_together(job.recipe)
    assert not can_step_together(jobs[0].recipe)
    both = fit_together(jobs, CPU, lambda *_: None)
    alone = run(job, tmp_path / "alone", *LIVELY, "training.seed=1")
    assert all(torch.equal(both[1].state[name], tensor) for name, tensor in alone.state.items())
    monkeypatch.setattr(Hardware, "torch_device", torch.device("cuda"))
    assert networks_at_once(job, CPU) > 1
    assert networks_at_once(jobs[0], CPU) == 1


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        (
            "probe",
            "with features.kind = embedding, whose values are computed once and kept, got waveform. Say",
        ),
        ("mfcc", "with training.optimizer = lbfgs, which hears every clip once and as it is, got waveform"),
        (
            "finetune",
            "with model.kept_blocks = 9, whose answers are computed once and kept, got waveform. Say",
        ),
    ],
)
def test_what_learns_from_kept_values_only_is_refused(preset: str, message: str) -> None:
    changes = ("model.kept_blocks=9", "augment.band_shift=0", "augment.mix=none") if preset == "finetune" else ()
    load_recipe(preset, changes)
    with pytest.raises(RecipeError, match=re.escape(f"augment.domain must be spectrogram {message}")):
        load_recipe(preset, (*changes, "augment.domain=waveform"))


def test_a_run_with_backgrounds_is_continued_with_the_same_only(small_data: Path, tmp_path: Path) -> None:
    sounds = tmp_path / "noises"
    changes = (
        *SMALL, "training.epochs=1", "augment.domain=waveform", "augment.background_probability=1",
        f"augment.background_folder={sounds}",
    )  # fmt: skip
    place = {"changes": changes, "out": tmp_path / "run", "cache": tmp_path / "cache"}
    with pytest.raises(PathError, match=r"augment\.background_folder must be a folder of sounds"):
        soundfold.train(small_data, recipe="tutorial", **place)  # type: ignore[arg-type]
    sounds.mkdir()
    with pytest.raises(DataError, match="holds no sounds to be backgrounds"):
        soundfold.train(small_data, recipe="tutorial", **place)  # type: ignore[arg-type]
    soundfile.write(sounds / "rain.wav", np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), RATE)
    result = soundfold.train(small_data, recipe="tutorial", **place)  # type: ignore[arg-type]
    assert result.n == 12
    assert soundfold.train(small_data, recipe="tutorial", resume=True, **place) == soundfold.train(  # type: ignore[arg-type]
        small_data,
        recipe="tutorial",
        resume=True,
        **place,  # type: ignore[arg-type]
    )
    soundfile.write(sounds / "wind.wav", np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32), RATE)
    with pytest.raises(RunError, match="the sounds have changed since this run began"):
        soundfold.train(small_data, recipe="tutorial", resume=True, **place)  # type: ignore[arg-type]
