"""What a recipe may ask of a training, in the loop itself: each option does what it says, also after a kill."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from conftest import SMALL
from soundfold.data import open_store, read_clips
from soundfold.models import Classifier, build_classifier
from soundfold.recipe import Recipe, change_recipe, load_recipe
from soundfold.training import (
    FitJob,
    Fitted,
    Hardware,
    build_feature_cache,
    clip_probabilities,
    fit,
    launch,
    load_checkpoint,
    open_feature_cache,
    save_checkpoint,
)
from soundfold.training.epoch import _order, batch_bounds, hear, plan_epoch, step_bounds
from soundfold.training.fitting import Fitting, judge
from soundfold.training.launch import fit_together, networks_at_once
from soundfold.training.loop import CHECKPOINT_NAME
from soundfold.training.together import can_step_together
from trainings import broken_off, run, same

CPU = Hardware("cpu")
ALL = {
    "optimizer": "adamw", "weight_decay": 0.05, "schedule": "cosine", "warmup": 0.2, "layer_decay": 0.7, "freeze": 1,
    "head_lr": 3.0, "anchor": 0.1, "average": 0.8, "clip_norm": 0.5, "accumulate": 2, "label_smoothing": 0.1,
    "weighting": "classes", "batch_size": 8, "lr": 0.003,
}  # fmt: skip
DESCENT = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "lr": 0.05}
"""Steps of the gradient times a rate: what is done to the gradient shows in the weights."""


@pytest.fixture(scope="module")
def job(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FitJob:
    """Twenty-one clips of one class and eight of the other."""
    recipe = load_recipe("tutorial", SMALL)
    clips = read_clips(small_data)
    store = open_store(clips, recipe.sound, cache=tmp_path_factory.mktemp("cache"))
    ids = clips.class_ids()
    drawn = np.random.default_rng(0).permutation(len(clips))
    many, few = drawn[ids[drawn] == 0][:13], drawn[ids[drawn] == 1][:8]
    train = np.random.default_rng(1).permutation(np.concatenate([many, few, many[:8]]))
    held_out = np.setdiff1d(np.arange(len(clips)), train)
    return FitJob(
        recipe=recipe,
        n_labels=2,
        features=build_feature_cache(store, recipe),
        train=train,
        train_labels=ids[train],
        held_out=held_out,
        held_out_labels=ids[held_out],
        folder=tmp_path_factory.mktemp("unused"),
        train_weights=np.where(ids[train] == 0, 29 / 42, 29 / 16),
    )


def start_of(job: FitJob) -> dict[str, torch.Tensor]:
    return build_classifier(job.recipe, job.n_labels, job.recipe.training.seed).state_dict()


def followed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Return a list that gets the network's state before the first and after each step of what is trained next."""
    states: list[dict[str, torch.Tensor]] = []
    step = Fitting.step

    def watched(fitting: Fitting) -> None:
        network = fitting.classifier.network
        if not states:
            states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        step(fitting)
        states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})

    monkeypatch.setattr(Fitting, "step", watched)
    return states


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> float:
    """Return how far apart the weights of two states are."""
    gaps = [(after[name] - before[name]).square().sum() for name in before if name.endswith(("weight", "bias"))]
    return float(torch.stack(gaps).sum().sqrt())


def without_norm(*arguments: object) -> Classifier:
    """Build a classifier whose network looks at each clip alone."""
    classifier = build_classifier(*arguments)  # type: ignore[arg-type]
    blocks = classifier.network.blocks
    for place, layer in enumerate(blocks):
        if isinstance(layer, nn.BatchNorm2d):
            blocks[place] = nn.Identity()
    return classifier


def close(first: Fitted, second: Fitted, tolerance: float = 1e-5) -> None:
    for name, tensor in first.state.items():
        torch.testing.assert_close(second.state[name], tensor, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "sgd", "weight_decay": 0.01, "average": 0.9, "sampling": "balanced"}, ALL]
)
def test_a_broken_run_ends_with_the_very_weights(job: FitJob, tmp_path: Path, changes: dict[str, object]) -> None:
    whole = run(job, tmp_path / "whole", **changes)
    resumed = fit(broken_off(job, tmp_path / "broken", after=1, epochs=3, **changes), CPU, lambda _: None)
    assert same(whole, resumed)
    for before, after in zip(whole.history, resumed.history, strict=True):
        assert dataclasses.replace(before, train_s=0) == dataclasses.replace(after, train_s=0)


