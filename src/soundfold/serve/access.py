"""Who may ask: a bearer token, and no page of another site. Plain ASGI, in front of the application."""

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from soundfold.errors import SoundfoldError

__all__ = ["Access", "check_host_names", "check_token", "is_token", "why_not_this_page"]

_GUARDED = ("/v1/", "/metrics")


class Access:
    """Refuses requests without the token, and those that a page of another site makes a browser send.

    A browser tells in `Origin` whose page asks, and in `Host` under which name. Without a look at the first, any page
    that a person visits could have sounds worked on by the server that listens on their own machine; without one at the
    second, any whose own name is made to lead to that machine. The page itself, its health and its description are open
    to all: they tell nothing.

    Args:
        app: the application.
        host_names: names under which it may be asked beside those of the loopback; None for any.
        token: what `Authorization: Bearer …` must hold; None where anybody may ask. Streams bring theirs in the first
            message, as a page cannot set their headers.
    """

    def __init__(self, app: ASGIApp, token: str | None, host_names: Collection[str] | None) -> None:
        self._app, self._token, self._host_names = app, token, host_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = None
        if why_not := why_not_this_page(headers, self._host_names):
            refusal = JSONResponse({"error": why_not}, 403)
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


def check_host_names(names: Collection[str] | None) -> frozenset[str] | None:
    """Return names under which a server may be asked as they are compared; raise where one is none."""
    if names is None:
        return None
    for name in names:
        if not name or _name_in(f"[{name}]" if ":" in name else name) != name.lower():
            raise SoundfoldError(
                f"a host name must be a name or an address alone, got {name!r}. Say sounds.example.org, for instance"
            )
    return frozenset(name.lower() for name in names)


def why_not_this_page(headers: Headers, host_names: Collection[str] | None) -> str:
    """Return why a request is not answered: a page of another site asks, or may ask; "" where none does.

    Args:
        headers: of the request.
        host_names: as `Access` takes them.
    """
    host = headers.get("host", "")
    name = _name_in(host)
    if host_names is not None and name not in host_names and not _is_loopback(name):
        asked = "".join(sign if sign.isprintable() else "?" for sign in name[:100])
        return f"this server may not be asked as '{asked}'. Ask localhost, or start it with --host-name NAME"
    origin = headers.get("origin")
    if origin is not None and _place_in(origin) != host.lower():
        return "pages of other sites may not ask this server. Open its own page"
    return ""


def _place_in(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as http://[, which no browser sends
        return None


def _name_in(host: str) -> str:
    """Return the name in what stands behind `Host:`, without its port; "" where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
