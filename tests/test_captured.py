"""Recorded work: replayed, it does what it does when it is simply done."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import SMALL
from soundfold.data import open_store, read_clips
from soundfold.recipe import load_recipe
from soundfold.training import FitJob, Fitted, Hardware, build_feature_cache, fit
from soundfold.training.captured import Captured
from soundfold.training.feature_source import Streamed
from soundfold.training.launch import fit_together

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_every_run_counts_once_and_the_warm_up_does_not(device: str) -> None:
    """A walk through a table by a counter on the device, as a training step walks through its batches."""
    table = torch.arange(12.0, device=device).reshape(4, 3)
    position = torch.zeros(1, dtype=torch.int64, device=device)
    total = torch.full((3,), 100.0, device=device)

    def work() -> None:
        total.add_(table.index_select(0, position)[0])
        position.add_(1)

    walk = Captured(work, [total, position])
    assert total.tolist() == [100, 100, 100]
    assert position.item() == 0
    for _ in range(4):
        walk.run()
    assert total.tolist() == [118, 122, 126]
    position.zero_()
    table.mul_(10)  # the values are read anew each time
    walk.run()
    assert total.tolist() == [118, 132, 146]
    assert position.item() == 1


@pytest.fixture(scope="module")
def jobs(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[FitJob]:
    recipe = load_recipe("tutorial", (*SMALL, "sound.channels=2"))
    clips = read_clips(small_data)
    store = open_store(clips, recipe.sound, cache=tmp_path_factory.mktemp("cache"))
    features, ids = build_feature_cache(store, recipe), clips.class_ids()
    made = []
    for trained in (29, 22, 27):
        rows = np.random.default_rng(trained).permutation(len(clips))
        train, held_out = rows[:trained], rows[trained:]
        folder = tmp_path_factory.mktemp("unused")
        made.append(FitJob(recipe, 2, features, train, ids[train], held_out, ids[held_out], folder))
    return made


def trained(jobs: list[FitJob], folder: Path, device: str, **changes: object) -> list[Fitted]:
    """Train together, or alone if there is one job."""
    moved = []
    for number, job in enumerate(jobs):
        place = folder / str(number)
        place.mkdir(parents=True)
        training = job.recipe.training.model_copy(update=changes)
        moved.append(
            dataclasses.replace(job, folder=place, recipe=job.recipe.model_copy(update={"training": training}))
        )
    if len(moved) == 1:
        return [fit(moved[0], Hardware(device), lambda _: None)]
    return fit_together(moved, Hardware(device), lambda *_: None)


class Done:
    """Stands in for `Captured`: the same work, never recorded."""

    def __init__(self, work: object, *_: object) -> None:
        self.run = work


def assert_close(first: list[Fitted], second: list[Fitted], rtol: float, atol: float) -> None:
    for one, other in zip(first, second, strict=True):
        for name, value in one.state.items():
            torch.testing.assert_close(other.state[name], value, rtol=rtol, atol=atol)
        for ours, theirs in zip(one.history, other.history, strict=True):
            assert theirs.train_loss == pytest.approx(ours.train_loss, rel=max(rtol, 1e-6))
            assert theirs.val_accuracy == ours.val_accuracy


@needs_gpu
@pytest.mark.parametrize("networks", [1, 3])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_recorded_training_is_the_training_step_by_step(
    jobs: list[FitJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: int, precision: str
) -> None:
    recorded = trained(jobs[:networks], tmp_path / "recorded", "cuda", precision=precision)
    monkeypatch.setattr("soundfold.training.together.Captured", Done)
    assert_close(recorded, trained(jobs[:networks], tmp_path / "done", "cuda", precision=precision), 1e-5, 1e-6)


@needs_gpu
@pytest.mark.parametrize("networks", [1, 3])
def test_a_gpu_learns_what_a_cpu_learns(jobs: list[FitJob], tmp_path: Path, networks: int) -> None:
    cpu = [trained([job], tmp_path / "cpu" / str(number), "cpu")[0] for number, job in enumerate(jobs[:networks])]
    assert_close(cpu, trained(jobs[:networks], tmp_path / "gpu", "cuda"), 1e-3, 1e-4)


@needs_gpu
@pytest.mark.parametrize("networks", [1, 3])
def test_the_same_training_twice_gives_the_very_weights(jobs: list[FitJob], tmp_path: Path, networks: int) -> None:
    first, again = (trained(jobs[:networks], tmp_path / name, "cuda") for name in ("first", "again"))
    assert_close(first, again, 0, 0)


@needs_gpu
def test_features_that_do_not_fit_are_streamed_beside_the_recording(
    jobs: list[FitJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = trained(jobs, tmp_path / "resident", "cuda")
    monkeypatch.setattr("soundfold.training.loop.source_of", Streamed)
    assert_close(resident, trained(jobs, tmp_path / "streamed", "cuda"), 0, 0)


@needs_gpu
def test_a_training_on_a_gpu_is_continued_on_a_cpu(jobs: list[FitJob], tmp_path: Path) -> None:
    """And the other way round; checkpoints know of no device."""
    whole = trained(jobs[:1], tmp_path / "whole", "cpu", epochs=4, schedule="constant")
    for first, second in (("cpu", "cuda"), ("cuda", "cpu")):
        folder = tmp_path / first
        trained(jobs[:1], folder, first, epochs=2, schedule="constant")
        job = dataclasses.replace(jobs[0], folder=folder / "0")
        training = job.recipe.training.model_copy(update={"epochs": 4, "schedule": "constant"})
        job = dataclasses.replace(job, recipe=job.recipe.model_copy(update={"training": training}))
        assert_close(whole, [fit(job, Hardware(second), lambda _: None)], 1e-3, 1e-4)


@needs_gpu
def test_nothing_waits_for_the_host_within_an_epoch(
    jobs: list[FitJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA itself complains of any wait while steps are taken, once they have been recorded."""
    from soundfold.training.together import Stack

    take = Stack._run
    recorded: set[int] = set()

    def watched(self: Stack, lane: object, *rest: object) -> None:
        torch.cuda.set_sync_debug_mode("error" if id(lane) in recorded else "default")
        try:
            take(self, lane, *rest)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")
        recorded.add(id(lane))

    monkeypatch.setattr(Stack, "_run", watched)
    trained(jobs, tmp_path, "cuda")
    assert recorded
