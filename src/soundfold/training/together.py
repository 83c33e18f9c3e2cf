"""Several trainings in one pass over their epochs, or one whose steps need nothing of the host.

Each keeps its own clips, order, random numbers, schedule and number of steps; only the arithmetic is shared. While all
have a full batch left, one step serves them all; those with more steps go on without the others, and the last, smaller
batch of each is taken alone.

The features of the next steps lie ready on the device, augmented in one go, and a counter there says which step is due.
So a step is the same operations on the same tensors every time, and a GPU can replay it.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from soundfold.models import build_classifier
from soundfold.recipe import Recipe
from soundfold.training.captured import Captured
from soundfold.training.column_convolution import use_columns
from soundfold.training.epoch import Epoch, Heard, batch_bounds, hear, plan_epoch
from soundfold.training.fitting import Fitting
from soundfold.training.network_table import NetworkTable
from soundfold.training.row_adam import RowAdam, has_rows

__all__ = ["LaneSpan", "Stack", "can_stand_in_a_stack", "can_step_together", "is_plain", "lane_spans"]

_READY_STEPS, _READY_BYTES = 64, 2**30
"""Steps whose features lie ready on the device, at most; dozens, so that making them is a few large operations."""

_PRECISIONS = ("32-true", "bf16-mixed")
_PLAIN = (
    nn.Conv2d, nn.Linear, nn.BatchNorm2d,
    nn.ReLU, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.GELU, nn.Sigmoid,
    nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d, nn.Flatten, nn.Identity,
)  # fmt: skip
"""Layers that draw no random numbers, never ask for a value, and work alike on several networks at once."""


def is_plain(network: nn.Module) -> bool:
    """Return whether a network consists of layers that can stand in a stack."""
    return all(isinstance(layer, _PLAIN) for layer in network.modules() if not list(layer.children()))


def can_stand_in_a_stack(fittings: Sequence[Fitting], precision: str) -> bool:
    """Return whether a stack would learn what these trainings would learn step by step, each for itself."""
    return precision in _PRECISIONS and all(
        can_step_together(fitting.job.recipe)
        and has_rows(fitting.scheduler.optimizer)
        and is_plain(fitting.classifier.network)
        for fitting in fittings
    )


def can_step_together(recipe: Recipe) -> bool:
    """Return whether a stack's step is all that a recipe asks of a step.

    It is Adam's on the gradients of one batch, at one rate for all of a network. What an epoch hears, what a clip
    counts, and how the rate changes from step to step are no part of it; but waveforms of dozens of steps, which would
    have to lie ready, take more memory than a device should give.
    """
    settings = recipe.training
    return (
        settings.optimizer == "adam"
        and settings.accumulate == settings.layer_decay == settings.head_lr == 1
        and recipe.augment.domain == "spectrogram"
        and not (settings.average or settings.anchor or settings.clip_norm or settings.freeze)
    )


class LaneSpan(NamedTuple):
    """Steps that some of the networks take together, on batches of one size."""

    rows: slice  # of the table: which networks
    size: int  # clips a network
    first: int  # the steps of an epoch, from this one …
    end: int  # … to before this one


def lane_spans(bounds: Sequence[Sequence[tuple[int, int]]], batch_size: int) -> list[LaneSpan]:
    """Divide an epoch into lanes: fewer and fewer networks on full batches, then what is left of each alone.

    Args:
        bounds: the first and the end position of each batch, by network; the longest epoch first, so that who still
            has a full batch at any step is a run of rows.
        batch_size: clips of a full batch.

    >>> for span in lane_spans([[(0, 2), (2, 4), (4, 5)], [(0, 2)]], 2):
    ...     print(span.rows.start, span.rows.stop, span.size, span.first, span.end)
    0 2 2 0 1
    0 1 2 1 2
    0 1 1 2 3
    """
    full = [full_batches(of_one, batch_size) for of_one in bounds]
    spans = [
        LaneSpan(slice(0, count), batch_size, next_full, full[count - 1])
        for count, next_full in zip(range(len(full), 0, -1), [0, *reversed(full)], strict=False)
    ]
    for row, of_one in enumerate(bounds):
        spans += [
            LaneSpan(slice(row, row + 1), end - begin, step, step + 1)
            for step, (begin, end) in enumerate(of_one)
            if step >= full[row]
        ]
    return [span for span in spans if span.end > span.first]


def full_batches(bounds: Sequence[tuple[int, int]], batch_size: int) -> int:
    """Return how many batches are full; these come first."""
    return sum(end - begin == batch_size for begin, end in bounds)


def ready_steps(span: LaneSpan, values: int) -> int:
    """Return how many of a lane's steps lie ready at a time, where each takes so many values."""
    return min(_READY_STEPS, max(1, _READY_BYTES // (4 * values)), span.end - span.first)


class _Lane:
    """A lane's next steps, ready on the device, and which of them is due.

    Args:
        span: the lane.
        shape: (channels, bands, frames) of what the networks take.
        store: where features lie ready; lanes may share it, since they follow each other.
        fitting: any of the trainings.
    """

    def __init__(self, span: LaneSpan, shape: Sequence[int], store: Tensor, fitting: Fitting) -> None:
        self.span = span
        networks = span.rows.stop - span.rows.start
        self._shape = (networks, span.size, *shape)
        self._last = fitting.layout == torch.channels_last
        values = math.prod(self._shape)
        self.ready = ready_steps(span, values)
        """Steps that lie ready at a time."""
        self._features = store[: self.ready * values].view(self.ready, values)
        self._told: list[Tensor] = []  # what `judge` needs, each (steps ready, networks, size, …)
        self._rates = store.new_empty((self.ready, networks, 3))
        self.position = torch.zeros(1, dtype=torch.int64, device=store.device)
        self.step: Captured | None = None

    def fill(self, network: int, heard: Heard, rates: Tensor) -> None:
        """Lay one network's next steps ready."""
        steps, features, told = len(rates), heard[0], heard[1:]
        self._told = self._told or [
            values.new_empty((self.ready, self._shape[0], self.span.size, *values.shape[1:])) for values in told
        ]
        places = [self._clips(self._features), *self._told]
        for place, values in zip(places, (features, *told), strict=True):
            place[:steps, network].copy_(values.view(steps, self.span.size, *values.shape[1:]))
        self._rates[:steps, network].copy_(rates)

    def due(self) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return the features, what `judge` needs, and the rates of the step that is due, each (networks, …)."""
        features, rates, *told = (
            ready.index_select(0, self.position)[0] for ready in (self._features, self._rates, *self._told)
        )
        return self._clips(features), told, rates

    def _clips(self, values: Tensor) -> Tensor:
        """Return (…, values) as (…, networks, size, channels, n_mels, frames), in the trainings' layout."""
        if not self._last:
            return values.view(*values.shape[:-1], *self._shape)
        networks, size, channels, bands, frames = self._shape
        return values.view(*values.shape[:-1], networks, size, bands, frames, channels).movedim(-1, -3)


class Stack:
    """Trainings of one architecture, begun or restored, whose epochs are run together.

    Args:
        fittings: the trainings; from now on their weights, batch statistics and moments are views of the stack's.
        device: where they train.
        mixed: compute in bfloat16, and keep weights and their updates in float32.
    """

    def __init__(self, fittings: Sequence[Fitting], device: torch.device, *, mixed: bool) -> None:
        batch_size = fittings[0].job.recipe.training.batch_size
        bounds = [batch_bounds(len(fitting.job.train), batch_size) for fitting in fittings]
        self._order = sorted(range(len(fittings)), key=lambda number: -full_batches(bounds[number], batch_size))
        self._fittings = [fittings[number] for number in self._order]
        self._networks = [fitting.classifier.network for fitting in self._fittings]
        self._device, self._mixed = device, mixed
        self._judge = fittings[0].judge
        self._table = NetworkTable(self._networks)
        self._adam = RowAdam(self._table, self._networks, [fitting.scheduler for fitting in self._fittings])
        self._sums = torch.zeros(len(fittings), 2, device=device)  # loss and right answers of each
        self._joint = _joint_network(fittings[0]) if len(fittings) > 1 else None
        spans = lane_spans([bounds[number] for number in self._order], batch_size)
        shape = fittings[0].prepare(torch.zeros(1, *fittings[0].cache.shape, device=device)).shape[1:]
        values = [math.prod((span.rows.stop - span.rows.start, span.size, *shape)) for span in spans]
        most = max(ready_steps(span, of_step) * of_step for span, of_step in zip(spans, values, strict=True))
        store = torch.empty(most, device=device)
        self._lanes = [_Lane(span, shape, store, fittings[0]) for span in spans]
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def train_epoch(self, epoch: int) -> list[tuple[float, float]]:
        """Learn from every training clip once.

        Returns:
            mean loss and share of right answers of each training, as they were on the way.
        """
        plans = [plan_epoch(fitting, epoch, self._device) for fitting in self._fittings]
        rates = [self._adam.rates(row, len(plan.bounds)).to(self._device) for row, plan in enumerate(plans)]
        for network in self._networks:
            network.train()
        self._sums.zero_()
        for lane in self._lanes:
            self._run(lane, plans[lane.span.rows], rates[lane.span.rows])
        told = [(0.0, 0.0)] * len(plans)
        for number, plan, (loss, right) in zip(self._order, plans, self._sums.tolist(), strict=True):
            told[number] = loss / len(plan.rows), right / len(plan.rows)
        return told

    def _run(self, lane: _Lane, plans: Sequence[Epoch], rates: Sequence[Tensor]) -> None:
        """Take an epoch's steps in one lane, a part of them after another."""
        span = lane.span
        parts = [(first, min(first + lane.ready, span.end)) for first in range(span.first, span.end, lane.ready)]
        streams = [
            hear(fitting, plan, [slice(plan.bounds[first][0], plan.bounds[end - 1][1]) for first, end in parts])
            for fitting, plan in zip(self._fittings[span.rows], plans, strict=True)
        ]
        for (first, end), heard in zip(parts, zip(*streams, strict=True), strict=True):
            for network, of_one in enumerate(heard):
                lane.fill(network, of_one, rates[network][first:end])
            lane.position.zero_()
            if lane.step is None:
                changes = [*self._adam.changes, *self._table.kept.values(), self._sums, lane.position]
                lane.step = Captured(partial(self._step, lane), changes, self._pool)
            for _ in range(first, end):
                lane.step.run()

    def _step(self, lane: _Lane) -> None:
        """Take the step that is due, and make the next one due; all on the device."""
        rows = lane.span.rows
        features, told, rates = lane.due()
        losses, right, gradient = self._learn(rows, features, told)
        self._adam.update(rows, gradient, rates)
        self._sums[rows].add_(torch.stack([losses.detach(), right.to(losses.dtype)], dim=1))
        lane.position.add_(1)

    def _learn(self, rows: slice, features: Tensor, told: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the summed loss, the right answers and the gradient of the mean loss of each network."""
        size = features.shape[1]
        if self._joint is None or rows.stop - rows.start == 1:
            network = self._networks[rows.start]
            own = {name: network.get_parameter(name) for name in self._table.names}
            loss, right = self._judge(self._answer(network, features[0]), *(values[0] for values in told))
            gradients = torch.autograd.grad(loss / size, list(own.values()))
            return loss[None], right[None], self._table.row(dict(zip(own, gradients, strict=True)))
        weights = {
            name: view.detach().requires_grad_() for name, view in self._table.views(self._table.weights, rows).items()
        }
        kept = {name: tensor[rows] for name, tensor in self._table.kept.items()}
        losses, rights = vmap(self._judge_one)(weights, kept, features, *told)
        gradients = torch.autograd.grad(losses.sum() / size, list(weights.values()))
        return losses, rights, self._table.rows(dict(zip(weights, gradients, strict=True)))

    def _judge_one(
        self, weights: dict[str, Tensor], kept: dict[str, Tensor], features: Tensor, *told: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Judge one network's answers; what `vmap` does for all at once, batch statistics in `kept` included."""
        joint = self._joint
        assert joint is not None
        logits = self._answer(lambda batch: functional_call(joint, (weights, kept), (batch,)), features)
        return self._judge(logits, *told)

    def _answer(self, network: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
        """Return logits in float32."""
        # a cast that is kept for later would hold a recording to weights that have changed since
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed, cache_enabled=False):
            return network(features).float()


def _joint_network(fitting: Fitting) -> nn.Module:
    """Return the network that is called with the weights of all; it has none of its own."""
    joint = build_classifier(fitting.job.recipe, fitting.job.n_labels, 0).network.to("meta")
    use_columns(joint)
    return joint.train()
