"""The entry point: Ctrl-C and SIGTERM end what was asked for in order, from the first moment on."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

__all__ = ["INTERRUPTED", "main"]

INTERRUPTED = 130
_TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    status, told_to_end = INTERRUPTED, list[int]()
    with suppress(KeyboardInterrupt), _ended_in_order(told_to_end):
        # here and not above, as it takes most of the time of a short command, in which Ctrl-C may come too
        from soundfold.cli.verbs import run

        status = run(words)
    if status != INTERRUPTED:
        return status
    print(f"soundfold: interrupted{_going_on(words)}", file=sys.stderr)
    return _TERMINATED if told_to_end else INTERRUPTED


@contextmanager
def _ended_in_order(came: list[int]) -> Iterator[None]:
    """Let SIGTERM end a verb as Ctrl-C does, all that it holds put away; a second one ends it at once.

    A handler that a caller has set stays.

    Args:
        came: is given the signal when it comes.
    """
    here = os.getpid()

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != here:  # a forked child has our handler, and nothing to put away
            os.kill(os.getpid(), number)
        came.append(number)
        raise KeyboardInterrupt

    # signals belong to the main thread
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _going_on(words: Sequence[str]) -> str:
    """Return how an interrupted verb can be continued; only a run whose folder the user named can be."""
    if words and words[0] == "bulk":
        return ". What was heard is kept: the same command goes on"
    if words and words[0] in ("train", "cv", "ladder", "tune"):
        if any(word == "--out" or word.startswith("--out=") for word in words):
            return ". What was done is kept: the same command with --resume goes on"
        return ". With --out RUN a run can be continued by --resume"
    return ""
