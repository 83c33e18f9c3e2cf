"""The row that looks for the settings with which the tutorial's pipeline is fastest, and who asks for them."""

import re

from benchmarks.machine import versions
from benchmarks.processes import Finished, probe
from benchmarks.results import Found, Measure, Result, load_results
from benchmarks.rows.plan import Plan, Turn, Wanted, in_turns
from soundfold.cores import usable_cores

__all__ = ["PEER", "fastest", "peer_rate", "settings_known", "tutorial_settings"]

PEER = "tutorial"
_TRAINING, _EVALUATION = "training", "evaluation"


def tutorial_settings(plan: Plan) -> Found:
    """Try numbers of workers (none to one a core) with one thread and with one a core, in training and evaluation."""
    choices = _choices(plan)
    turns = {_name(*choice): lambda choice=choice: _turn(plan, choice, plan.peer_s / 2) for choice in choices}
    measures = [Wanted(_TRAINING, "clips/s", "more"), Wanted(_EVALUATION, "clips/s", "more")]
    found = in_turns(plan, turns, measures, 1)
    facts: dict[str, float | int | str] = {
        **{f"best for {measure.name}": _best(measure) for measure in found.measures},
        "as written": _name(0, usable_cores()),
    }
    note = (
        "Each setting once; the fastest is measured again in every other row. Clips a second are counted once the "
        "pipeline runs steadily; starting its workers anew in every epoch is not."
    )
    return Found(found.measures, found.memory, facts, [note])


def settings_known(plan: Plan) -> bool:
    """Tell whether the fastest settings are kept, for this number of cores and these versions."""
    return _kept(plan) is not None


def fastest(plan: Plan, measure: str = _TRAINING) -> tuple[int, int]:
    """Return the workers and threads that were fastest.

    Raises:
        RuntimeError: the row that tries them out has not run on this machine with these versions.
    """
    kept = _kept(plan)
    if kept is None:
        raise RuntimeError("the tutorial's best settings are not known here. Run the row tutorial first")
    workers, threads = re.findall(r"\d+", str(kept.found.facts[f"best for {measure}"]))
    return int(workers), int(threads)


def _kept(plan: Plan) -> Result | None:
    for result in load_results(plan.results, ["tutorial"]):
        if result.row == "tutorial" and result.machine["cores"] == usable_cores() and result.versions == versions():
            return result
    return None


def peer_rate(plan: Plan, kind: str = _TRAINING) -> Finished:
    """Run the tutorial's pipeline at its best settings for a while; the answer holds `clips_per_second`."""
    workers, threads = fastest(plan, kind)
    return _run(plan, kind, workers, threads, plan.peer_s)


def _turn(plan: Plan, choice: tuple[int, int], seconds: float) -> Turn:
    name = _name(*choice)
    runs = {kind: _run(plan, kind, *choice, seconds) for kind in (_TRAINING, _EVALUATION)}
    values = {kind: {name: run.answer["clips_per_second"]} for kind, run in runs.items()}
    return Turn(values, runs[_TRAINING])


def _run(plan: Plan, kind: str, workers: int, threads: int, seconds: float) -> Finished:
    name = "peer_train" if kind == _TRAINING else "peer_evaluate"
    return probe(
        name, data=plan.space.data.path, workers=workers, threads=threads, seconds=seconds, device=plan.space.device
    )


def _choices(plan: Plan) -> list[tuple[int, int]]:
    """Return pairs of workers and threads; beyond four, numbers of workers are doubled, not counted.

    With the network on a GPU the main process has nothing to compute, so more threads for it are not tried.
    """
    most = usable_cores()
    workers = {0, 1, most} if plan.quick else {count for count in (0, 1, 2, 3, 4, 8, 16, 32, 64, most) if count <= most}
    threads = {1} if plan.space.device.startswith("cuda") else {1, most}
    return [(count, at_once) for count in sorted(workers) for at_once in sorted(threads)]


def _name(workers: int, threads: int) -> str:
    return f"workers {workers}, threads {threads}"


def _best(measure: Measure) -> str:
    return max(measure.sides, key=lambda side: measure.spread(side).median)
