"""Answers on their way from one process to another: a line of JSON, then the probabilities as they stand in memory.

As numbers in JSON the probabilities of 527 labels would take longer than the network does. Nothing is pickled: a
process that has read a stranger's file cannot make the one that listens to it run code.
"""

import json
from typing import IO, Any

import numpy as np

from soundfold import errors
from soundfold.errors import SoundfoldError
from soundfold.runtime.answer import Prediction, Span
from soundfold.runtime.events import Event

__all__ = ["read_answer", "read_message", "write_answer", "write_message"]


def write_message(file: IO[bytes], kind: str, *told: object) -> None:
    """Write one message and send it off."""
    file.write(json.dumps([kind, *told]).encode() + b"\n")
    file.flush()


def read_message(file: IO[bytes]) -> list[Any] | None:
    """Return the next message; None where the other side has gone, be it in the middle of one."""
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    message: list[Any] = json.loads(line)
    return message


def write_answer(file: IO[bytes], key: int | None, answer: Prediction | SoundfoldError) -> None:
    """Write the answer for a sound, and what tells it from others."""
    if isinstance(answer, SoundfoldError):
        write_message(file, "error", key, type(answer).__name__, str(answer))
        return
    lean = any(len(span.probabilities) < len(answer.probabilities) for span in answer.timeline)
    rows = [] if lean else [list(span.probabilities.values()) for span in answer.timeline]
    spans = [_fields(span, () if lean else ("probabilities",)) for span in answer.timeline]
    events = [event.as_dict() for event in answer.events]
    whole = _fields(answer, ("timeline", "events"))
    file.write(json.dumps(["answer", key, whole, spans, events, len(rows)]).encode() + b"\n")
    file.write(np.array(rows, np.float64).tobytes())
    file.flush()


def read_answer(file: IO[bytes], message: list[Any]) -> Prediction | SoundfoldError | None:
    """Return the answer that a message begins; None where the other side has gone before all of it came."""
    if message[0] == "error":
        error: SoundfoldError = getattr(errors, message[2])(message[3])
        return error
    _, _, whole, spans, events, rows = message
    labels = list(whole["probabilities"])
    content = file.read(8 * len(labels) * rows)
    if len(content) < 8 * len(labels) * rows:
        return None
    if rows:
        for span, row in zip(spans, np.frombuffer(content, np.float64).reshape(rows, -1).tolist(), strict=True):
            span["probabilities"] = dict(zip(labels, row, strict=True))
    timeline = tuple(Span(**_with_tuple(span)) for span in spans)
    return Prediction(**_with_tuple(whole), timeline=timeline, events=tuple(Event(**event) for event in events))


def _fields(answer: Prediction | Span, sent_apart: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in vars(answer).items() if name not in sent_apart}


def _with_tuple(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with their labels as they were before JSON made a list of them."""
    return fields if fields["labels"] is None else {**fields, "labels": tuple(fields["labels"])}
