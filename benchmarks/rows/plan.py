"""What a row is told, and how it turns measured processes into what it found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Finished
from benchmarks.results import Found, Measure, Memory
from benchmarks.timing import Better, take_turns
from benchmarks.workspace import Workspace

__all__ = ["Plan", "Turn", "Wanted", "in_turns"]


@dataclass(frozen=True)
class Plan:
    """All that a row is told.

    Attributes:
        space: the data, and where to work.
        results: folder of the kept results.
        recipe: what is trained.
        rounds: turns of each side.
        peer_s: seconds for which the tutorial's pipeline is timed in a turn.
        epochs: of each training in the rows `train` and `cv`; None for what suits the device.
        growth_to: the largest table of the growing ones.
        growth_length_s: seconds of a clip in them.
        quick: small sizes, to see that it runs.
        tell: hears a line after each turn.
    """

    space: Workspace
    results: Path
    recipe: str = "tutorial"
    rounds: int = 3
    peer_s: float = 12.0
    epochs: int | None = None
    growth_to: int = 8_000
    growth_length_s: float = 1.0
    quick: bool = False
    tell: Callable[[str], None] = print


@dataclass(frozen=True)
class Turn:
    """What one turn gave.

    Attributes:
        values: by measure and side, what was measured.
        finished: the process it was measured in, for its memory.
    """

    values: Mapping[str, Mapping[str, float]]
    finished: Finished


@dataclass(frozen=True)
class Wanted:
    """A measure that turns contribute to."""

    name: str
    unit: str
    better: Better


def in_turns(plan: Plan, turns: Mapping[str, Callable[[], Turn]], wanted: Sequence[Wanted], rounds: int) -> Found:
    """Let all sides take turns, and gather values and memory.

    Args:
        plan: hears of each turn.
        turns: by side, what a turn does.
        wanted: the measures, in the order of the page.
        rounds: turns a side.
    """

    def tell(side: str, number: int, turn: Turn) -> None:
        told = ", ".join(
            f"{measure} {value:,.4g} ({name})" if name != side else f"{measure} {value:,.4g}"
            for measure, sides in turn.values.items()
            for name, value in sides.items()
        )
        plan.tell(f"    {number}/{rounds} {side}: {told}")

    taken = take_turns(turns, rounds, tell)
    measures = []
    for one in wanted:
        sides: dict[str, list[float]] = {}
        for turn in (turn for of_side in taken.values() for turn in of_side):
            for side, value in turn.values.get(one.name, {}).items():
                sides.setdefault(side, []).append(value)
        measures.append(Measure(one.name, one.unit, one.better, sides))
    memory: dict[str, Memory] = {}
    for side, of_side in taken.items():
        for turn in of_side:
            seen = Memory(turn.finished.largest_mb, turn.finished.together_mb)
            memory[side] = memory[side].with_other(seen) if side in memory else seen
    return Found(measures, memory)
