"""Plain child processes of Python: one way to start them, and to have them go when their parent goes.

They need nothing of the caller's script, where multiprocessing would run it again.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["leave_with_parent", "start_child"]


def start_child(code: str, **variables: str) -> "subprocess.Popen[bytes]":
    """Start a Python that finds soundfold where this one did, with pipes as its standard input and output.

    Args:
        code: what it is to do.
        variables: of its environment.
    """
    home = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    # a group of its own: Ctrl-C reaches the parent alone, which tells of it once and ends the rest
    apart: dict[str, Any] = (
        {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        if sys.platform == "win32"
        else {"process_group": 0}
    )
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],  # -P: what lies in the working folder is no module of ours
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path, **variables},
        **apart,
    )


def leave_with_parent() -> None:
    """Wait for the end of standard input, which comes when the parent is gone, however it went; then leave too."""
    while os.read(0, 4096):
        pass
    os._exit(1)
