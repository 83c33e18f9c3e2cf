"""`docs/benchmarks.md`, written from the kept results and from nothing else: the same results give the same page."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import OURS, Measure, Result, load_results
from benchmarks.timing import fit_line, grows

__all__ = ["row_lines", "write_page"]

_ORDER = ("tutorial", "store", "start", "epoch", "train", "cv", "evaluate", "predict", "help", "growth")
_PEER = "tutorial"

_HEAD = """# Benchmarks

Written by `python -m benchmarks` from what it keeps in `benchmarks/kept`; a change by hand is lost with the next run.

    python -m benchmarks --quick              # every row at a small size, to see that it runs; nothing is kept here
    python -m benchmarks                      # every row on a synthetic set of UrbanSound8K's size, then this page
    python -m benchmarks --data UrbanSound8K  # the same on real sounds
    python -m benchmarks --only train cv      # some rows again, then this page
    python -m benchmarks --only growth --growth-to 100000

Run it from the repository's root on a machine that does nothing else. `--help` tells the other options.

## What is compared

- **soundfold**: the command line as a user runs it, with `--json`; parts of it alone are called by their Python
  names.
- **tutorial**: the usual tutorial's pipeline, rebuilt in `benchmarks/peer.py`. In every epoch each clip is decoded,
  resampled, transformed and masked anew, one at a time, in a `DataLoader`; then the same network, batches of 16. It
  gets the number of workers and threads with which it is fastest on the machine; its own row shows all that were
  tried. Where its audio library, torchaudio, stands among the versions, that does its work, by transforms that are made
  once and not for every clip (`pip install torch==2.11.0 torchaudio==2.11.0`). It imports with neither today's torch
  nor a CPU build: elsewhere resampling is soxr's, and the spectrogram is made on torch, operation by operation as the
  library made it, which is faster (1.45 and 1.52 times in two turns, both with torch 2.11 on two cores).
- **floor**: what the machine could do at most. For training: a clip's kept features over the bandwidth of a large
  copy, or the network's operations over the speed of a large matrix product, whichever takes longer; both are
  measured in the same turn, in the faster number format where the recipe leaves the choice. No network of small
  layers comes near, so *its layers alone* stand beside it: its convolutions and its linear layer on ready tensors,
  forward and backward, each in the memory layout and number format that suit it best, with nothing else of a training
  around them.

All sides of a table took turns, so that what disturbs the machine disturbs them alike. Warm-up is not timed. A table
gives the median and the interquartile range over n turns; *soundfold against it* is the same over the ratios within
each turn: so many times as fast as the tutorial (×), and so much of the speed of what is a limit (%). Memory is the
largest resident set of any one process, by the kernel's count, mapped pages included; and the sum over all processes
of a side, looked at once a second, each shared page counted once.

## Where a training step's time goes

