"""The verbs put together, and every exception turned into a status and a line."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from soundfold import __version__
from soundfold.cli import (
    bulk,
    compare,
    cv,
    data,
    demo,
    evaluate,
    export,
    ladder,
    listen,
    model,
    predict,
    report,
    serve,
    train,
    tune,
)
from soundfold.cli.loading import thawing
from soundfold.cli.main import INTERRUPTED
from soundfold.cli.printing import escape_what_cannot_be_shown
from soundfold.errors import SoundfoldError
from soundfold.wording import on_one_line

__all__ = ["app", "run"]

# pydantic looks through every installed package for plugins of its own, which takes longer than an answer
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# typer carries its own copy of click and does not export this class, the parent of all errors in what was typed
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])

_PARSERS_WORDS = {
    r"Input should be a valid integer.*": "must be a whole number",
    r"Input should be a valid number.*": "must be a number",
    r"Input should be": "must be",
    r"Value error, ": "",
}
"""What typer lets through of its parser's words, and ours for it."""

app = typer.Typer(
    name="soundfold",
    help="From labelled sounds to an honestly scored classifier in one file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: the other draws in frames, and loads for longer than all else together
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: soundfold demo",
)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("cv")(cv.cv)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("ladder")(ladder.ladder)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("model")(model.model)
app.command("predict")(predict.predict)
app.command("listen")(listen.listen)
app.command("bulk")(bulk.bulk)
app.command("serve")(serve.serve)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"soundfold {__version__}")
        raise typer.Exit


@app.callback()
def _soundfold(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """From labelled sounds to an honestly scored classifier in one file."""


def run(words: Sequence[str]) -> int:
    """Run the verb that the words of a command line name; return the exit status, 130 where it was interrupted."""
    escape_what_cannot_be_shown()
    try:
        Path.cwd()
    except OSError as error:  # libraries that are loaded later die of it, some in words of their own
        return _fail(f"the working folder: is gone, or may not be seen ({error.strerror}). Change to another with cd")
    with thawing():
        return _told(words)


def _told(words: Sequence[str]) -> int:
    try:
        status = app(args=list(words), prog_name="soundfold", standalone_mode=False)
        if sys.stdout:  # None where the shell closed it
            sys.stdout.flush()
    except _UsageError as error:
        told = error.format_message() if hasattr(error, "format_message") else str(error)
        for theirs, ours in _PARSERS_WORDS.items():
            told = re.sub(theirs, ours, told)
        context = getattr(error, "ctx", None)
        if told.startswith("Missing") and context is not None:
            told = f"{told.rstrip('.')}. See {context.command_path} --help"
        return _fail(told)
    except SoundfoldError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _unread()
    except SystemExit as leave:
        if isinstance(leave.__context__, BrokenPipeError):  # typer leaves so when a pipe breaks
            return _unread()
        raise
    except OSError as error:
        problem = _system_problem(error)
        if problem is None:
            raise
        return _fail(problem)
    return int(status or 0)  # typer itself turns most of Ctrl-C into 130


def _unread() -> int:
    """Leave in peace: the reader of our output has gone (`soundfold predict … | head`), and nobody is left to tell."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _fail(message: str) -> int:
    if message.strip():  # a bare `soundfold` is answered with the help, and has no more to be told
        print(f"soundfold: {on_one_line(' '.join(message.split())).removesuffix('.')}", file=sys.stderr)
    return 2


def _system_problem(error: OSError) -> str | None:
    """Return a line for what the system refused and the user can mend; None for anything else."""
    # where something is copied, the second is the target
    where = error.filename2 or error.filename or "the disk, or standard output"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"{where}: no space left. Free some, or write elsewhere with --out, --cache or SOUNDFOLD_CACHE"
        case errno.EFBIG:
            return f"{where}: may not grow further, the disk or a limit forbids it. Lift it, or write elsewhere"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{where}: may not be read or written. Change its permissions, or choose another place"
        case errno.ENAMETOOLONG:
            return f"{where}: the name is too long. Choose a shorter one"
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR:
            return f"{where}: {error.strerror}. Check the path"
        case _:
            return None
