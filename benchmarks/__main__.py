"""`python -m benchmarks`: which rows on which data, and the page that is written from what they found."""

import argparse
import datetime
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import Busy, machine, versions
from benchmarks.page import row_lines, write_page
from benchmarks.processes import ROOT
from benchmarks.results import Result, save_result
from benchmarks.rows import ROWS, Plan, rows_to_run
from benchmarks.workspace import DataSet, Workspace, describe, synthetic, warm_files

FULL_SIZE = 8_732
_QUICK_SIZE = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, keep it, and write the page anew; return the exit status."""
    asked = _parser().parse_args(arguments)
    work = Path(asked.work).resolve()
    kept = (
        Path(asked.results).resolve() if asked.results else work / "quick" if asked.quick else ROOT / "benchmarks/kept"
    )
    page = (
        Path(asked.page).resolve() if asked.page else work / "quick.md" if asked.quick else ROOT / "docs/benchmarks.md"
    )
    failed: list[str] = []
    if not asked.page_only:
        plan, gpu = _plan(asked, work, kept)
        failed = [name for name in rows_to_run(plan, asked.only) if not _measure(name, plan, gpu, asked)]
    write_page(kept, page)
    print(f"wrote {page}")
    if failed:
        print(f"rows that failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _plan(asked: argparse.Namespace, work: Path, kept: Path) -> tuple[Plan, str | None]:
    data, gpu = _data(asked, work)
    device = asked.device if asked.device != "auto" else "cuda" if gpu else "cpu"
    key = f"{device}-{data.key}"
    fits = not data.path.is_dir() or warm_files(data.path)
    print(f"{data.title} on {device}{'' if fits else '; its files do not fit in memory, so disks are measured too'}")
    plan = Plan(
        space=Workspace(work / key, data, device),
        results=kept / key,
        recipe=asked.recipe,
        rounds=asked.rounds or (2 if asked.quick else 3),
        peer_s=3.0 if asked.quick else 12.0,
        epochs=asked.epochs,
        growth_to=asked.growth_to,
        growth_length_s=asked.growth_length_s,
        quick=asked.quick,
        tell=lambda line: print(line, flush=True),
    )
    return plan, gpu


def _data(asked: argparse.Namespace, work: Path) -> tuple[DataSet, str | None]:
    if asked.data:
        return describe(Path(asked.data).resolve())
    clips = _QUICK_SIZE if asked.quick else FULL_SIZE
    title = f"synthetic, {clips:,} clips of 4 s"
    return describe(synthetic(work, clips, 4.0), title)


def _measure(name: str, plan: Plan, gpu: str | None, asked: argparse.Namespace) -> bool:
    """Measure one row, print and keep it; False if it failed, which leaves the other rows alone."""
    row = ROWS[name]
    print(f"{name}: {row.title}", flush=True)
    before = Busy.now()
    try:
        found = row.measure(plan)
    except RuntimeError as error:
        print(f"    failed: {error}", file=sys.stderr)
        return False
    after = Busy.now()
    result = Result(
        row=name,
        title=row.title,
        recipe=plan.recipe if row.on_recipe else "tutorial",
        data=plan.space.data.title,
        device=plan.space.device,
        command=_command(name, plan, asked),
        made=datetime.date.today().isoformat(),
        seconds=after.clock - before.clock,
        others=after.others_since(before),
        machine={**machine(), "gpu": gpu},
        versions=versions(),
        found=found,
    )
    save_result(result, plan.results)
    print(
        "\n".join(f"    {line}" for line in row_lines(result)), f"    took {result.seconds:.0f} s", sep="\n", flush=True
    )
    return True


def _command(name: str, plan: Plan, asked: argparse.Namespace) -> str:
    """Return the command that measures a row again, without the paths of this machine."""
    words = ["python", "-m", "benchmarks", "--only", name]
    words += ["--data", plan.space.data.path.name] if asked.data else []
    words += ["--recipe", Path(plan.recipe).name] if ROWS[name].on_recipe and plan.recipe != "tutorial" else []
    words += ["--device", plan.space.device] if plan.space.device != "cpu" else []
    for option in ("rounds", "epochs"):
        words += [f"--{option}", str(getattr(asked, option))] if getattr(asked, option) else []
    if name == "growth":
        words += ["--growth-to", str(plan.growth_to), "--growth-length-s", f"{plan.growth_length_s:g}"]
    return shlex.join([*words, "--quick"] if plan.quick else words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast soundfold is, and beside what.")
    add = parser.add_argument
    add("--only", nargs="+", choices=list(ROWS), metavar="ROW", help=f"these rows alone: {', '.join(ROWS)}")
    add("--quick", action="store_true", help="small sizes, to see that it runs; nothing goes into docs")
    add("--data", metavar="PATH", help=f"a data set; without it a synthetic one of {FULL_SIZE:,} clips")
    add("--recipe", default="tutorial", help="what epoch, train, cv and growth are measured with")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--epochs", type=int, help="of each training in train and cv; a few on cpu and 100 on cuda if not given")
    add("--rounds", type=int, help="turns of each side; 3 if not given")
    add("--growth-to", type=int, default=8_000, metavar="CLIPS", help="the largest table of the row growth")
    add("--growth-length-s", type=float, default=1.0, metavar="SECONDS", help="length of a clip in it")
    add("--work", default=str(ROOT / "build" / "benchmarks"), metavar="DIR", help="data and caches; may be deleted")
    add("--results", metavar="DIR", help="what rows found; benchmarks/kept if not given")
    add("--page", metavar="FILE", help="the page; docs/benchmarks.md if not given")
    add("--page-only", action="store_true", help="measure nothing, write the page from what is kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