@pytest.mark.long
def test_two_processes_do_all_that_one_does(job: FitJob, tmp_path: Path) -> None:
    recipe, whole = change_recipe(job.recipe, ["mix=mixup"]), slice(24)  # batches that two processes mix as one does
    assert job.train_weights is not None
    mixed = dataclasses.replace(
        job, recipe=recipe, train=job.train[whole], train_labels=job.train_labels[whole],
        train_weights=job.train_weights[whole],
    )  # fmt: skip
    alone = run(mixed, tmp_path / "one", **ALL)
    together = run(mixed, tmp_path / "two", Hardware("cpu", devices=2), **ALL)
    for one, two in zip(alone.history, together.history, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, rel=1e-3)
        assert two.val_loss == pytest.approx(one.val_loss, rel=1e-3)
    close(alone, together, 1e-3)
    assert moved(start_of(job), alone.state) > 0.1


@pytest.mark.parametrize("option", [name for name in ALL if name not in ("lr", "batch_size", "optimizer")])
def test_each_option_makes_a_difference(job: FitJob, tmp_path: Path, option: str) -> None:
    """Whatever else is tested: an option that the loop never reads changes nothing."""
    plain = {"optimizer": "adamw", "schedule": ALL["schedule"], "epochs": 1, "lr": 0.003, "batch_size": 8}
    asked = run(job, tmp_path / "asked", **{**plain, option: ALL[option]})
    left_out = run(job, tmp_path / "plain", **{**plain, **({"schedule": "linear"} if option == "schedule" else {})})
    assert not same(asked, left_out)


