"""The verb `soundfold serve`: its options, and how its answer is printed."""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from soundfold.cli.options import path_or_refuse
from soundfold.errors import needs_extra

__all__ = ["serve"]


def serve(
    models: Annotated[
        list[Path],
        typer.Argument(
            parser=path_or_refuse, metavar="MODEL…", help="Model files, or runs' folders.", show_default=False
        ),
    ],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes any that is free.")] = 8_000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="SOUNDFOLD_TOKEN",
            help="What whoever asks must send; an option is seen by other users of the machine, the variable is not.",
            show_default=False,
        ),
    ] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            "--host-name",
            metavar="NAME",
            help="A name under which it may be asked, as a proxy passes it on, beside localhost; may be repeated.",
            show_default=False,
        ),
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option("--max-bytes", help="Largest upload; 50,000,000 if not given.", show_default=False)
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", help="Longest sound; 600 if not given.", show_default=False)
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Sounds at once; 8 if not given.", show_default=False)
    ] = None,
    streams: Annotated[
        int | None, typer.Option("--streams", help="Live streams at once; 4 if not given.", show_default=False)
    ] = None,
) -> None:
    """Answer over HTTP, with a page and a microphone.

    Answers are those of predict --json. Until Ctrl-C. Needs no PyTorch.
    """
    from soundfold.runtime import load

    with needs_extra("serve", "soundfold serve"):
        from soundfold.serve import Bounds, address, build_app, build_server, hears_all, is_loopback, listen, names_of
    if token == "":
        raise typer.BadParameter("--token must not be empty. Leave it out (and unset SOUNDFOLD_TOKEN) for none")
    asked = {"max_bytes": max_bytes, "max_s": max_seconds, "concurrency": concurrency, "streams": streams}
    bounds = Bounds(**{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
    opened = dict(zip(names_of(models), map(load, models), strict=True))
    with listen(host, port) as listening:
        # without a token, a page of another site must not get in by a name of its own that leads to this machine
        names = host_name or (() if token is None and is_loopback(listening) else None)
        server = build_server(build_app(opened, bounds, token=token, host_names=names), bounds)
        where = address(listening)
        if len(opened) > 1:
            print(f"models:     {', '.join(opened)}  (?model=NAME; without it the first)", file=sys.stderr)
        others = " and every other address of this machine" if hears_all(listening) else ""
        print(f"listening:  {where}{others}  (Ctrl-C stops)", file=sys.stderr)
        if token is None and not is_loopback(listening):
            print("warning:    other machines may ask, and no --token keeps anybody out", file=sys.stderr)
        header = "" if token is None else "-H 'Authorization: Bearer TOKEN' "
        print(f"try:        curl {header}--data-binary @SOUND {where}/v1/predict", file=sys.stderr, flush=True)
        # the ways to end it: uvicorn sends either signal on after its last answers
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with suppress(KeyboardInterrupt):
                server.run(sockets=[listening])
        finally:
            signal.signal(signal.SIGTERM, before)
    print("stopped", file=sys.stderr)
