"""The address that answers for a whole sound: `POST /v1/predict`."""

import time
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from soundfold.serve.bounds import Bounds
from soundfold.serve.desk import Desk
from soundfold.serve.metrics import Metrics
from soundfold.serve.schemas import ERRORS, PREDICT_BODY, PREDICTIONS, told_errors
from soundfold.serve.upload import read_body

__all__ = ["add_predict"]


def add_predict(app: FastAPI, desk: Desk, bounds: Bounds, metrics: Metrics) -> None:
    """Let an application answer for the sound that a request brings.

    Args:
        app: the application.
        desk: has the models and the places.
        bounds: what a request may cost.
        metrics: counts requests and their seconds.
    """

    class Asked(BaseModel):
        """What may stand behind the address; anything else is refused, as it would be without effect."""

        model_config = ConfigDict(extra="forbid")

        model: str | None = Field(None, description="name of the model; the first where none is named")
        hop_s: float | None = Field(
            None, ge=bounds.min_hop_s, allow_inf_nan=False, description="seconds from one window to the next"
        )

    @app.post(
        "/v1/predict",
        summary="What a sound is",
        openapi_extra={"requestBody": PREDICT_BODY},
        responses=PREDICTIONS | told_errors(*ERRORS),
    )
    async def predict(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        began = time.perf_counter()
        status = 500
        try:
            answered = await _predicted(request, asked.model, asked.hop_s)
            status = 200
        except HTTPException as refusal:
            status = refusal.status_code
            raise
        finally:
            metrics.requests.labels(str(status)).inc()
        metrics.seconds.observe(time.perf_counter() - began)
        return answered

    async def _predicted(request: Request, name: str | None, hop_s: float | None) -> Response:
        given = [each for each, _ in request.query_params.multi_items()]
        if len(given) > len(set(given)):
            twice = next(each for each in given if given.count(each) > 1)
            raise HTTPException(422, f"{twice} must be given once. All but the last would have no effect")
        name = desk.name(name)
        with desk.place() as place:
            try:
                body = await read_body(request, bounds)
            except ClientDisconnect:
                raise HTTPException(400, "the upload broke off. Send it again") from None
            kind = request.headers.get("content-type", "")
            found = await desk.answer(place, name, body, kind, hop_s)
        return JSONResponse([found.as_dict()])
