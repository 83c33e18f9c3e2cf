"""Mutated sound files and model files by the thousand, in processes with bounds: `python tests/fuzz.py sounds`.

    python tests/fuzz.py sounds --number 100000            # an answer or a message of one line for each, or it is told
    python tests/fuzz.py models --number 10000 --jobs 2
    python tests/fuzz.py sounds --case 4711 --keep x.bin   # one case again, and its file

Each case is made from its number alone. A worker says which case it is about to try, so whatever becomes of it (a
crash, a hang that is killed, memory above the bound, an exception that is none of ours) is laid to that case, and a new
worker goes on behind it. The exit status is 1 if anything was found.
"""

import argparse
import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

__all__ = ["Report", "fuzz"]

_FOLDER = Path(__file__).parent
_TIME_S = 60.0  # of the clock, for a case; on a busy machine
_SLOW_S = 5.0  # of the processor
_MEMORY_MB = 512  # more than before the first case
_LENGTH = 600  # signs of a message
_FINE = ("answer", "refused")


@dataclass
class Report:
    """What became of the cases: how many had which end, and each that was none of the two good ones."""

    ends: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str]] = field(default_factory=list)

    def add(self, case: int, end: str) -> None:
        """Note how a case ended."""
        kind = end.split(":")[0]
        self.ends[kind] += 1
        if kind not in _FINE:
            self.bad.append((case, end))


def fuzz(kind: str, cases: range, jobs: int = 1, tell: Callable[[str], object] = lambda _: None) -> Report:
    """Try cases in worker processes.

    Args:
        kind: `sounds` or `models`.
        cases: their numbers.
        jobs: workers at once.
        tell: hears of each bad end, and now and then how many are done.
    """
    report = Report()
    step = -(-len(cases) // jobs)
    workers = [_Worker(kind, cases[at : at + step]) for at in range(0, len(cases), step)]
    selector = selectors.DefaultSelector()
    for worker in workers:
        worker.start(selector)
    told_at = time.monotonic()
    try:
        while any(worker.at_work for worker in workers):
            ready = selector.select(timeout=0.5)
            ended = [pair for key, _ in ready for pair in key.data.read(selector)]
            ended += [pair for worker in workers for pair in worker.look(selector)]
            for case, end in ended:
                report.add(case, end)
                if end.split(":")[0] not in _FINE:
                    tell(f"case {case}: {end}")
            if time.monotonic() - told_at > 30:
                told_at = time.monotonic()
                tell(f"{sum(report.ends.values()):,} of {len(cases):,}: {dict(report.ends)}")
    finally:
        for worker in workers:
            worker.kill()
    return report


class _Worker:
    """A process that works through a range of cases, started again behind each case that ends it."""

    def __init__(self, kind: str, cases: range) -> None:
        self.kind, self.cases = kind, cases
        self.process: subprocess.Popen[bytes] | None = None
        self._begun: int | None = None
        self._since = 0.0
        self._rest = b""

    @property
    def at_work(self) -> bool:
        return self.process is not None

    def start(self, selector: selectors.BaseSelector) -> None:
        if not len(self.cases):
            return
        words = [sys.executable, __file__, self.kind, "--work", str(self.cases.start), str(self.cases.stop)]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads},
        )
        self._begun, self._since, self._rest = None, time.monotonic(), b""
        selector.register(self._output, selectors.EVENT_READ, self)

    def read(self, selector: selectors.BaseSelector) -> Iterator[tuple[int, str]]:
        """Yield (case, how it ended) of what the process has said."""
        said = os.read(self._output.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            self._since = time.monotonic()
            case, _, end = line.decode("utf-8", "replace").partition(" ")
            if end:
                self._begun = None
                self.cases = range(int(case) + 1, self.cases.stop)
                yield int(case), end
            else:
                self._begun = int(case)
        if not said:
            yield from self._ended(selector, None)

    def look(self, selector: selectors.BaseSelector) -> Iterator[tuple[int, str]]:
        """End a process that has said nothing for too long."""
        if self.process is not None and time.monotonic() - self._since > _TIME_S * (
            1 if self._begun is not None else 6
        ):
            self.process.kill()
            yield from self._ended(selector, f"hang: more than {_TIME_S:g} s")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _ended(self, selector: selectors.BaseSelector, why: str | None) -> Iterator[tuple[int, str]]:
        assert self.process is not None
        selector.unregister(self._output)
        self._output.close()
        status = self.process.wait()
        self.process = None
        if self._begun is not None:
            yield self._begun, why or f"crash: status {status}"
            self.cases = range(self._begun + 1, self.cases.stop)
        elif len(self.cases) and status:
            raise RuntimeError(f"a worker ended with status {status} before case {self.cases.start}")
        self.start(selector)

    @property
    def _output(self) -> IO[bytes]:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout


def _work(kind: str, cases: range) -> None:
    """Try cases in this process, and say before each which one it is, and after it how it ended."""
    import resource
    import warnings

    from fuzz_cases import attempt

    warnings.simplefilter("error")
    attempt(kind, -1)  # imports, and whatever else is done once
    before = resource.getrusage(resource.RUSAGE_SELF)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    bound = held + (3 * _MEMORY_MB << 20)  # of addresses, which are more than memory
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries' own words do not belong between ours
    for case in cases:
        output.write(b"%d\n" % case)
        output.flush()
        began = time.process_time()
        end = _told(attempt(kind, case))
        spent = time.process_time() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss) >> 10
        if spent > _SLOW_S and end.split(":")[0] in _FINE:
            end = f"slow: {spent:.1f} s, then {end}"
        if grown > _MEMORY_MB:
            end = f"memory: {grown} MB, then {end}"
        output.write(f"{case} {end}\n".encode("utf-8", "backslashreplace"))
        output.flush()
        if grown > _MEMORY_MB:
            return  # the most that was held is known for a new process alone


