"""The verb `soundfold serve`: its options, and how its answer is printed."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from soundfold.cli.options import ModelPath
from soundfold.errors import needs_extra

__all__ = ["serve"]


def serve(
    model: ModelPath,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes any that is free.")] = 8_000,
) -> None:
    """Answer over HTTP as predict --json does, until Ctrl-C. Needs no PyTorch."""
    from soundfold.runtime import load

    with needs_extra("serve", "soundfold serve"):
        from soundfold.serve import address, build_app, build_server, listen
    server = build_server(build_app(load(model)))
    with listen(host, port) as listening:
        where = address(listening)
        print(f"listening:  {where}  (Ctrl-C stops)", file=sys.stderr)
        print(f"try:        curl --data-binary @SOUND {where}/v1/predict", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):  # the way to end it: uvicorn sends it on after its last answers
            server.run(sockets=[listening])
    print("stopped", file=sys.stderr)
