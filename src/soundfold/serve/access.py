"""Who may ask: a bearer token, and no page of another site. Plain ASGI, in front of the application."""

import hmac
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from soundfold.errors import SoundfoldError

__all__ = ["Access", "check_token", "is_foreign", "is_token"]

_GUARDED = ("/v1/", "/metrics")


class Access:
    """Refuses requests without the token, and those that a page of another site makes a browser send.

    A browser tells in `Origin` whose page asks. Without this look at it, any page that a person visits could have
    sounds worked on by the server that listens on their own machine. The page itself, its health and its description
    are open to all: they tell nothing.

    Args:
        app: the application.
        token: what `Authorization: Bearer …` must hold; None where anybody may ask. Streams bring theirs in the first
            message, as a page cannot set their headers.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = None
        if is_foreign(headers):
            refusal = JSONResponse({"error": "pages of other sites may not ask this server. Open its own page"}, 403)
        elif self._token is not None:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not is_token(given.strip(), self._token):
                told = "the token is missing or wrong. Send the header Authorization: Bearer TOKEN"
                refusal = JSONResponse({"error": told}, 401, {"WWW-Authenticate": "Bearer"})
        await (refusal or self._app)(scope, receive, send)


def check_token(token: str | None) -> None:
    """Raise where a token is one that no header can bring. It is a secret, so the message does not hold it."""
    if token is not None and not (token.isascii() and token.isprintable() and token and token == token.strip()):
        raise SoundfoldError("token must be printable ASCII without spaces at its ends. Choose another one")


def is_token(given: str, token: str) -> bool:
    """Tell whether a token is the right one, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def is_foreign(headers: Headers) -> bool:
    """Tell whether a page of another site asks."""
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:  # such as http://[, which no browser sends
        return True
