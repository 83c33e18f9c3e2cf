"""Sounds that bring their process down, keep it for ever, or fail, by their names, as a broken decoder does to some.

`spoil` makes it so in every worker process that a test starts, as Python looks for `sitecustomize` on its path.
"""

import os
from pathlib import Path

import pytest

_CODE = """
import os, signal, time
stat = os.stat
def spoiled(path, *more, **options):
    name = os.path.basename(path) if isinstance(path, str) else ""
    if name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("fail"):
        raise ZeroDivisionError("by us")
    if name.startswith("hang"):
        time.sleep(1_000)
    return stat(path, *more, **options)
os.stat = spoiled
"""


def spoil(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes crash at files named crash…, hang at those named hang…, and fail at those named fail…."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_CODE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
