"""What a row found, kept as one JSON file a row, so that a row can be run alone and the page be written from all."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.timing import Better, Spread, gains, spread

__all__ = ["OURS", "Found", "Measure", "Memory", "Result", "load_results", "save_result"]

OURS = "soundfold"


@dataclass(frozen=True)
class Measure:
    """One quantity, measured for several sides in turn.

    Attributes:
        name: what was measured.
        unit: of all values.
        better: "more" or "less".
        sides: by side, one value a round; entry i of all sides belongs to round i.
    """

    name: str
    unit: str
    better: Better
    sides: dict[str, list[float]]

    def spread(self, side: str) -> Spread:
        """Return median and spread of a side."""
        return spread(self.sides[side])

    def gain(self, side: str) -> Spread | None:
        """Return how many times better ours is than a side, round by round; None where both were not measured."""
        ours, theirs = self.sides.get(OURS), self.sides[side]
        if side == OURS or ours is None or len(ours) != len(theirs):
            return None
        return spread(gains(ours, theirs, self.better))


@dataclass(frozen=True)
class Memory:
    """Peak memory in MB: of the largest process, and of all processes together (None where it was not seen)."""

    largest_mb: float
    together_mb: float | None

    def with_other(self, other: "Memory") -> "Memory":
        """Return the larger of both."""
        sums = [mb for mb in (self.together_mb, other.together_mb) if mb is not None]
        return Memory(max(self.largest_mb, other.largest_mb), max(sums) if sums else None)


@dataclass(frozen=True)
class Found:
    """What a row measured.

    Attributes:
        measures: the quantities.
        memory: by side.
        facts: what was measured or chosen along the way, by name.
        notes: sentences for the reader.
        growth: for the row of growing costs, what was fitted; see `rows/growth.py`.
    """

    measures: list[Measure]
    memory: dict[str, Memory] = field(default_factory=dict)
    facts: dict[str, float | int | str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    growth: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A row with all that says when, where and on what it was measured."""

    row: str
    title: str
    recipe: str
    data: str
    device: str
    command: str
    made: str
    seconds: float
    others: float | None  # part of the processor, 0 to 1, that other work took meanwhile
    machine: dict[str, Any]
    versions: dict[str, str]
    found: Found


def save_result(result: Result, folder: Path) -> Path:
    """Write a row's file; what the row found before is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_file_name(result.row, result.recipe)}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_rounded(asdict(result)), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def load_results(folder: Path, order: Iterable[str]) -> list[Result]:
    """Read every row's file of a folder, in the order of the rows, the tutorial's recipe before others."""
    places = {name: place for place, name in enumerate(order)}
    results = [_result(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    return sorted(results, key=lambda one: (places.get(one.row, len(places)), one.recipe != "tutorial", one.recipe))


def _file_name(row: str, recipe: str) -> str:
    return row if recipe == "tutorial" else f"{row}-{Path(recipe).stem}"


def _result(kept: Mapping[str, Any]) -> Result:
    found = dict(kept["found"])
    found["measures"] = [Measure(**measure) for measure in found["measures"]]
    found["memory"] = {side: Memory(**memory) for side, memory in found["memory"].items()}
    return Result(**{**kept, "found": Found(**found)})


def _rounded(value: Any) -> Any:
    """Return plain values with floats of six digits, which is more than any clock here is worth."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
