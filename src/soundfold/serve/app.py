"""The application: three addresses, bounds on what a request may cost, and errors as `{"error": "…"}`."""

import asyncio
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect

from soundfold.errors import AudioError, SoundfoldError, TooLongError
from soundfold.runtime import Model
from soundfold.serve.upload import read_body, take_sound
from soundfold.wording import counted

__all__ = ["build_app"]

_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}
_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": _BINARY}, "multipart/form-data": {"schema": _FORM}},
}
_TOLD = {
    404: "there is nothing at this address. See /openapi.json for those that there are",
    405: "this address takes another method. See /openapi.json",
}


def build_app(
    model: Model,
    *,
    max_bytes: int = 50_000_000,
    max_s: float = 600.0,
    concurrency: int = 8,
    max_read_s: float = 60.0,
) -> FastAPI:
    """Return the application that answers for a model.

    The addresses: `POST /v1/predict` (a sound as the body, or as the one file of a form), `GET /v1/models`,
    `GET /healthz`. Sounds stay in memory, at most about three times `max_bytes` for each of `concurrency` requests,
    and are worked on in threads.

    Args:
        model: an opened model; used by several threads at once.
        max_bytes: largest body, at least 1; beyond it 413.
        max_s: longest sound in seconds, above 0; beyond it 413, before it is decoded where its header tells.
        concurrency: requests that may be read and worked on at once, at least 1; beyond it 429.
        max_read_s: seconds that a body may take to arrive, above 0; beyond it 408. It keeps slow senders from holding
            all the places.

    Raises:
        SoundfoldError: a bound is out of range.
    """
    _check_bounds(max_bytes, max_s, concurrency, max_read_s)
    places = asyncio.Semaphore(concurrency)
    # The page of documentation that comes with FastAPI fetches its scripts from elsewhere; /openapi.json does not.
    app = FastAPI(title="soundfold", summary="Sound in, label out", version="1", docs_url=None, redoc_url=None)
    app.add_exception_handler(AnyHTTPException, _tell_refusal)
    app.add_exception_handler(Exception, _tell_failure)

    def answer(body: bytes, content_type: str) -> list[dict[str, Any]]:
        sound = take_sound(body, content_type)
        try:
            found = model.predict(sound if sound.name else body, max_s=max_s)
        except TooLongError:
            told = (
                f"{sound.name or 'the sound'}: lasts longer than {max_s:g} s, the most that is taken here. Send a part"
            )
            raise HTTPException(413, told) from None
        except AudioError as error:
            raise HTTPException(422, str(error)) from None
        return [{**found.as_dict(), "path": sound.name}]

    @app.post("/v1/predict", summary="What a sound is", openapi_extra={"requestBody": _BODY})
    async def predict(request: Request) -> JSONResponse:
        if places.locked():
            working = counted(concurrency, "sound is", "sounds are")
            told = f"{working} being worked on, the most that are at once. Ask again in a second"
            raise HTTPException(429, told, {"Retry-After": "1"})
        async with places:
            try:
                async with asyncio.timeout(max_read_s):
                    body = await read_body(request, max_bytes)
            except TimeoutError:
                told = f"the upload took longer than {max_read_s:g} s. Send a smaller one, or over a faster line"
                raise HTTPException(408, told) from None
            except ClientDisconnect:
                raise HTTPException(400, "the upload broke off. Send it again") from None
            answers = await run_in_threadpool(answer, body, request.headers.get("content-type", ""))
        return JSONResponse(answers)

    @app.get("/v1/models", summary="What the model knows, and how well")
    async def models() -> JSONResponse:
        card = model.card
        told = card.model_dump(mode="json", include={"labels", "sample_rate", "channels", "window", "scores"})
        several = {"answer": "several"} if card.answer == "several" else {}
        return JSONResponse([{**told, **several, "window_s": card.window_s}])

    @app.get("/healthz", summary="Whether the server is up")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return app


async def _tell_refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    told = _TOLD.get(error.status_code, error.detail)
    return JSONResponse({"error": told}, error.status_code, error.headers)


async def _tell_failure(_: Request, __: Exception) -> JSONResponse:
    """Answer for a fault of ours; the traceback goes to the server's log alone."""
    return JSONResponse({"error": "the server failed at this request; its log says why"}, 500)


def _check_bounds(max_bytes: int, max_s: float, concurrency: int, max_read_s: float) -> None:
    for name, value in (("max_bytes", max_bytes), ("concurrency", concurrency)):
        if value < 1:
            raise SoundfoldError(f"{name} must be at least 1, got {value}. Give a larger one")
    for name, seconds in (("max_s", max_s), ("max_read_s", max_read_s)):
        if not seconds > 0:
            raise SoundfoldError(f"{name} must be above 0 s, got {seconds}. Give a larger one")
