"""Optimisers and schedules take torch's own steps; groups of parameters have the rates that were asked for."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from soundfold.errors import RecipeError
from soundfold.models import build_classifier, build_efficientat
from soundfold.recipe import Recipe, load_recipe
from soundfold.training.optimisers import build_optimizer, parameter_groups
from soundfold.training.schedules import build_schedule
from soundfold.training.stages import freeze_stages, stages_of

SCHEDULES = ("one_cycle", "cosine", "linear", "constant")


def recipe_with(*changes: str) -> Recipe:
    return load_recipe("tutorial", [f"training.{change}" for change in changes])


def toy() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 2))


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 20) -> list[torch.Tensor]:
    batch = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        network(batch).square().sum().backward()
        optimizer.step()
    return list(network.parameters())


@pytest.mark.parametrize(
    ("changes", "torchs"),
    [
        (("optimizer=adam",), lambda groups: torch.optim.Adam(groups, lr=0.01, foreach=False)),
        (
            ("optimizer=adamw", "weight_decay=0.1"),
            lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1, foreach=False),
        ),
        (("optimizer=sgd", "momentum=0"), lambda groups: torch.optim.SGD(groups, lr=0.01, foreach=False)),
        (
            ("optimizer=sgd", "momentum=0.8", "weight_decay=0.1"),
            lambda groups: torch.optim.SGD(
                groups, lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.1, foreach=False
            ),
        ),
    ],
)
def test_steps_are_those_of_torch(
    changes: tuple[str, ...], torchs: Callable[[list[dict[str, object]]], torch.optim.Optimizer]
) -> None:
    ours, theirs = toy(), toy()
    apart = [
        {"params": [parameter for parameter in theirs.parameters() if parameter.ndim > 1]},
        {"params": [parameter for parameter in theirs.parameters() if parameter.ndim == 1], "weight_decay": 0.0},
    ]
    told = descend(ours, build_optimizer(ours, recipe_with("lr=0.01", *changes)))
    for mine, other in zip(told, descend(theirs, torchs(apart)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
    assert not torch.equal(told[0], next(toy().parameters()))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_only_weights_decay(optimizer: str) -> None:
    network = build_classifier(Recipe(), 3, 0).network
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    built = build_optimizer(network, recipe_with(f"optimizer={optimizer}", "weight_decay=0.5", "lr=0.1", "momentum=0"))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.step()
    for name, parameter in network.named_parameters():
        kept = 0.95 if name.endswith("weight") and parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), kept * before[name])


def test_nothing_asked_is_one_group_in_the_networks_order() -> None:
    network = build_classifier(Recipe(), 3, 0).network
    [group] = build_optimizer(network, Recipe()).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in network.parameters()]
    assert group["weight_decay"] == 0


def test_rates_fall_from_the_head_to_the_input() -> None:
    network = build_classifier(Recipe(), 3, 0).network
    settings = recipe_with("layer_decay=0.5", "head_lr=10", "optimizer=adamw", "weight_decay=0.1").training
    groups = parameter_groups(network, settings)
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    told = {name: rate[id(parameter)] / 0.001 for name, parameter in network.named_parameters()}
    expected = {
        "head": 10.0,
        "blocks.9": 0.5,
        "blocks.11": 0.5,
        "blocks.6": 0.25,
        "blocks.3": 0.125,
        "blocks.2": 0.0625,
    }
    for prefix, factor in expected.items():
        of_stage = [value for name, value in told.items() if name.startswith(f"{prefix}.")]
        assert of_stage == [pytest.approx(factor)] * 2
    assert groups[0]["lr"] == pytest.approx(0.01)  # what the log tells is the head's


def test_stages_are_the_networks_own_where_it_tells_them() -> None:
    network = build_efficientat("mn04", 3)
    assert stages_of(network) == network.stages()
    tutorial = build_classifier(Recipe(), 3, 0).network
    stages = stages_of(tutorial)
    assert [sum(isinstance(part, nn.BatchNorm2d) for part in stage) for stage in stages[:-1]] == [1, 1, 1, 1]
    assert sum(len(list(stage.parameters())) for stage in stages) == len(list(tutorial.parameters()))


def test_a_module_named_stages_is_no_method() -> None:
    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 1, 4))
            self.norm = nn.BatchNorm1d(4)
            self.stem = nn.Linear(4, 4)
            self.stages = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
            self.head = nn.Linear(4, 2)

    network = Backbone()
    stages = stages_of(network)
    assert len(stages) == 4
    assert {id(network.norm), id(network.stem)} == {id(part) for part in stages[0]}
    freeze_stages(network, 1)  # what stands in no stage belongs to the first
    assert not network.token.requires_grad
    assert network.stages[0].weight.requires_grad


def test_the_head_cannot_be_frozen() -> None:
    network = build_classifier(Recipe(), 3, 0).network
    with pytest.raises(RecipeError, match=r"training\.freeze must be at most 4, as the network has 5 stages.*got 5"):
        freeze_stages(network, 5)
    assert all(parameter.requires_grad for parameter in network.parameters())


def rates(scheduler: lr_scheduler.LRScheduler, steps: int) -> list[list[float]]:
    told = []
    for _ in range(steps):
        told.append([group["lr"] for group in scheduler.optimizer.param_groups])
        scheduler.optimizer.step()
        scheduler.step()
    return told


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.25, 1.0])
def test_rates_are_those_of_torchs_schedules(schedule: str, warmup: float) -> None:
    recipe = recipe_with(f"schedule={schedule}", f"warmup={warmup}", "epochs=4", "lr=0.1")
    total, rise = 20, round(warmup * 20)
    optimizer = torch.optim.SGD(toy().parameters(), lr=0.1)
    fall: lr_scheduler.LRScheduler
    if schedule == "cosine":
        fall = lr_scheduler.CosineAnnealingLR(optimizer, max(1, total - rise))
    elif schedule == "linear":
        fall = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, max(1, total - rise))
    else:
        fall = lr_scheduler.ConstantLR(optimizer, 1.0)
    expected = fall
    if rise:
        for group in optimizer.param_groups:
            group["lr"] = 0.1
        up = lr_scheduler.LinearLR(optimizer, 1 / (rise + 1), 1.0, rise)
        expected = lr_scheduler.SequentialLR(optimizer, [up, fall], [rise])  # type: ignore[assignment]
    ours = build_schedule(torch.optim.SGD(toy().parameters(), lr=0.1), recipe, 5)
    assert rates(ours, total) == [[pytest.approx(lr)] for [lr] in rates(expected, total)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_groups_keep_their_factors(schedule: str, optimizer: str) -> None:
    recipe = recipe_with(
        "layer_decay=0.5", "head_lr=4", f"optimizer={optimizer}", "momentum=0.7", f"schedule={schedule}", "epochs=2"
    )
    network = build_classifier(recipe, 3, 0).network
    told = rates(build_schedule(build_optimizer(network, recipe), recipe, 10), 20)
    assert max(step[0] for step in told) == pytest.approx(0.004, rel=1e-3)
    for step in told:
        assert [lr / step[0] for lr in step] == pytest.approx([1, 1 / 8, 1 / 16, 1 / 32, 1 / 64])
    assert min(step[0] for step in told) > 0


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_one_cycle_leaves_momentum_as_it_was_asked_for(momentum: float) -> None:
    recipe = recipe_with("optimizer=sgd", f"momentum={momentum}", "epochs=2")
    scheduler = build_schedule(build_optimizer(toy(), recipe), recipe, 10)
    rates(scheduler, 7)
    assert scheduler.optimizer.param_groups[0]["momentum"] == momentum


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_restored_schedule_goes_on(schedule: str) -> None:
    recipe = recipe_with(f"schedule={schedule}", "epochs=2", *([] if schedule == "one_cycle" else ["warmup=0.3"]))
    whole = build_schedule(build_optimizer(toy(), recipe), recipe, 10)
    expected = rates(whole, 20)
    begun, resumed = (build_schedule(build_optimizer(toy(), recipe), recipe, 10) for _ in range(2))
    rates(begun, 8)
    resumed.optimizer.load_state_dict(begun.optimizer.state_dict())
    resumed.load_state_dict(begun.state_dict())
    assert rates(resumed, 12) == expected[8:]
