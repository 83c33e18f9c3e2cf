"""A model behind HTTP, which answers as `soundfold predict --json` does. Needs the extra [serve], but no torch.

    app.py     the addresses, their bounds and their errors
    upload.py  a request's body, in memory and never larger than allowed
    server.py  the socket and uvicorn

Example:
    from soundfold.serve import address, build_app, build_server, listen
    socket = listen("127.0.0.1", 8_000)
    build_server(build_app(soundfold.load("runs/street"))).run(sockets=[socket])
"""

from soundfold.serve.app import build_app
from soundfold.serve.server import address, build_server, listen

__all__ = ["address", "build_app", "build_server", "listen"]
