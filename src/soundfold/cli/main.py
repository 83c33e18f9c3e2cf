"""The entry point: verbs put together, and every exception turned into a status and a line."""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from soundfold.cli.printing import escape_what_cannot_be_shown
from soundfold.errors import SoundfoldError
from soundfold.wording import on_one_line

__all__ = ["app", "main"]

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

_INTERRUPTED = 130
_TERMINATED = 128 + signal.SIGTERM

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    escape_what_cannot_be_shown()
    with _ended_in_order() as told_to_end, thawing():
        status = _run(arguments)
    return _TERMINATED if told_to_end and status == _INTERRUPTED else status


@contextmanager
def _ended_in_order() -> Iterator[list[int]]:
    """Let SIGTERM end a verb as Ctrl-C does, all that it holds put away; a second one ends it at once.

    Gives a list that is empty until it comes. A handler that a caller has set stays.
    """
    came: list[int] = []
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
        yield came
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = app(args=None if arguments is None else list(arguments), prog_name="soundfold", standalone_mode=False)
        if sys.stdout:  # None where the shell closed it
            sys.stdout.flush()
    except _UsageError as error:
        told = error.format_message() if hasattr(error, "format_message") else str(error)
        for words, ours in _PARSERS_WORDS.items():
            told = re.sub(words, ours, told)
        context = getattr(error, "ctx", None)
        if told.startswith("Missing") and context is not None:
            told = f"{told.rstrip('.')}. See {context.command_path} --help"
        return _fail(told)
    except SoundfoldError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(arguments)
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
    # typer itself turns most of Ctrl-C into this status
    return _interrupted(arguments) if status == _INTERRUPTED else int(status or 0)


def _unread() -> int:
    """Leave in peace: the reader of our output has gone (`soundfold predict … | head`), and nobody is left to tell."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _interrupted(arguments: Sequence[str] | None) -> int:
    """Say how an interrupted verb can be continued; only a run whose folder the user named can be."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    mend = ""
    if words and words[0] == "bulk":
        mend = ". What was heard is kept: the same command goes on"
    elif words and words[0] in ("train", "cv", "ladder", "tune"):
        named = any(word == "--out" or word.startswith("--out=") for word in words)
        mend = (
            ". What was done is kept: the same command with --resume goes on"
            if named
            else (". With --out RUN a run can be continued by --resume")
        )
    print(f"soundfold: interrupted{mend}", file=sys.stderr)
    return _INTERRUPTED


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
