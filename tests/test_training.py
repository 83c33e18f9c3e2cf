"""Training: the same seed gives the same weights, in one process or two, in one go or after kills."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.summary.writer.record_writer import RecordWriter

from conftest import SMALL, SOUND, write_folders
from soundfold.augment import apply_draws, draw
from soundfold.data import open_store, read_clips
from soundfold.errors import DataError, RunError
from soundfold.models import Classifier, build_classifier
from soundfold.recipe import load_recipe
from soundfold.training import (
    EpochRecord,
    FitJob,
    Hardware,
    build_feature_cache,
    epoch_generator,
    fit,
    open_feature_cache,
    read_history,
)
from soundfold.training.epoch import draw_windows
from soundfold.training.events import EventsFile
from soundfold.training.history import History
from soundfold.training.linear_fit import training_windows
from soundfold.training.loop import CHECKPOINT_NAME, batch_bounds
from soundfold.training.shared_norm import share_batch_norm
from trainings import broken_off, run, same


@pytest.fixture(scope="module")
def job(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FitJob:
    recipe = load_recipe("tutorial", SMALL)
    clips = read_clips(small_data)
    store = open_store(clips, recipe.sound, cache=tmp_path_factory.mktemp("cache"))
    rows = np.arange(len(clips))
    ids = clips.class_ids()
    train, test = rows[: len(rows) - 7], rows[len(rows) - 7 :]
    return FitJob(
        recipe=recipe,
        n_labels=2,
        features=build_feature_cache(store, recipe),
        train=train,
        train_labels=ids[train],
        held_out=test,
        held_out_labels=ids[test],
        folder=tmp_path_factory.mktemp("unused"),
    )


def test_learns(job: FitJob, tmp_path: Path) -> None:
    history = run(job, tmp_path / "run", epochs=30, lr=0.01).history
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    assert history[-1].val_accuracy == 1.0


def test_same_seed_same_weights_and_another_seed_others(job: FitJob, tmp_path: Path) -> None:
    first, again = run(job, tmp_path / "a"), run(job, tmp_path / "b")
    assert same(first, again)
    assert not same(first, run(job, tmp_path / "c", seed=1))


def test_caller_keeps_the_global_random_state(job: FitJob, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(job, tmp_path / "run", epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_two_processes_learn_what_one_does_and_leave_others_of_the_caller_alone(job: FitJob, tmp_path: Path) -> None:
    import multiprocessing

    bystander = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    bystander.start()
    try:
        together = run(job, tmp_path / "two", Hardware("cpu", devices=2))
        assert bystander.is_alive()
    finally:
        bystander.kill()
        bystander.join()
    alone = run(job, tmp_path / "one")
    for one, two in zip(alone.history, together.history, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, rel=1e-3)
        assert two.val_loss == pytest.approx(one.val_loss, rel=1e-3)
        assert two.val_accuracy == one.val_accuracy
    for name, tensor in alone.state.items():
        torch.testing.assert_close(together.state[name], tensor, rtol=1e-3, atol=1e-4)


def test_processes_without_a_clip_do_not_hang_the_others(job: FitJob, tmp_path: Path) -> None:
    """A last batch smaller than the number of processes, and a held-out side of one clip."""
    few = dataclasses.replace(
        job, train=job.train[:9], train_labels=job.train_labels[:9],
        held_out=job.held_out[:1], held_out_labels=job.held_out_labels[:1],
    )  # fmt: skip
    alone = run(few, tmp_path / "one", epochs=2, batch_size=1)
    together = run(few, tmp_path / "two", Hardware("cpu", devices=2), epochs=2, batch_size=1)
    assert together.history[-1].train_loss == pytest.approx(alone.history[-1].train_loss, rel=1e-2)


def test_shared_batch_norm_of_one_process_is_batch_norm(tmp_path: Path) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        plain, holder = torch.nn.BatchNorm2d(3), torch.nn.Sequential(torch.nn.BatchNorm2d(3))
        share_batch_norm(holder)
        batch = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0)) * 3 + 100
        first, second = batch.clone().requires_grad_(), batch.clone().requires_grad_()
        expected, told = plain(first), holder(second)
        weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
        (expected * weight).sum().backward()
        (told * weight).sum().backward()
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(told, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.grad, first.grad, rtol=1e-3, atol=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(holder[0].state_dict()[name], value, rtol=1e-5, atol=1e-5)


def test_the_fast_path_learns_what_the_plain_one_does(job: FitJob, tmp_path: Path) -> None:
    """The loop as a tutorial would write it, with none of what makes ours quick, on the same clips and numbers."""
    fitted = run(job, tmp_path / "run")
    settings = job.recipe.training
    cache = open_feature_cache(job.features)
    classifier = build_classifier(job.recipe, job.n_labels, settings.seed)
    rows, _ = cache.windows_of(job.train)
    classifier.standardise.set_statistics(*cache.statistics(rows))
    optimizer = torch.optim.Adam(classifier.network.parameters(), lr=settings.lr, foreach=False)
    bounds = batch_bounds(len(job.train), settings.batch_size)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.lr, total_steps=len(bounds) * settings.epochs, anneal_strategy="linear"
    )
    for epoch in range(1, settings.epochs + 1):
        generator = epoch_generator(settings.seed, epoch)
        order = torch.randperm(len(job.train), generator=generator).numpy()
        torch.rand(len(order), generator=generator, dtype=torch.float64)  # which window of a longer clip
        before, after = (torch.from_numpy(side[rows[order]]) for side in (cache.before, cache.after))
        draws = draw(job.recipe.augment, before, after, *cache.shape[1:], generator)
        for start, stop in bounds:
            batch = torch.stack([cache.gather(rows[order[clip : clip + 1]])[0] for clip in range(start, stop)])
            logits = classifier.classify(apply_draws(batch, draws[slice(start, stop)]))
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(job.train_labels[order[start:stop]]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    for name, value in classifier.state_dict().items():
        torch.testing.assert_close(fitted.state[name], value, rtol=1e-3, atol=1e-4)


def test_the_machines_own_precision_learns_as_well(job: FitJob, tmp_path: Path) -> None:
    history = run(job, tmp_path / "run", epochs=30, lr=0.01, precision="auto").history
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    assert history[-1].val_accuracy == 1.0


@pytest.mark.parametrize("mix", ["mixup", "between_class", "cutmix"])
def test_mixed_clips_are_learned_with_their_parts(job: FitJob, tmp_path: Path, mix: str) -> None:
    augment = job.recipe.augment.model_copy(update={"mix": mix, "gain_db": 6.0, "filter_db": 6.0})
    mixed = dataclasses.replace(job, recipe=job.recipe.model_copy(update={"augment": augment}))
    fitted = run(mixed, tmp_path / "run", epochs=20, lr=0.01)
    assert fitted.history[-1].val_accuracy == 1.0
    assert fitted.history[-1].train_loss > 0.1  # a mixture has no single right answer
    broken = broken_off(mixed, tmp_path / "broken", after=1, epochs=3)
    assert same(run(mixed, tmp_path / "whole", epochs=3), fit(broken, Hardware("cpu"), lambda _: None))


@given(count=st.integers(1, 200), batch_size=st.integers(1, 50))
def test_batches_cover_every_clip_once_and_none_is_left_alone(count: int, batch_size: int) -> None:
    bounds = batch_bounds(count, batch_size)
    assert [clip for start, stop in bounds for clip in range(start, stop)] == list(range(count))
    if batch_size > 1 and count > 1:
        assert all(stop - start > 1 for start, stop in bounds)


def test_resumed_run_ends_with_the_very_weights(job: FitJob, tmp_path: Path) -> None:
    whole = run(job, tmp_path / "whole", epochs=4)
    resumed = fit(broken_off(job, tmp_path / "broken", after=1, epochs=4), Hardware("cpu"), lambda _: None)
    assert same(whole, resumed)
    assert [record.epoch for record in resumed.history] == [1, 2, 3, 4]
    for before, after in zip(whole.history, resumed.history, strict=True):
        assert dataclasses.replace(before, train_s=0) == dataclasses.replace(after, train_s=0)


ZYGOTE = """
import os, pickle, sys
import soundfold.training.loop as loop
from soundfold.training import Hardware, fit
loop._CHECKPOINT_EVERY_S = 0.0
with open(sys.argv[1], "rb") as file:
    job = pickle.load(file)
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        fit(job, Hardware("cpu"), lambda _: None)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""
"""Loads torch once and forks a training for each line it reads, so that ten kills do not cost ten imports."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_ten_kills_at_random_moments_end_with_the_very_weights(job: FitJob, tmp_path: Path) -> None:
    whole = run(job, tmp_path / "whole", epochs=60)
    broken = tmp_path / "broken"
    broken.mkdir()
    recipe = job.recipe.model_copy(update={"training": job.recipe.training.model_copy(update={"epochs": 60})})
    broken_job = dataclasses.replace(job, recipe=recipe, folder=broken)
    (tmp_path / "job").write_bytes(pickle.dumps(broken_job))
    generator = np.random.default_rng(0)
    done = []
    with subprocess.Popen(
        [sys.executable, "-c", ZYGOTE, str(tmp_path / "job")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None

        def told() -> str:
            return zygote.stdout.readline().strip()  # type: ignore[union-attr]

        for kill in range(11):
            zygote.stdin.write("\n")
            zygote.stdin.flush()
            child = int(told())
            if kill < 10:
                target = int(5 * kill + generator.integers(1, 5))
                while len(read_history(broken)) < target:
                    time.sleep(0.001)
                time.sleep(generator.uniform(0, 0.02))
                os.kill(child, signal.SIGKILL)
            assert told() == "gone"
            done.append(len(read_history(broken)))
        zygote.stdin.close()
    assert len(set(done)) > 5, f"the kills did not come at different moments: {done}"
    assert max(done[:10]) < 60
    resumed = fit(broken_job, Hardware("cpu"), lambda _: None)
    assert same(whole, resumed)
    assert [record.epoch for record in resumed.history] == list(range(1, 61))
    visible = {path.name for path in broken.iterdir() if not path.name.startswith(("events.", "."))}
    assert visible == {CHECKPOINT_NAME, "log.csv"}


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_trains_and_resumes(job: FitJob, tmp_path: Path, precision: str) -> None:
    whole = run(job, tmp_path / "whole", epochs=2, precision=precision)
    broken = broken_off(job, tmp_path / "broken", after=1, epochs=2, precision=precision)
    assert same(whole, fit(broken, Hardware("cpu"), lambda _: None))


def test_tensorboard_holds_the_curves(job: FitJob, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = run(job, tmp_path / "run").history
    board = EventAccumulator(str(tmp_path / "run"))
    board.Reload()
    assert {"Loss/train", "Acc/train", "Loss/val", "Acc/val"} <= set(board.Tags()["scalars"])
    for tag, name in (("Loss/train", "train_loss"), ("Acc/val", "val_accuracy")):
        told = [(event.step, event.value) for event in board.Scalars(tag)]
        assert told == [(record.epoch, pytest.approx(getattr(record, name), rel=1e-5)) for record in history]


def test_loss_that_is_no_number_is_told_with_the_setting(
    job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> Classifier:
        classifier = build_classifier(*arguments)  # type: ignore[arg-type]
        classifier.network.head.bias.data.fill_(float("nan"))
        return classifier

    monkeypatch.setattr("soundfold.training.fitted_start.build_classifier", broken)
    with pytest.raises(DataError, match=r"the loss must stay a number, got nan in epoch 1\. Lower training\.lr"):
        run(job, tmp_path / "run")


def test_complaint_of_a_spawned_process_reaches_the_caller(job: FitJob, tmp_path: Path) -> None:
    other = job.recipe.model_copy(update={"training": job.recipe.training.model_copy(update={"epochs": 9})})
    run(dataclasses.replace(job, n_labels=3), tmp_path / "run", epochs=3)
    with pytest.raises(RunError, match="does not fit this recipe's network"):
        fit(dataclasses.replace(job, recipe=other, folder=tmp_path / "run"), Hardware("cpu", devices=2), lambda _: None)


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ({"device": "cdua"}, "device must be one of auto, cpu, cuda, mps, got 'cdua'. Did you mean 'cuda'"),
        ({"device": "gpu"}, "Did you mean 'cuda'"),
        ({"devices": 0}, "devices must be at least 1, got 0"),
        ({"num_nodes": 0}, "num_nodes must be at least 1, got 0"),
        ({"num_nodes": 2}, "num_nodes must be 1 unless torchrun or a cluster starts the processes, got 2"),
    ],
)
def test_bad_hardware_is_told(hardware: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        Hardware(**hardware)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_absent_gpu_is_told() -> None:
    with pytest.raises(RunError, match=r"device must be one that this machine has, got 'cuda'\. Use --device cpu"):
        Hardware("cuda")


def test_torn_log_line_is_dropped(tmp_path: Path) -> None:
    text = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,train_s\n1,0.5,0.5,,,0.1,1.0\n2,0.4,0."
    (tmp_path / "log.csv").write_text(text)
    assert [record.epoch for record in read_history(tmp_path)] == [1]


def test_a_full_disk_is_an_error_that_names_the_file(job: FitJob, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    record = EpochRecord(1, 1.0, 0.5, None, None, 0.1, 1.0)
    with History(tmp_path, []) as history:
        (tmp_path / "log.csv").unlink()
        (tmp_path / "log.csv").symlink_to("/dev/full")
        with pytest.raises(OSError, match=r"No space left.*log\.csv"):
            history.add(record)
    board = EventsFile(tmp_path, first_step=1)
    board._records = RecordWriter(open("/dev/full", "wb", buffering=0))  # noqa: SIM115, PTH123
    with pytest.raises(OSError, match=r"No space left.*events\.out"):
        board.add(1, {"Loss/train": 1.0})
    board._records.close()
    board.close()


def test_windows_are_heard_as_often_as_they_hold_sound() -> None:
    weight, first, count = np.array([400, 100, 50, 300, 300, 60]), np.array([3, 0, 2]), np.array([3, 2, 1])
    clips = 6_000
    drawn = draw_windows(weight, np.tile(first, clips), np.tile(count, clips), epoch_generator(0, 1))
    told = np.bincount(drawn, minlength=6) / clips
    sound = np.array([500, 500, 50, 660, 660, 660])  # of the clip that each window belongs to
    np.testing.assert_allclose(told, weight / sound, atol=0.02)
    first_alone = draw_windows(weight, np.tile(first, 9), np.ones(27, dtype=int), epoch_generator(0, 1))
    assert first_alone.tolist() == first.tolist() * 9


def test_a_fit_counts_windows_by_their_sound_and_a_clip_as_one(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds", clips=2, seconds=1.2)
    clips, recipe = read_clips(data), load_recipe("mfcc", [*SOUND, "features.n_mfcc=12"])
    store = open_store(clips, recipe.sound, cache=tmp_path / "cache")
    features = build_feature_cache(store, recipe)
    counts = np.linspace(1, 2, len(clips))
    job = FitJob(
        recipe=recipe, n_labels=2, features=features, train=np.arange(len(clips)), train_labels=clips.targets(),
        held_out=np.arange(0), held_out_labels=clips.targets()[:0], folder=tmp_path, train_weights=counts,
    )  # fmt: skip
    windows = training_windows(job, open_feature_cache(features))
    weight = windows.weight.reshape(len(clips), 3)
    np.testing.assert_allclose(weight, counts[:, None] * np.array([0.5, 0.5, 0.2]) / 1.2, rtol=1e-6)
