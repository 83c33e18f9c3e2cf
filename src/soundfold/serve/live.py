"""The address `WS /v1/stream`: sound in as it goes on, answers out as they come."""

import asyncio
import json
from collections.abc import Collection, Iterable
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from soundfold.errors import SoundfoldError, did_you_mean
from soundfold.runtime import Span
from soundfold.runtime.stream import Told
from soundfold.serve.access import is_token, why_not_this_page
from soundfold.serve.bounds import Bounds
from soundfold.serve.desk import Desk
from soundfold.serve.hearing import Hearing, MessageTooLongError, Opening, open_hearing
from soundfold.serve.metrics import Metrics
from soundfold.serve.naming import shortened

__all__ = ["MOST_MESSAGE", "add_stream"]

MOST_MESSAGE = 1_000_000
"""Bytes in a message, at most."""
_DONE, _UNFIT, _REFUSED, _TOO_BIG, _LATER = 1000, 1003, 1008, 1009, 1013


class _RefusalError(Exception):
    """What a stream is told before it is closed, and the code of the closing."""

    def __init__(self, told: str, code: int) -> None:
        super().__init__(told)
        self.code = code


def add_stream(
    app: FastAPI,
    desk: Desk,
    bounds: Bounds,
    metrics: Metrics,
    token: str | None,
    host_names: Collection[str] | None,
) -> None:
    """Let an application take live streams."""
    opened = 0

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        nonlocal opened
        if why_not_this_page(socket.headers, host_names):
            await socket.close(_REFUSED)  # before it is accepted: 403
            return
        await socket.accept()
        try:
            # before a place is taken: without a token, nobody may take those of others
            opening = await _opening(socket, bounds, token)
            if opened >= bounds.streams:
                raise _RefusalError(f"{bounds.streams} streams are open, the most that are at once. Try later", _LATER)
            opened += 1
            metrics.streams.set(opened)
            try:
                await _serve(socket, opening, desk, bounds, metrics)
            finally:
                opened -= 1
                metrics.streams.set(opened)
        except _RefusalError as refusal:
            await _tell_end(socket, {"error": str(refusal)}, refusal.code, bounds)
        except MessageTooLongError as error:
            await _tell_end(socket, {"error": str(error)}, _TOO_BIG, bounds)
        except SoundfoldError as error:
            await _tell_end(socket, {"error": str(error)}, _UNFIT, bounds)
        except WebSocketDisconnect:
            return


async def _serve(socket: WebSocket, opening: Opening, desk: Desk, bounds: Bounds, metrics: Metrics) -> None:
    if opening.hop_s is not None and opening.hop_s < bounds.min_hop_s:
        raise _RefusalError(
            f"hop_s must be at least {bounds.min_hop_s:g}, got {opening.hop_s:g}. Give a longer one", _REFUSED
        )
    try:
        model = desk.models[desk.name(opening.model)]
    except HTTPException as error:
        raise _RefusalError(error.detail, _REFUSED) from None
    hearing = await asyncio.to_thread(open_hearing, opening, model, bounds)
    metrics.streamed.inc()
    try:
        await _send(socket, {"ready": True, "window_s": model.card.window_s}, bounds)
        await _hear(socket, hearing, bounds)
    finally:
        metrics.sound.inc(hearing.heard_s)
        await asyncio.shield(asyncio.to_thread(hearing.close))


async def _hear(socket: WebSocket, hearing: Hearing, bounds: Bounds) -> None:
    while True:
        message = await _received(socket, bounds.max_idle_s)
        content = message.get("bytes")
        if content is not None:
            await _tell(socket, await asyncio.to_thread(hearing.feed, content), bounds)
            continue
        if _fields(message) != {"end": True}:
            raise _RefusalError('a text message must be {"end": true}. Send sound in binary messages', _REFUSED)
        await _tell(socket, await asyncio.to_thread(hearing.finish), bounds)
        await _tell_end(socket, {"end": True, "heard_s": hearing.heard_s}, _DONE, bounds)
        return


async def _opening(socket: WebSocket, bounds: Bounds, token: str | None) -> Opening:
    message = await _received(socket, bounds.max_head_s)
    try:
        opening = Opening.model_validate(_fields(message))
    except ValidationError as error:
        raise _RefusalError(_why_not(error), _REFUSED) from None
    if token is not None and not is_token(opening.token, token):
        raise _RefusalError("the token is missing or wrong. Send it as 'token' in the first message", _REFUSED)
    return opening


def _why_not(error: ValidationError) -> str:
    """Return in a sentence what is wrong with a first message."""
    first = error.errors()[0]
    field = shortened(".".join(str(part) for part in first["loc"]))
    if not field:
        return f"the first message must be JSON with any of {', '.join(Opening.model_fields)}. Then send sound"
    if first["type"] == "extra_forbidden":
        return f"{field} is nothing that a stream can be opened with.{did_you_mean(field, Opening.model_fields)}"
    rule = str(first["msg"]).removeprefix("Input should be ")
    return f"{field} must be {rule}, got {shortened(repr(first['input']))}. Send another first message"


async def _received(socket: WebSocket, patience_s: float) -> dict[str, Any]:
    try:
        async with asyncio.timeout(patience_s):
            message = dict(await socket.receive())
    except TimeoutError:
        raise _RefusalError(f"nothing came for {patience_s:g} s. Open another stream", _LATER) from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", _DONE))
    return message


def _fields(message: dict[str, Any]) -> object:
    """Return the JSON of a text message; anything else is told as None, which no message may be."""
    try:
        return json.loads(message.get("text") or "")
    except (ValueError, RecursionError):
        return None


async def _tell(socket: WebSocket, told: Iterable[Told], bounds: Bounds) -> None:
    for answer in told:
        more = {"probabilities": answer.probabilities} if isinstance(answer, Span) else {}
        await _send(socket, {**answer.as_dict(), **more}, bounds)


async def _send(socket: WebSocket, told: dict[str, Any], bounds: Bounds) -> None:
    try:
        async with asyncio.timeout(bounds.max_idle_s):
            await socket.send_json(told)
    except TimeoutError:
        raise WebSocketDisconnect(_LATER) from None  # it reads nothing, and would not read why


async def _tell_end(socket: WebSocket, told: dict[str, Any], code: int, bounds: Bounds) -> None:
    try:
        await _send(socket, told, bounds)
        # a client that is still sending gets to see the reason alone; it may have 123 bytes
        await socket.close(code, str(told.get("error", "")).encode()[:123].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):  # RuntimeError: starlette's word for a socket that is gone
        return
