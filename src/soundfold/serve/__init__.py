"""Models behind HTTP, which answer as `predict --json` does, and a page. Needs the extra [serve], but no torch.

    app.py        the application: who may ask, and errors
    predicting.py the address for whole sounds
    state.py      the addresses that tell of models, health and work
    bounds.py     what a request may cost
    desk.py       places, time-outs, the models, and the worker processes that answer for uploads
    upload.py     a request's body, in memory and never larger than allowed
    live.py       the address of live streams
    hearing.py    a live stream's bytes turned into answers
    access.py     a token, and no page of another site
    metrics.py    what Prometheus is told
    schemas.py    what /openapi.json says
    page.py       the files of the page, which lie in static/
    server.py     the socket and uvicorn
    patience.py   how long a request's head may take, and how many connections there may be
    naming.py     what served models are called
    served_card.py what is told of them
    web_folder.py the page with the model in it, for any static host

Example:
    from soundfold.serve import address, build_app, build_server, listen
    socket = listen("127.0.0.1", 8_000)
    build_server(build_app(soundfold.load("runs/street"))).run(sockets=[socket])
"""

from soundfold.serve.app import build_app
from soundfold.serve.bounds import Bounds
from soundfold.serve.naming import names_of
from soundfold.serve.server import address, build_server, hears_all, is_loopback, listen

__all__ = ["Bounds", "address", "build_app", "build_server", "hears_all", "is_loopback", "listen", "names_of"]
