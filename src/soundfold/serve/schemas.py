"""What the description at /openapi.json says of bodies and answers."""

from typing import Any

__all__ = ["ERRORS", "MODELS", "PREDICTIONS", "PREDICT_BODY", "STATUS", "told_errors"]

_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}
PREDICT_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": _BINARY}, "multipart/form-data": {"schema": _FORM}},
}

_SAID = {
    400: "a form without a file, with several, or broken off",
    401: "the token is missing or wrong",
    403: "a page of another site asks, or the server is asked under a name that it does not have",
    404: "there is no such model",
    408: "the upload took too long",
    413: "too large, or too long",
    422: "no sound that can be decoded, or a parameter out of range, given twice, or unknown",
    429: "too many at once; Retry-After says when to come again",
    503: "no answer in time; Retry-After says when to come again",
}
ERRORS = tuple(_SAID)
_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_SPAN = {
    "type": "object",
    "properties": {
        "start_s": _NUMBER,
        "end_s": _NUMBER,
        "label": _TEXT,
        "probability": _NUMBER,
        "nearest": _TEXT,
        "silent": {"type": "boolean"},
    },
    "required": ["start_s", "end_s", "label", "probability"],
}
_EVENT = {
    "type": "object",
    "properties": {"start_s": _NUMBER, "end_s": _NUMBER, "label": _TEXT, "probability": _NUMBER, "peak": _NUMBER},
    "required": ["start_s", "end_s", "label", "probability", "peak"],
}
_ANSWER = {
    "type": "object",
    "properties": {
        "path": _TEXT,
        "label": _TEXT,
        "probability": _NUMBER,
        "probabilities": {"type": "object", "additionalProperties": _NUMBER},
        "duration_s": _NUMBER,
        "events": {"type": "array", "items": _EVENT},
        "timeline": {"type": "array", "items": _SPAN},
        "labels": _TEXTS,
        "nearest": _TEXT,
    },
    "required": ["path", "label", "probability", "probabilities", "duration_s", "events"],
}
_MODEL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "labels": _TEXTS,
        "answer": {"enum": ["one", "several"]},
        "sample_rate": {"type": "integer"},
        "channels": {"type": "integer"},
        "downmix": _TEXT,
        "window": {"type": "integer"},
        "window_s": _NUMBER,
        "scores": {"type": "object"},
        "thresholds": {"type": "object", "additionalProperties": _NUMBER},
        "rejection": {"type": ["object", "null"]},
        "silence_is_unknown": {"type": "boolean"},
    },
}
_MODEL["required"] = list(_MODEL["properties"])
_ERROR = {"type": "object", "properties": {"error": _TEXT}, "required": ["error"], "additionalProperties": False}

Responses = dict[int | str, dict[str, Any]]


def told_errors(*statuses: int) -> Responses:
    """Return what the description says of these refusals."""
    return {status: _json(_SAID[status], _ERROR) for status in statuses}


def _json(said: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": said, "content": {"application/json": {"schema": schema}}}


PREDICTIONS: Responses = {200: _json("the answer, as predict --json prints it", {"type": "array", "items": _ANSWER})}
MODELS: Responses = {200: _json("the models", {"type": "array", "items": _MODEL})}
STATUS: Responses = {200: _json("it is", {"type": "object", "properties": {"status": _TEXT}, "required": ["status"]})}
