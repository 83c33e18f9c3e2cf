"""How text reaches stdout and stderr: printing never fails, whatever a name holds and a terminal can show."""

import io
import json
import sys

__all__ = ["escape_what_cannot_be_shown", "print_json"]


def escape_what_cannot_be_shown() -> None:
    """Have stdout and stderr write what they cannot encode as `\\udcff` or `\\xe9`, as Python's own stderr does.

    File names need not be UTF-8, and a terminal or a log need not take all of Unicode.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(text: str) -> None:
    """Print a JSON document; in ASCII alone where stdout could not show all of it, so that it can still be read."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2)
    print(text)