def _told(error: BaseException | None) -> str:
    """Return how a case ended: well, with a message for the user, or otherwise."""
    from soundfold.errors import SoundfoldError

    if error is None:
        return "answer"
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SoundfoldError):
        if "\n" in str(error) or not str(error).isprintable() or len(str(error)) > _LENGTH:
            return f"message: {text!r}"
        return f"refused: {' '.join(str(error).split())}"
    return f"raised: {text!r}"


def main() -> int:
    """Read the options, and do what they say."""
    parser = argparse.ArgumentParser(prog="python tests/fuzz.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kind", choices=["sounds", "models"])
    parser.add_argument("--number", type=int, default=1_000, help="how many cases; 1,000 if not given")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--case", type=int, help="this case alone, in this process")
    parser.add_argument("--keep", metavar="FILE", help="with --case: write its file")
    parser.add_argument("--json", metavar="FILE", help="write what was found")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    asked: Any = parser.parse_args()
    sys.path.insert(0, str(_FOLDER))
    if asked.work:
        _work(asked.kind, range(*asked.work))
        return 0
    if asked.case is not None:
        from fuzz_cases import attempt, file_of

        if asked.keep:
            Path(asked.keep).write_bytes(file_of(asked.kind, asked.case))
        end = _told(attempt(asked.kind, asked.case))
        print(end)
        return 0 if end.split(":")[0] in _FINE else 1
    began = time.monotonic()
    cases = range(asked.first, asked.first + asked.number)
    report = fuzz(asked.kind, cases, asked.jobs, lambda line: print(line, flush=True))
    found = {"kind": asked.kind, "cases": len(cases), "seconds": round(time.monotonic() - began), "ends": report.ends}
    print(json.dumps(found))
    if asked.json:
        Path(asked.json).write_text(json.dumps({**found, "bad": report.bad}, indent=1) + "\n", encoding="utf-8")
    return 1 if report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
