"""The files of the page, with headers that let it reach nothing but this server."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["KINDS", "PAGE", "add_page", "page_files"]

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGE = files("soundfold.serve").joinpath("static")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_files() -> dict[str, Traversable]:
    """Return the page's files by their names; both kinds of `backend.js` among them."""
    return {entry.name: entry for entry in PAGE.iterdir() if entry.name[entry.name.rfind(".") :] in KINDS}


def add_page(app: FastAPI) -> None:
    """Let an application show the page at `/`.

    The files are read once and kept: only these names can be asked for, and no path leads elsewhere.
    """
    contents = {name: entry.read_bytes() for name, entry in page_files().items()}
    contents["backend.js"] = contents.pop("backend_server.js")
    for name in ("backend_browser.js",):
        contents.pop(name)

    def response(name: str) -> Response:
        kind = KINDS[name[name.rfind(".") :]]
        return Response(contents[name], headers={**_HEADERS, "content-type": kind})

    async def index(_: Request) -> Response:
        return response("index.html")

    async def file(request: Request) -> Response:
        return response(request.url.path[1:])

    app.add_route("/", index, include_in_schema=False)
    for name in contents:
        app.add_route(f"/{name}", file, include_in_schema=False)
