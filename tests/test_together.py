"""Trainings in one pass: each learns what it would learn alone, whatever else is in the pass."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import soundfold
from conftest import SMALL
from soundfold.data import open_store, read_clips
from soundfold.data.leaks import Leaks
from soundfold.data.splits import Split
from soundfold.errors import DataError
from soundfold.evaluation import read_predictions
from soundfold.jobs.lessons import learn_lessons
from soundfold.jobs.reporting import Silent
from soundfold.jobs.side_by_side import Lesson
from soundfold.models import Classifier, build_classifier
from soundfold.recipe import Recipe, load_recipe
from soundfold.training import EpochRecord, FitJob, Fitted, Hardware, build_feature_cache, fit, read_history
from soundfold.training.column_convolution import ColumnConv2d, use_columns
from soundfold.training.epoch import batch_bounds
from soundfold.training.forward_pass import operations
from soundfold.training.launch import fit_together, networks_at_once
from soundfold.training.loop import CHECKPOINT_NAME
from soundfold.training.network_table import NetworkTable
from soundfold.training.row_adam import RowAdam
from soundfold.training.schedules import build_schedule
from soundfold.training.together import Stack, is_plain, lane_spans

CPU = Hardware("cpu")
TRAINED = (29, 22, 27)
"""Clips of each training: 4, 3 and 4 steps with batches of 8, of which 3, 2 and 3 are full."""


@pytest.fixture(scope="module")
def jobs(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[FitJob]:
    """Three trainings of different length, on clips of their own, with seeds of their own."""
    recipe = load_recipe("tutorial", (*SMALL, "sound.channels=2"))
    clips = read_clips(small_data)
    store = open_store(clips, recipe.sound, cache=tmp_path_factory.mktemp("cache"))
    features, ids = build_feature_cache(store, recipe), clips.class_ids()
    made = []
    for seed, trained in enumerate(TRAINED):
        rows = np.random.default_rng(seed).permutation(len(clips))
        train, held_out = rows[:trained], rows[trained:]
        made.append(
            FitJob(
                recipe=changed(recipe, seed=seed),
                n_labels=2,
                features=features,
                train=train,
                train_labels=ids[train],
                held_out=held_out,
                held_out_labels=ids[held_out],
                folder=tmp_path_factory.mktemp("unused"),
            )
        )
    return made


def changed(recipe: Recipe, **changes: object) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def into(jobs: list[FitJob], folder: Path, **changes: object) -> list[FitJob]:
    """Return the jobs with folders of their own, and with some of their settings changed."""
    moved = []
    for number, job in enumerate(jobs):
        place = folder / str(number)
        place.mkdir(parents=True)
        moved.append(dataclasses.replace(job, folder=place, recipe=changed(job.recipe, **changes)))
    return moved


def alone(jobs: list[FitJob], folder: Path, **changes: object) -> list[Fitted]:
    return [fit(job, CPU, lambda _: None) for job in into(jobs, folder, **changes)]


def together(jobs: list[FitJob], folder: Path, **changes: object) -> list[Fitted]:
    return fit_together(into(jobs, folder, **changes), CPU, lambda *_: None)


def assert_alike(first: list[Fitted], second: list[Fitted]) -> None:
    """Hold trainings against each other: the same but for rounding."""
    for one, other in zip(first, second, strict=True):
        assert one.state.keys() == other.state.keys()
        for name, value in one.state.items():
            torch.testing.assert_close(other.state[name], value, rtol=1e-3, atol=1e-4)
        for ours, theirs in zip(one.history, other.history, strict=True):
            assert (theirs.epoch, theirs.lr, theirs.val_accuracy) == (ours.epoch, ours.lr, ours.val_accuracy)
            assert theirs.train_accuracy == pytest.approx(ours.train_accuracy)
            assert theirs.train_loss == pytest.approx(ours.train_loss, rel=1e-3)
            assert theirs.val_loss == pytest.approx(ours.val_loss, rel=1e-3)


def equal(first: list[Fitted], second: list[Fitted]) -> bool:
    return all(
        torch.equal(one.state[name], other.state[name])
        for one, other in zip(first, second, strict=True)
        for name in one.state
    )


@pytest.mark.parametrize("changes", [{}, {"schedule": "constant"}, {"batch_size": 64}, {"batch_size": 7}])
def test_each_learns_what_it_learns_alone(jobs: list[FitJob], tmp_path: Path, changes: dict[str, object]) -> None:
    assert_alike(alone(jobs, tmp_path / "alone", **changes), together(jobs, tmp_path / "together", **changes))


def test_leaves_the_files_that_a_training_alone_leaves(jobs: list[FitJob], tmp_path: Path) -> None:
    alone(jobs, tmp_path / "alone")
    together(jobs, tmp_path / "together")
    for number in "012":
        for kind in ("log.csv", CHECKPOINT_NAME, "events.*"):
            assert len(list((tmp_path / "together" / number).glob(kind))) == 1
        assert len(read_history(tmp_path / "together" / number)) == 3
        sizes = [(tmp_path / kind / number / CHECKPOINT_NAME).stat().st_size for kind in ("alone", "together")]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


def test_hears_of_every_epoch_of_each(jobs: list[FitJob], tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    fit_together(into(jobs, tmp_path), CPU, lambda at, record: heard.append((at, record.epoch)))
    assert heard == [(number, epoch) for epoch in (1, 2, 3) for number in (0, 1, 2)]


def test_how_much_lies_ready_changes_nothing(
    jobs: list[FitJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    much = together(jobs, tmp_path / "much")
    monkeypatch.setattr("soundfold.training.together._READY_BYTES", 0)
    assert equal(much, together(jobs, tmp_path / "little"))


def test_in_bfloat16_they_learn_as_well(jobs: list[FitJob], tmp_path: Path) -> None:
    for fitted in together(jobs, tmp_path, epochs=30, lr=0.01, precision="bf16-mixed"):
        assert fitted.history[-1].train_loss < 0.5 * fitted.history[0].train_loss
        assert fitted.history[-1].val_accuracy == 1.0


def test_a_stack_of_one_learns_what_the_plain_loop_does(
    jobs: list[FitJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = alone(jobs, tmp_path / "plain")
    monkeypatch.setattr(
        "soundfold.training.loop._epoch_trainer",
        lambda fabric, fittings: Stack(fittings, fabric.device, mixed=False).train_epoch,
    )
    assert_alike(plain, alone(jobs, tmp_path / "stack"))


class PowerCutError(Exception):
    """What a test raises in the middle of a training."""


def break_off(jobs: list[FitJob], after: int, train: Callable[..., object]) -> None:
    """Begin a training and break it off after some epochs."""

    def cut(*told: object) -> None:
        assert isinstance(told[-1], EpochRecord)
        if told[-1].epoch == after + 1:
            raise PowerCutError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soundfold.training.loop._CHECKPOINT_EVERY_S", 0.0)
        with pytest.raises(PowerCutError):
            train(jobs, CPU, cut)


def test_continued_they_end_with_the_very_weights(jobs: list[FitJob], tmp_path: Path) -> None:
    whole = together(jobs, tmp_path / "whole", epochs=4)
    broken = into(jobs, tmp_path / "broken", epochs=4)
    break_off(broken, 2, fit_together)
    assert equal(whole, fit_together(broken, CPU, lambda *_: None))


def test_each_may_be_continued_by_the_other_way(jobs: list[FitJob], tmp_path: Path) -> None:
    whole = alone(jobs, tmp_path / "whole", epochs=4)
    begun = into(jobs, tmp_path / "begun together", epochs=4)
    break_off(begun, 2, fit_together)
    assert_alike(whole, [fit(job, CPU, lambda _: None) for job in begun])
    begun = into(jobs, tmp_path / "begun alone", epochs=4)
    for job in begun:
        break_off([job], 2, lambda jobs, *rest: fit(jobs[0], *rest))
    assert_alike(whole, fit_together(begun, CPU, lambda *_: None))


def test_who_was_left_behind_catches_up(jobs: list[FitJob], tmp_path: Path) -> None:
    """One is finished, one has two epochs, one none."""
    whole = alone(jobs, tmp_path / "whole", epochs=4)
    begun = into(jobs, tmp_path / "begun", epochs=4)
    fit(begun[1], CPU, lambda _: None)
    break_off(begun[2:], 2, lambda jobs, *rest: fit(jobs[0], *rest))
    heard: list[tuple[int, int]] = []
    fitted = fit_together(begun, CPU, lambda at, record: heard.append((at, record.epoch)))
    assert heard == [(0, 1), (0, 2), (0, 3), (2, 3), (0, 4), (2, 4)]
    assert_alike(whole, fitted)
    assert [record.epoch for record in read_history(begun[2].folder)] == [1, 2, 3, 4]


def test_loss_that_is_no_number_is_told(jobs: list[FitJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(recipe: Recipe, n_labels: int, seed: int, weights: Path | None) -> Classifier:
        classifier = build_classifier(recipe, n_labels, seed, weights)
        if seed == 1:
            classifier.network.head.bias.data.fill_(float("nan"))  # type: ignore[union-attr]
        return classifier

    monkeypatch.setattr("soundfold.training.fitted_start.build_classifier", broken)
    with pytest.raises(DataError, match=r"the loss must stay a number, got nan in epoch 1\. Lower training\.lr"):
        together(jobs, tmp_path)


def test_what_does_not_belong_together_is_refused(jobs: list[FitJob], tmp_path: Path) -> None:
    other = [jobs[0], dataclasses.replace(jobs[1], recipe=changed(jobs[1].recipe, lr=0.1))]
    with pytest.raises(ValueError, match="must differ in the seed only"):
        fit_together(other, CPU, lambda *_: None)
    with pytest.raises(ValueError, match="a single device"):
        fit_together(jobs, Hardware("cpu", devices=2), lambda *_: None)


def test_networks_that_draw_numbers_are_trained_one_after_another(
    jobs: list[FitJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_plain(build_classifier(jobs[0].recipe, 2, 0).network)
    assert not is_plain(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))
    whole = alone(jobs, tmp_path / "alone")
    monkeypatch.setattr("soundfold.training.together.is_plain", lambda _: False)
    assert equal(whole, together(jobs, tmp_path / "together"))


@given(clips=st.lists(st.integers(1, 60), min_size=1, max_size=5), batch_size=st.integers(1, 20))
def test_lanes_take_every_batch_of_each_once_and_in_order(clips: list[int], batch_size: int) -> None:
    bounds = sorted((batch_bounds(count, batch_size) for count in clips), key=lambda of_one: -len(of_one))
    bounds.sort(key=lambda of_one: -sum(end - begin == batch_size for begin, end in of_one))
    taken: list[list[tuple[int, int]]] = [[] for _ in clips]
    for span in lane_spans(bounds, batch_size):
        for row in range(span.rows.start, span.rows.stop):
            steps = bounds[row][span.first : span.end]
            assert all(end - begin == span.size for begin, end in steps)
            taken[row] += steps
    assert taken == bounds


def test_row_adam_takes_the_steps_of_torchs(jobs: list[FitJob]) -> None:
    """Two networks, one of them ten steps ahead, against torch's own optimiser."""
    recipe = changed(jobs[0].recipe, epochs=2)
    generator = torch.Generator().manual_seed(0)
    sides = []
    for seed in (1, 2):
        ours, theirs = (build_classifier(recipe, 2, seed).network for _ in range(2))
        schedules = []
        for network in (ours, theirs):
            optimizer = torch.optim.Adam(network.parameters(), lr=recipe.training.lr)
            schedules.append(build_schedule(optimizer, recipe, 20))
        sides.append((ours, theirs, *schedules))

    def step(network: nn.Module, schedule: torch.optim.lr_scheduler.LRScheduler, gradients: list[torch.Tensor]) -> None:
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        schedule.optimizer.step()
        schedule.step()

    def drawn(network: nn.Module) -> list[torch.Tensor]:
        return [torch.randn(parameter.shape, generator=generator) for parameter in network.parameters()]

    for _ in range(10):
        gradients = drawn(sides[0][0])
        step(sides[0][0], sides[0][2], gradients)
        step(sides[0][1], sides[0][3], gradients)
    networks = [side[0] for side in sides]
    table = NetworkTable(networks)
    adam = RowAdam(table, networks, [side[2] for side in sides])
    rates = torch.stack([adam.rates(row, 8) for row in range(2)], dim=1)
    for number in range(8):
        gradients = [drawn(side[1]) for side in sides]
        names = [name for name, _ in networks[0].named_parameters()]
        gradient = torch.cat([table.row(dict(zip(names, of_one, strict=True))) for of_one in gradients])
        adam.update(slice(0, 2), gradient, rates[number])
        for side, of_one in zip(sides, gradients, strict=True):
            step(side[1], side[3], of_one)
    for ours, theirs, our_schedule, their_schedule in sides:
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
        told, expected = our_schedule.optimizer.state_dict(), their_schedule.optimizer.state_dict()
        assert told["param_groups"] == expected["param_groups"]
        for number, moments in expected["state"].items():
            for name, value in moments.items():
                torch.testing.assert_close(told["state"][number][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_networks_in_a_table_keep_their_values(jobs: list[FitJob], layout: torch.memory_format) -> None:
    networks = [build_classifier(jobs[0].recipe, 2, seed).network.to(memory_format=layout) for seed in (1, 2)]  # type: ignore[call-overload]
    networks[1].head.bias.requires_grad_(False)
    networks[0].head.bias.requires_grad_(False)
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    strides = [value.stride() for value in networks[0].parameters()]
    table = NetworkTable(networks)
    for network, values in zip(networks, before, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value, values[name])
    assert [value.stride() for value in networks[0].parameters()] == strides
    table.weights[1] += 1
    table.kept["head.bias"][1] += 1
    for name, parameter in networks[1].named_parameters():
        assert torch.equal(parameter, before[1][name] + 1)
    assert torch.equal(table.rows(table.views(table.weights, slice(0, 2))), table.weights)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "bias"), [(3, 2, 1, True), (5, 2, 2, False), ((1, 4), 1, 0, True)]
)
def test_columns_are_the_convolution(kernel: int, stride: int, padding: int, bias: bool) -> None:
    plain = nn.Sequential(nn.Conv2d(2, 3, kernel, stride, padding, bias=bias))
    other = nn.Sequential(nn.Conv2d(2, 3, kernel, stride, padding, bias=bias))
    use_columns(other)
    assert type(other[0]) is ColumnConv2d
    batch = torch.randn(4, 2, 9, 12, generator=torch.Generator().manual_seed(0))
    first, second = batch.clone().requires_grad_(), batch.clone().requires_grad_()
    expected = plain(first)
    told = torch.func.functional_call(other, dict(plain.named_parameters()), (second,))
    torch.testing.assert_close(told, expected, rtol=1e-5, atol=1e-5)
    ours, theirs = (
        torch.autograd.grad(answer.square().sum(), [side, *plain.parameters()])
        for answer, side in ((told, second), (expected, first))
    )
    for mine, other_one in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other_one, rtol=1e-4, atol=1e-4)


