"""The addresses that tell how the server is and what it knows: `/v1/models`, `/healthz`, `/readyz`, `/metrics`."""

import asyncio

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from soundfold.serve.desk import Desk
from soundfold.serve.metrics import Metrics
from soundfold.serve.schemas import MODELS, STATUS, told_errors
from soundfold.serve.served_card import told_card

__all__ = ["add_state"]


def add_state(app: FastAPI, desk: Desk, metrics: Metrics) -> None:
    """Let an application tell of its models, its health and its work."""

    @app.get("/v1/models", summary="What the models know, and how well", responses=MODELS | told_errors(401, 403))
    async def told_models() -> JSONResponse:
        return JSONResponse([told_card(model.card, name) for name, model in desk.models.items()])

    @app.get("/healthz", summary="Whether the server is up", responses=STATUS)
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", summary="Whether a sound would be taken now", responses=STATUS | told_errors(503))
    async def readyz() -> JSONResponse:
        if desk.is_full or not desk.is_open:
            told = "all places are taken" if desk.is_full else "no worker has opened the models yet"
            return JSONResponse({"error": f"{told}. Ask again in a second"}, 503, {"Retry-After": "1"})
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def told_metrics() -> Response:
        text = await asyncio.to_thread(metrics.text)
        return Response(text, headers={"content-type": metrics.content_type})
