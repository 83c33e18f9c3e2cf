"""A process of its own for whatever is timed: how long it took, what it answered, and how much memory it held.

The kernel says how much the largest process held at its peak (`ru_maxrss`, which counts mapped pages too). What all
processes held together is looked at every second: each page counted once, in parts where processes share it (PSS).

TRAP: a process begins with the peak of the one that started it, up to the moment it becomes another program. So whoever
imports this module must import nothing large (no torch, no pandas), or small processes will look as large as it is.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Finished", "probe", "python", "run", "soundfold"]

ROOT = Path(__file__).resolve().parents[1]
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Finished:
    """A process that has ended well.

    Attributes:
        seconds: from its start to its end.
        answer: its standard output, read as JSON where it is JSON.
        largest_mb: peak of the resident set of its largest process.
        together_mb: highest sum over all its processes that was seen; None where the system does not tell.
    """

    seconds: float
    answer: Any
    largest_mb: float
    together_mb: float | None


def soundfold(*arguments: str | Path, cache: Path | None = None) -> Finished:
    """Run the command line as a user does, `--json` and all."""
    script = Path(sys.executable).with_name("soundfold.exe" if os.name == "nt" else "soundfold")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "soundfold"]
    return run([*command, *map(str, arguments)], {} if cache is None else {"SOUNDFOLD_CACHE": str(cache)})


def python(*arguments: str | Path) -> Finished:
    """Run Python from the repository's root."""
    return run([sys.executable, *map(str, arguments)])


def probe(name: str, **settings: Any) -> Finished:
    """Run one of `benchmarks.probes` in a process of its own; paths are sent as text."""
    return python("-m", "benchmarks.probes", name, json.dumps(settings, default=str))


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end.

    Raises:
        RuntimeError: it ended with a status other than 0; the message holds the end of its standard error.
    """
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
            env={**os.environ, **(environment or {}), "PYTHONPATH": paths},
        )  # fmt: skip
        watch = _Watch(process.pid)
        largest_mb = 0.0
        try:
            if hasattr(os, "wait4"):
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                largest_mb = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
            else:
                process.wait()
            seconds = time.perf_counter() - started
        except BaseException:
            process.kill()
            raise
        finally:
            together_mb = watch.stop()
        told, said = (_text(file) for file in (output, errors))
    if process.returncode:
        last = "\n".join(said.splitlines()[-20:])
        raise RuntimeError(f"{' '.join(command)}: ended with status {process.returncode}\n{last}")
    return Finished(seconds, _understood(told), largest_mb, together_mb)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode("utf-8", "replace"))


def _understood(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


class _Watch:
    """Looks at a process and all that come from it, once a second: seldom enough to cost nothing that shows."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most_kb = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float | None:
        """Stop looking; return the most that was seen, in MB."""
        self._ended.set()
        self._thread.join()
        return self._most_kb / 2**10 if self._most_kb else None

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            self._most_kb = max(self._most_kb, sum(_pss_kb(pid) for pid in _family(self._pid)))


def _family(pid: int) -> list[int]:
    """Return a process and all its descendants; itself alone where the system does not tell."""
    members = [pid]
    for member in members:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            with suppress(OSError, ValueError):
                members += [int(child) for child in task.read_text().split()]
    return members


def _pss_kb(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