The tutorial's network, batches of 16 in bfloat16, on two cores of an Intel Xeon with AVX-512 and AMX, where a step
takes 11.4 ms (2026-11-28, torch 2.13; clocks around the parts of a step, and torch's profiler):

| part of a step | ms |
|---|---|
| kept features read, shifted, masked, standardised, laid out | 1.5 |
| forward | 3.3 |
| backward | 5.9 |
| gradients cleared, the optimiser's step | 0.5 |
| loss, sums, schedule | 0.2 |

Of forward and backward, 3.6 ms are convolutions, somewhat more than *its layers alone* take. The rest is ReLU, batch
normalisation and casts, which wait for memory: a step passes over a dozen maps of 0.2 to 1.4 MB, more than a core's
second cache holds, and each pass takes two to five times as long there as on maps that lie in it. What was tried
against that, forward and backward together (8.2 to 8.7 ms as it is): batch normalisation and ReLU as one operation, in
place, 8.4; the same in parts that fit the cache, 9.2; the few numbers a channel by numpy in place of torch, 8.3;
`torch.compile`, 8.0 after 22 s of compiling; huge pages, 4 % of the step; pixels rearranged so that the first layer has
eight channels and no stride, half a millisecond won in its convolutions and 0.8 lost in rearranging.

The most that was found: ReLU and batch normalisation as one operation in loops that numba compiles, which take a fifth
of torch's time on maps that lie in the cache. In the step, where they do not, they bring 9.0 ms to 7.7 (one thread:
13.5 to 11.1; in float32 10.3 to 8.9; the network of `scratch` in batches of 32 from 39 to 33), and a training of 12
epochs from 1,240 to 1,470 clips/s. They are not in the package: the first training would compile for twelve seconds and
each import for half a second, more than most would win; two folds side by side fell to a third, as numba's threads and
torch's take the cores from each other; and numba follows new versions of Python and numpy months later. What prepares
a batch takes 1.8 ms (one thread: 3.2) in passes of which none is faster in another form that torch has: rolled by
copies in place of a gather, laid out and rounded at once, standardised in place.
"""


def write_page(kept: Path, page: Path) -> None:
    """Write the page from every folder of results."""
    sections = []
    folders = sorted(path for path in kept.glob("*") if path.is_dir()) if kept.exists() else []
    for folder in folders:
        results = load_results(folder, _ORDER)
        if results:
            sections += _section(results)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join([_HEAD, *sections]), encoding="utf-8")


def row_lines(result: Result) -> list[str]:
    """Return what a row found, as lines of Markdown."""
    found = result.found
    lines = []
    if found.measures:
        lines += ["| | | median | interquartile range | n | soundfold against it |", "|---|---|---|---|---|---|"]
        lines += [_side_line(measure, side) for measure in found.measures for side in measure.sides]
        lines.append("")
    lines += _growth_lines(found.growth)
    if found.memory:
        lines += ["| memory | largest process | all its processes |", "|---|---|---|"]
        for side, memory in found.memory.items():
            together = "" if memory.together_mb is None else f"{memory.together_mb:,.0f} MB"
            lines.append(f"| {side} | {memory.largest_mb:,.0f} MB | {together} |")
        lines.append("")
    if found.facts:
        told = "; ".join(f"{name}: {_told(value)}" for name, value in found.facts.items())
        lines += [f"{told[0].upper()}{told[1:]}.", ""]
    for note in found.notes:
        lines += [note, ""]
    return lines


def _section(results: Sequence[Result]) -> list[str]:
    first = results[0]
    lines = [f"## {first.data[0].upper()}{first.data[1:]}, on {first.device}", ""]
    for rows, described in _surroundings(results):
        lines += [f"{', '.join(rows)}: {described}" if len(rows) < len(results) else described, ""]
    for result in results:
        recipe = "" if result.recipe == "tutorial" else f", recipe `{Path(result.recipe).stem}`"
        lines += [f"### {result.title}{recipe}", "", *row_lines(result)]
        others = (
            "" if result.others is None else f"; other work took {_percent(result.others)} of the processor meanwhile"
        )
        lines += [f"`{result.command}` on {result.made}, {result.seconds:,.0f} s{others}.", ""]
    return lines


def _surroundings(results: Iterable[Result]) -> list[tuple[list[str], str]]:
    """Return each machine with its versions, and the rows that were measured with them."""
    met: dict[str, list[str]] = {}
    for result in results:
        machine = result.machine
        parts = [machine["processor"], f"{machine['cores']} cores", f"{machine['memory_gb']} GB", machine["system"]]
        parts += [machine["gpu"]] if machine.get("gpu") else []
        parts += [f"{name}={value}" for name, value in machine.get("threads", {}).items()]
        versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
        met.setdefault(f"{', '.join(parts)}. {versions}.", []).append(result.row)
    return [(rows, described) for described, rows in met.items()]


def _side_line(measure: Measure, side: str) -> str:
    values, gain = measure.spread(side), measure.gain(side)
    against = ""
    if gain is not None:
        told = _times if side.startswith(_PEER) else _percent
        against = f"{told(gain.median)} ({told(gain.low)} – {told(gain.high)})" if gain.n > 1 else told(gain.median)
    name = f"**{side}**" if side == OURS else side
    spread = f"{_number(values.low)} – {_number(values.high)}" if values.n > 1 else ""
    what = f"{measure.name}, {measure.unit}"
    return f"| {what} | {name} | {_number(values.median)} | {spread} | {values.n} | {against} |"


def _growth_lines(growth: dict[str, Any]) -> list[str]:
    lines = []
    for what, grown in growth.items():
        sizes = grown["sizes"]
        heads = " | ".join(f"{size:,}" for size in sizes)
        lines += [f"| seconds over {what} | {heads} | exponent | its last step | that is |"]
        lines += ["|---" * (len(sizes) + 4) + "|"]
        for name, seconds in grown["costs"].items():
            fit = grows(sizes, seconds)
            error = f" ± {fit.error:.2f}" if len(sizes) > 2 else ""
            told = " | ".join(_number(value) for value in seconds)
            lines.append(f"| {name} | {told} | {fit.exponent:.2f}{error} | {fit.last:.2f} | {fit.word} |")
        lines.append("")
        if grown["memory"]:
            lines += [f"| MB over {what} | {heads} | at nothing | kB a clip |", "|---" * (len(sizes) + 3) + "|"]
            for name, megabytes in grown["memory"].items():
                line = fit_line(sizes, megabytes)
                told = " | ".join(_number(value) for value in megabytes)
                lines.append(f"| {name} | {told} | {_number(line.start)} | {line.slope * 2**10:.2f} |")
            lines.append("")
    return lines


def _told(value: float | str) -> str:
    return value if isinstance(value, str) else _number(value)


def _times(ratio: float) -> str:
    return f"{_number(ratio)} ×"


def _percent(share: float) -> str:
    return f"{_number(100 * share)} %"


def _number(value: float) -> str:
    """Return a number with three digits, or all before the point.

    >>> _number(1234.5), _number(0.01234), _number(9.876)
    ('1,234', '0.0123', '9.88')
    """
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}"
