"""How text reaches stdout and stderr: printing never fails, whatever a name holds and a terminal can show."""

import io
import json
import sys
from typing import TextIO

from soundfold.errors import PathError

__all__ = ["escape_what_cannot_be_shown", "open_stdout", "print_json"]


def escape_what_cannot_be_shown() -> None:
    """Have stdout and stderr write what they cannot encode as `\\udcff` or `\\xe9`, as Python's own stderr does.

    File names need not be UTF-8, and a terminal or a log need not take all of Unicode.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(text: str) -> None:
    """Print a JSON document; in ASCII alone where stdout could not show all of it, so that it can still be read."""
    stdout = open_stdout()
    try:
        text.encode(stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2)
    print(text)


def open_stdout() -> TextIO:
    """Return stdout for an answer; `print` alone says nothing and goes on where the shell closed it.

    Raises:
        PathError: it is closed.
    """
    if not sys.stdout:
        raise PathError("standard output: is closed, and the answer would be lost. Leave it open, or send it to a file")
    return sys.stdout
