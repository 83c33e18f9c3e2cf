"""Adam for networks that are the rows of a table: one update for all, each with its own rate, moments and steps.

The numbers that change from step to step are worked out on the host for a whole epoch, by the very schedule that would
set them one step at a time, and are read on the device. The moments are rows of tables as the weights are; each
network's own optimiser holds them as views, and so saves and restores them as it always does.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soundfold.training.network_table import NetworkTable

__all__ = ["RowAdam", "has_rows"]


def has_rows(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether `RowAdam` does what an optimiser would do."""
    if len(optimizer.param_groups) != 1 or not isinstance(optimizer, torch.optim.Adam):
        return False
    group = optimizer.param_groups[0]
    return not any(group[name] for name in ("weight_decay", "amsgrad", "maximize"))


class RowAdam:
    """Adam over the rows of a table.

    Args:
        table: the networks' weights.
        networks: the networks, in the order of their rows.
        schedules: each network's schedule with the `torch.optim.Adam` that it drives.

    References:
        Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", ICLR.
    """

    def __init__(
        self,
        table: NetworkTable,
        networks: Sequence[nn.Module],
        schedules: Sequence[torch.optim.lr_scheduler.LRScheduler],
    ) -> None:
        self._weights = table.weights
        self._mean, self._square = torch.zeros_like(table.weights), torch.zeros_like(table.weights)
        self._schedules = list(schedules)
        self._states = []
        self._steps = []
        group = schedules[0].optimizer.param_groups[0]
        self._beta2, self._eps = group["betas"][1], group["eps"]
        for row, (network, schedule) in enumerate(zip(networks, schedules, strict=True)):
            state = schedule.optimizer.state
            means, squares = (table.views(moment, slice(row, row + 1)) for moment in (self._mean, self._square))
            steps = 0
            for name in means:
                parameter = network.get_parameter(name)
                mean, square = means[name][0], squares[name][0]
                if state[parameter]:
                    mean.copy_(state[parameter]["exp_avg"])
                    square.copy_(state[parameter]["exp_avg_sq"])
                    steps = int(state[parameter]["step"])
                state[parameter] = {"step": torch.tensor(float(steps)), "exp_avg": mean, "exp_avg_sq": square}
            self._states.append([state[network.get_parameter(name)] for name in means])
            self._steps.append(steps)

    @property
    def changes(self) -> list[Tensor]:
        """The tensors that `update` writes to."""
        return [self._weights, self._mean, self._square]

    def rates(self, row: int, steps: int) -> Tensor:
        """Take a network's schedule and count of steps further; return what `update` needs to know of each step.

        Returns:
            (steps, 3) float32: 1 − β₁, rate / (1 − β₁ᵗ), and 1 / √(1 − β₂ᵗ) at step t.
        """
        schedule = self._schedules[row]
        group = schedule.optimizer.param_groups[0]
        rates = []
        with warnings.catch_warnings():
            # torch would have the optimiser's own step come first, which is never called here
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            for step in range(self._steps[row] + 1, self._steps[row] + steps + 1):
                beta1, beta2 = group["betas"]
                rates.append((1 - beta1, group["lr"] / (1 - beta1**step), (1 - beta2**step) ** -0.5))
                schedule.step()
        self._steps[row] += steps
        for state in self._states[row]:
            state["step"].fill_(self._steps[row])
        return torch.tensor(rates)

    def update(self, rows: slice, gradient: Tensor, rates: Tensor) -> None:
        """Take one step.

        Args:
            rows: which networks.
            gradient: (networks, values) of these.
            rates: (networks, 3) of these, as `rates` gave them.
        """
        weights, mean, square = self._weights[rows], self._mean[rows], self._square[rows]
        mean.lerp_(gradient, rates[:, 0:1])
        square.mul_(self._beta2).addcmul_(gradient, gradient, value=1 - self._beta2)
        deviation = square.sqrt().mul_(rates[:, 2:3]).add_(self._eps)
        weights.sub_((mean * rates[:, 1:2]).div_(deviation))