def test_convolutions_that_columns_do_not_stand_for_are_left() -> None:
    kept = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2), nn.Conv2d(4, 4, 3, padding="same")
    )
    use_columns(kept)
    assert all(type(layer) is nn.Conv2d for layer in kept)


def test_operations_are_counted_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    assert operations(network, torch.zeros(4, 2, 8, 10)) == 4 * (2 * (3 * 6 * 8) * (2 * 9) + 2 * 5 * 3)


class Elsewhere:
    """What `networks_at_once` asks of hardware, of a machine with a GPU."""

    torch_device = torch.device("cuda")
    devices = 1


def test_small_networks_share_a_gpu_and_large_steps_do_not(jobs: list[FitJob]) -> None:
    recipe = load_recipe("tutorial", ())
    job = dataclasses.replace(jobs[0], recipe=recipe)
    gpu: Hardware = Elsewhere()  # type: ignore[assignment]
    assert networks_at_once(job, gpu) >= 10
    assert networks_at_once(dataclasses.replace(job, recipe=changed(recipe, batch_size=1024)), gpu) == 1
    assert networks_at_once(job, CPU) == 1


@pytest.mark.usefixtures("hollow_model_file")
def test_cross_validation_in_few_passes_gives_the_same_scores(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three folds, and room for two at a time."""
    heard: list[tuple[str, int]] = []

    class Listening(Silent):
        def epoch(self, what: str, record: EpochRecord, _: int) -> None:
            heard.append((what, record.epoch))

    places = {"changes": SMALL, "cache": tmp_path / "cache"}
    one_by_one = soundfold.cross_validate(small_data, recipe="tutorial", **places, out=tmp_path / "a", jobs=1)
    monkeypatch.setattr("soundfold.jobs.lessons.networks_at_once", lambda *_: 2)
    result = soundfold.cross_validate(small_data, recipe="tutorial", **places, out=tmp_path / "b", reporter=Listening())
    passes = [(("fold 1", "fold 3"), epoch) for epoch in (1, 2, 3)] + [(("fold 2",), epoch) for epoch in (1, 2, 3)]
    assert heard == [(fold, epoch) for folds, epoch in passes for fold in folds]
    assert [fold.accuracy for fold in result.folds] == [fold.accuracy for fold in one_by_one.folds]
    tables = [read_predictions(tmp_path / name / "predictions.parquet") for name in ("a", "b")]
    names = [name for name in tables[0].columns if tables[0][name].dtype.kind == "f"]
    assert names
    np.testing.assert_allclose(tables[1][names], tables[0][names], rtol=1e-3, atol=1e-4)
    assert not list(tmp_path.glob(f"b/fold*/{CHECKPOINT_NAME}"))
    assert result.clips_per_second is not None
    assert result.clips_per_second > 0


def lessons(count: int, folder: Path) -> list[Lesson]:
    split = Split("fold 1", "fold", "1", np.arange(5), np.arange(0), Leaks(0, 0, ()))
    return [Lesson(split, folder / str(number), f"fold {number}") for number in range(count)]


@pytest.mark.parametrize(
    ("folds", "room", "asked", "passes"),
    [
        (4, 4, None, [4]),
        (5, 2, None, [2, 2, 1]),
        (10, 7, None, [5, 5]),
        (1, 9, None, []),
        (4, 1, None, []),
        (4, 4, 1, []),
    ],
)
def test_passes_are_few_and_even_and_never_where_jobs_are_named(
    folds: int, room: int, asked: int | None, passes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    scored = []
    for name, stand_in in {
        "at_once": lambda *_: 1,
        "networks_at_once": lambda *_: room,
        "job_of": lambda *told: told[-1],
        "fit_together": lambda fits, *_: taken.append(len(fits)),
        "learn_split": lambda *told: scored.append(told[-1]),
    }.items():
        monkeypatch.setattr(f"soundfold.jobs.lessons.{name}", stand_in)
    learn_lessons(None, lessons(folds, tmp_path), Recipe(), CPU, asked, Silent())  # type: ignore[arg-type]
    assert taken == passes
    assert scored == [f"fold {number}" for number in range(folds)]
