"""Whoever is refused gets to read why: what is left of the body is read first. Plain ASGI, around the application.

A connection that is closed on unread bytes is reset, and the answer is lost with it.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soundfold.serve.upload import claimed_bytes

__all__ = ["Draining"]

_MOST_BYTES = 16_000_000  # of a larger body it is not worth it
_MOST_S = 2.0
_REFUSED, _TOO_LARGE = 400, 413


class Draining:
    """Reads what an application that refuses has left of a body, and forgets it, before the refusal is sent.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        whole = False

        async def counted_receive() -> Message:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)  # neither has one that tells of a broken connection
            return message

        async def send_after_body(message: Message) -> None:
            refused = message["type"] == "http.response.start" and message["status"] >= _REFUSED
            refused = refused and message["status"] != _TOO_LARGE  # it may have no end
            if refused and not whole and claimed_bytes(Headers(scope=scope)) <= _MOST_BYTES:
                await drain()
            await send(message)

        async def drain() -> None:
            size = 0
            try:
                async with asyncio.timeout(_MOST_S):
                    while not whole and size <= _MOST_BYTES:
                        size += len((await counted_receive()).get("body", b""))
            except TimeoutError:
                return

        await self._app(scope, counted_receive, send_after_body)