def test_the_average_is_what_is_looked_at_and_left(
    job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = followed(monkeypatch)
    fitted = run(job, tmp_path / "run", average=0.7, lr=0.01)
    mean = {name: tensor.double() for name, tensor in states[0].items()}
    # the statistics' first change comes before the first step is taken
    for name in mean:
        if "running" in name:
            mean[name] = start_of(job)[f"network.{name}"].double()
    for step, state in enumerate(states[1:], start=1):
        kept = min(0.7, (1 + step) / (10 + step))
        for name, tensor in state.items():
            mean[name] = kept * mean[name] + (1 - kept) * tensor.double()
    for name, tensor in mean.items():
        if "num_batches" not in name:
            torch.testing.assert_close(fitted.state[f"network.{name}"].double(), tensor, rtol=1e-5, atol=1e-6)
    assert moved(states[-1], {name: fitted.state[f"network.{name}"] for name in states[-1]}) > 0.01
    last = fitted.history[-1]
    classifier = build_classifier(job.recipe, 2, 0).eval()
    classifier.load_state_dict(fitted.state)
    cache = open_feature_cache(job.features)
    told = clip_probabilities(classifier.classify, cache, job.held_out, torch.device("cpu"))
    loss = -np.log(told[np.arange(len(told)), job.held_out_labels]).mean()
    assert last.val_loss == pytest.approx(loss, rel=1e-5)
    monkeypatch.undo()
    own = run(job, tmp_path / "own", lr=0.01)
    assert [one.train_loss for one in own.history] == [one.train_loss for one in fitted.history]
    assert own.history[-1].val_loss != pytest.approx(last.val_loss, rel=1e-3)


def test_frozen_stages_stay_as_they_are(job: FitJob, tmp_path: Path) -> None:
    fitted, start = run(job, tmp_path / "run", freeze=2, lr=0.01, weight_decay=0.1, optimizer="adamw"), start_of(job)
    for name, tensor in fitted.state.items():
        frozen = name.startswith(tuple(f"network.blocks.{place}." for place in range(6)))
        if name.startswith("network.") and not name.endswith("6.bias"):
            assert torch.equal(tensor, start[name]) == frozen, name


def test_batches_of_a_step_are_one_batch(job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.training.fitted_start.build_classifier", without_norm)
    weighted = {**DESCENT, "weighting": "classes", "label_smoothing": 0.1}
    whole = run(job, tmp_path / "whole", batch_size=8, **weighted)
    close(whole, run(job, tmp_path / "parts", batch_size=4, accumulate=2, **weighted))
    close(whole, run(job, tmp_path / "small", batch_size=2, accumulate=4, **weighted))


@given(count=st.integers(1, 200), batch_size=st.integers(1, 20), accumulate=st.integers(1, 9))
def test_steps_cover_every_batch_once(count: int, batch_size: int, accumulate: int) -> None:
    bounds = batch_bounds(count, batch_size)
    steps = step_bounds(bounds, accumulate)
    for (start, stop), (begin, end) in zip(bounds, steps, strict=True):
        assert begin <= start < stop <= end
    distinct = sorted(set(steps))
    assert distinct[0][0] == 0
    assert distinct[-1][1] == count
    assert all(first[1] == second[0] for first, second in pairwise(distinct))
    assert all(steps.count(step) == accumulate for step in distinct[:-1])


def test_a_clip_of_double_weight_counts_as_two(job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(5, 3, generator=generator), torch.tensor([0, 1, 2, 1, 0])
    for told in (target, nn.functional.one_hot(target, 3).float()):
        twice, _ = judge(torch.cat([logits, logits[:2]]), torch.cat([told, told[:2]]), smoothing=0.2)
        weighted, right = judge(logits, told, torch.tensor([2.0, 2.0, 1.0, 1.0, 1.0]), smoothing=0.2)
        torch.testing.assert_close(weighted, twice)
        assert right == judge(logits, told)[1]
    monkeypatch.setattr("soundfold.training.fitted_start.build_classifier", without_norm)
    double = dataclasses.replace(job, train_weights=np.full(len(job.train), 2.0))
    slow = run(double, tmp_path / "slow", weighting="classes", **DESCENT)
    fast = run(job, tmp_path / "fast", **{**DESCENT, "lr": 0.1})
    close(fast, slow)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_a_mixture_counts_what_its_parts_count(
    job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mix: str
) -> None:
    kept: list[Fitting] = []
    monkeypatch.setattr(Fitting, "train", lambda fitting: kept.append(fitting) or fitting.network.train())  # type: ignore[func-returns-value]
    mixed = dataclasses.replace(job, recipe=change_recipe(job.recipe, [f"mix={mix}", "mix_alpha=1"]))
    run(mixed, tmp_path / "run", weighting="classes", epochs=1)
    plan = plan_epoch(kept[0], 1, torch.device("cpu"))
    seen = 0
    for _, parts, weight in hear(kept[0], plan, [slice(*bound) for bound in plan.bounds]):
        torch.testing.assert_close(weight, parts @ torch.tensor([29 / 42, 29 / 16]))
        seen += int(((parts > 0.01) & (parts < 0.99)).any(dim=1).sum())
    assert seen > 5


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 9))
@settings(deadline=None)
def test_balanced_classes_come_equally_often(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    order = _order(labels, "balanced", torch.Generator().manual_seed(seed))
    assert len(order) == len(labels)
    heard = np.bincount(labels[order], minlength=len(counts))
    assert heard.max() - heard.min() <= 1
    times = np.bincount(order, minlength=len(labels))
    for label in range(len(counts)):
        assert np.ptp(times[labels == label]) <= 1
    again = _order(labels, "balanced", torch.Generator().manual_seed(seed))
    assert np.array_equal(order, again)


def test_balanced_epochs_hear_other_clips_of_a_common_class() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    heard = [set(_order(labels, "balanced", torch.Generator().manual_seed(seed)).tolist()) for seed in range(4)]
    assert len(set.union(*heard)) > 80
    assert all(set(range(90, 100)) <= one for one in heard)


def test_no_step_is_longer_than_the_norm_allows(job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = followed(monkeypatch)

    def lengths(folder: str, **changes: object) -> list[float]:
        states.clear()
        run(job, tmp_path / folder, **{**DESCENT, **changes})
        return [moved(before, after) / 0.05 for before, after in pairwise(states)]

    assert max(lengths("free")) > 0.3
    clipped = lengths("clipped", clip_norm=0.3)
    assert max(clipped) <= 0.3 * 1.001
    assert max(clipped) > 0.29


def test_the_anchor_pulls_back(job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = moved(start_of(job), run(job, tmp_path / "free", **DESCENT).state)
    near = moved(start_of(job), run(job, tmp_path / "held", anchor=3.0, **DESCENT).state)
    assert near < 0.8 * far
    # where nothing else pulls, each step takes away rate · weight of the distance
    states = followed(monkeypatch)
    monkeypatch.setattr(
        "soundfold.training.fitting.judge", lambda logits, *_, **__: (0 * logits.sum(), logits.detach().sum() * 0)
    )
    broken = broken_off(job, tmp_path / "broken", after=1, epochs=3, anchor=2.0, **DESCENT)
    with torch.no_grad():
        assert moved(states[0], states[-1]) == 0
    left = load_checkpoint(broken.folder / CHECKPOINT_NAME)
    left.model["network.head.bias"] += 1.0
    save_checkpoint(left, broken.folder / CHECKPOINT_NAME)
    steps = len(states) - 1
    pulled = fit(broken, CPU, lambda _: None).state["network.head.bias"] - states[0]["head.bias"]
    taken = len(states) - 1 - steps
    assert taken > 0
    torch.testing.assert_close(pulled, torch.full((2,), 0.9**taken))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw"}, {"optimizer": "sgd"}, {"accumulate": 2}, {"layer_decay": 0.5}, {"head_lr": 2.0},
        {"average": 0.9}, {"anchor": 0.1}, {"clip_norm": 1.0}, {"freeze": 1},
    ],
)  # fmt: skip
def test_a_stack_refuses_what_its_step_does_not_do(
    job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    assert can_step_together(job.recipe)
    assert not can_step_together(with_training(job.recipe, **changes))
    monkeypatch.setattr(Hardware, "torch_device", torch.device("cuda"))
    assert networks_at_once(job, CPU) > 1
    assert networks_at_once(dataclasses.replace(job, recipe=with_training(job.recipe, **changes)), CPU) == 1


def with_training(recipe: Recipe, **changes: object) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


@pytest.mark.parametrize(
    "changes",
    [
        {"label_smoothing": 0.2, "weighting": "classes", "schedule": "cosine", "warmup": 0.3},
        {"sampling": "balanced", "schedule": "linear"},
        {"average": 0.9, "clip_norm": 0.5},
    ],
)
def test_networks_side_by_side_learn_what_each_would_alone(
    job: FitJob, tmp_path: Path, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[FitJob] = []
    for seed in (0, 1):
        (tmp_path / f"together{seed}").mkdir()
        recipe = with_training(job.recipe, **changes, seed=seed)
        jobs.append(dataclasses.replace(job, recipe=recipe, folder=tmp_path / f"together{seed}"))
    stacks = counted(monkeypatch)
    together = fit_together(jobs, CPU, lambda *_: None)
    assert len(stacks) == ("average" not in changes)
    for seed, fitted in enumerate(together):
        close(run(job, tmp_path / f"alone{seed}", **changes, seed=seed), fitted, 1e-3)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that gets every stack that is made."""
    from soundfold.training import loop

    made: list[object] = []
    stack: Callable[..., object] = loop.Stack

    def make(*arguments: object, **named: object) -> object:
        made.append(stack(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(loop, "Stack", make)
    return made


@pytest.mark.parametrize(("length_s", "precision"), [(0.04, "32-true"), (4.0, "bf16-mixed")])
def test_maps_of_one_frame_are_not_trained_on_in_bfloat16(
    length_s: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torch's convolution returns memory that was never written there
    monkeypatch.setattr(launch, "native_precision", lambda _: "bf16-mixed")
    none = np.zeros(0, dtype=np.int64)
    sound = [f"sound.length_s={length_s}", "sound.sample_rate=16000"]
    recipe = load_recipe("tutorial", [*sound, "features.n_fft=512"])
    job = FitJob(recipe, 2, Path("features"), none, none, none, none, Path("run"))
    assert launch._precision(job, torch.device("cpu")) == precision
    asked = recipe.model_copy(update={"training": recipe.training.model_copy(update={"precision": "bf16-mixed"})})
    assert launch._precision(dataclasses.replace(job, recipe=asked), torch.device("cpu")) == "bf16-mixed"
