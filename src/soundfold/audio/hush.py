"""Keeping what libmpg123 says of damaged MP3s from the user's screen; libsndfile gives no way to ask it for silence.

It writes by C's `stderr`, a variable that glibc and macOS let a program set. While the decoder works it points to
nowhere. File descriptor 2 stays as it is, so nothing is lost that Python, C++ or a crash writes meanwhile, in any
thread. Elsewhere (Windows, musl) there is no such variable, and the notes are seen.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["hushed"]

_lock = threading.Lock()
_inside = 0
_shown: int | None = None


@contextmanager
def hushed() -> Iterator[None]:
    """Drop what C libraries write to their `stderr` during the block; blocks may overlap in any number of threads."""
    global _inside, _shown
    variable, nowhere = _stderr()
    if variable is None:
        yield
        return
    with _lock:
        if _inside == 0:
            _shown, variable.value = variable.value, nowhere
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                variable.value = _shown


@cache
def _stderr() -> tuple[ctypes.c_void_p | None, int | None]:
    """Return C's variable, and a stream that leads nowhere and is never closed; None where it cannot be set."""
    if sys.platform == "win32":
        return None, None
    program = ctypes.CDLL(None)
    name = "__stderrp" if sys.platform == "darwin" else "stderr"
    # musl has `stderr` too, but as a constant: writing to it ends the process
    if sys.platform != "darwin" and not hasattr(program, "gnu_get_libc_version"):
        return None, None
    program.fopen.argtypes, program.fopen.restype = (ctypes.c_char_p, ctypes.c_char_p), ctypes.c_void_p
    nowhere = program.fopen(os.fsencode(os.devnull), b"we")
    if not nowhere:
        return None, None
    os.register_at_fork(after_in_child=_as_before)
    return ctypes.c_void_p.in_dll(program, name), nowhere


def _as_before() -> None:
    """Let a forked process, in which none of the blocks goes on, begin as if there had been none."""
    global _lock, _inside
    _lock = threading.Lock()
    if _inside:
        _inside, variable = 0, _stderr()[0]
        if variable is not None:
            variable.value = _shown
