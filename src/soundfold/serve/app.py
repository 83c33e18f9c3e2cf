"""The application: what its addresses share, and errors as `{"error": "…"}`."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from soundfold import __version__
from soundfold.cores import usable_cores
from soundfold.errors import did_you_mean
from soundfold.runtime import Model
from soundfold.runtime.workers import Workers
from soundfold.serve.access import Access, check_host_names, check_token
from soundfold.serve.bounds import Bounds
from soundfold.serve.desk import Desk
from soundfold.serve.draining import Draining
from soundfold.serve.live import add_stream
from soundfold.serve.metrics import Metrics
from soundfold.serve.naming import shortened
from soundfold.serve.page import add_page
from soundfold.serve.predicting import add_predict
from soundfold.serve.state import add_state

__all__ = ["build_app"]

_TOLD = {
    404: "there is nothing at this address. See /openapi.json",
    405: "this address takes another method. See /openapi.json",
}


def build_app(
    models: Model | Mapping[str, Model],
    bounds: Bounds | None = None,
    *,
    workers: Workers | None = None,
    token: str | None = None,
    host_names: Collection[str] | None = None,
) -> FastAPI:
    """Return the application that answers for models.

    The addresses: the page at `/`, `POST /v1/predict` (a sound as the body, or as the one file of a form),
    `WS /v1/stream`, `GET /v1/models`, `/healthz`, `/readyz`, `/metrics` and `/openapi.json`. Sounds stay in memory, at
    most about three times `max_bytes` for each of `concurrency` requests, and are worked on in processes of their own.

    Args:
        models: an opened model, or several by name, the first of which answers where none is named.
        bounds: what a request may cost; None for the defaults.
        workers: what answers for uploads, by the models' files in their order, whatever was changed of the models in
            memory; None for a process a core (no more than `concurrency`), from the application's start to its end.
        token: what whoever asks must send as a bearer token; None where anybody may ask.
        host_names: names under which it may be asked beside those of the loopback (`localhost`, `127.0.0.1`), empty for
            those alone; None for any. A server without a token that this machine alone hears should not take any: a
            page of another site could have its own name lead there.

    Raises:
        SoundfoldError: a bound is out of range, the token none that a header can bring, or a host name none.
    """
    check_token(token)
    names = check_host_names(host_names)
    bounds = bounds or Bounds()
    named = models if isinstance(models, Mapping) else {"model": models}
    metrics = Metrics()
    desk = Desk(named, workers or _own_workers(named.values(), bounds, metrics), bounds, metrics)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        # others each time: a server that is started again has ended those that it had
        with nullcontext(workers) if workers else _own_workers(named.values(), bounds, metrics) as desk.workers:
            yield

    # The page of documentation that comes with FastAPI fetches its scripts from elsewhere; /openapi.json does not.
    app = FastAPI(
        title="soundfold",
        summary="Sound in, label out",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a client that follows one to its own address would leave the token behind
        lifespan=life,
    )
    app.add_middleware(Access, token=token, host_names=names)
    app.add_middleware(Draining)  # outside of it: the one that is added last is the first to hear
    app.add_exception_handler(AnyHTTPException, _tell_refusal)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(Exception, _tell_failure)

    add_predict(app, desk, bounds, metrics)
    add_state(app, desk, metrics)
    add_stream(app, desk, bounds, metrics, token, names)
    add_page(app)
    return app


def _own_workers(models: Collection[Model], bounds: Bounds, metrics: Metrics) -> Workers:
    return Workers(
        [model.path for model in models],
        min(usable_cores(), bounds.concurrency),
        digests=[model.digest for model in models],
        patience_s=bounds.max_work_s / 3,  # others that wait behind a sound that hangs still have their time
        on_passes=metrics.passed,
    )


async def _tell_refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    told = (
        _TOLD.get(error.status_code, error.detail)
        if error.detail in ("Not Found", "Method Not Allowed")
        else error.detail
    )
    return JSONResponse({"error": told}, error.status_code, error.headers)


async def _tell_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        name = shortened(str(first["loc"][-1]))
        return _refused(f"{name} is no parameter of this address.{did_you_mean(name, ('model', 'hop_s'))}")
    rule = str(first["msg"]).removeprefix("Input should be ").replace("Value error, ", "")
    return _refused(f"{first['loc'][-1]} must be {rule}, got {shortened(repr(first.get('input')))}. See /openapi.json")


def _refused(told: str) -> JSONResponse:
    return JSONResponse({"error": "".join(sign if sign.isprintable() else "?" for sign in told)}, 422)


async def _tell_failure(_: Request, __: Exception) -> JSONResponse:
    """Answer for a fault of ours; the traceback goes to the server's log alone."""
    return JSONResponse({"error": "the server failed at this request; its log says why"}, 500)
