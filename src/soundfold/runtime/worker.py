"""What a worker process does: it opens the models, and answers for sounds until its parent is gone.

parent → worker   a line of JSON for each sound: {"key", "model", "file", "name", "until", "options"}; where its bytes
                  are sent instead of a file, "size", and the bytes behind the line
worker → parent   ["ready", digests of the models] or an error whose key is null; then
                  ["at", key] before a sound is decoded on, so that it is known who ended the process
                  ["heard", seconds, windows of each pass] now and then
                  each sound's answer or error with its key, in any order
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from soundfold.errors import FaultError, SoundfoldError, TooLateError
from soundfold.runtime.answer import Prediction
from soundfold.runtime.answer_lines import write_answer, write_message
from soundfold.runtime.events import Joining
from soundfold.runtime.model import Model
from soundfold.runtime.passes import Hearing, UnderWay, hear_together

__all__ = ["work"]

_TELL_EVERY_S = 0.5

_Request = tuple[dict[str, Any], bytes | None]


def work(paths: list[str], defaults: dict[str, Any]) -> None:
    """Answer for the sounds that standard input names.

    Args:
        paths: the model files.
        defaults: options of `Model.hear` for sounds that bring none, as JSON holds them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it, and ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not stand among the answers
    if defaults.get("joining"):
        defaults["joining"] = Joining(**defaults["joining"])
    try:
        _answer(answers, paths, defaults)
    except BrokenPipeError:  # the parent was killed, and nobody is left to tell
        os._exit(0)


def _answer(answers: IO[bytes], paths: list[str], defaults: dict[str, Any]) -> None:
    try:
        models = [Model(Path(path)) for path in paths]
    except SoundfoldError as error:
        write_answer(answers, None, error)
        return
    write_message(answers, "ready", [model.digest for model in models])
    requests: SimpleQueue[_Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    telling = _Telling(answers)
    known: dict[int, dict[str, Any]] = {}

    def next_sound(wait: bool) -> UnderWay | None:
        try:
            request, content = requests.get(block=wait)
        except Empty:
            return None
        known[request["key"]] = request
        model = models[request["model"]]
        return UnderWay(request["key"], model.probabilities, _hearing(model, request, content, defaults, telling.heard))

    for key, answer in hear_together(next_sound, on_turn=telling.turned, on_pass=telling.passed):
        if requests.empty():
            telling.tell()  # before the answer: the parent does not listen after the last one
        write_answer(answers, key, _worded(answer, known.pop(key)))


def _listen(stdin: IO[bytes], requests: "SimpleQueue[_Request]") -> None:
    """Take requests as they come; leave at once when there will be no more, for then nobody waits for an answer."""
    for line in stdin:
        request = json.loads(line)
        size = request["size"]
        try:
            content = None if size is None else stdin.read(size)
        except MemoryError:
            break  # the next process may have it
        if content is not None and len(content) < size:
            break
        requests.put((request, content))
    os._exit(0)


def _hearing(
    model: Model,
    request: dict[str, Any],
    content: bytes | None,
    defaults: dict[str, Any],
    heard: Callable[[float], None],
) -> Hearing:
    """Hear a sound as long as somebody waits for it."""

    def in_time(seconds: float = 0.0) -> None:
        if request["until"] is not None and time.monotonic() > request["until"]:
            raise TooLateError(f"{_called(request)}: takes longer than it may. Send a part of it, or ask later")
        if seconds:
            heard(seconds)

    in_time()
    return (
        yield from model.hear(
            request["file"] if content is None else content,
            name=request["file"] if content is None else request["name"],
            on_heard=in_time,
            **defaults | request["options"],
        )
    )


def _worded(answer: Prediction | Exception, request: dict[str, Any]) -> Prediction | SoundfoldError:
    """Return the answer under the sound's name, or what went wrong in words."""
    if isinstance(answer, Prediction):
        return replace(answer, path=request["name"])
    if isinstance(answer, SoundfoldError):
        return answer
    if isinstance(answer, BrokenPipeError):  # raised by what tells of turns
        raise answer
    if isinstance(answer, MemoryError):
        return FaultError(f"{_called(request)}: needs more memory than there is. Give soundfold more, or cut the sound")
    traceback.print_exception(answer)
    problem = f"{type(answer).__name__}: {answer}"
    return FaultError(f"{_called(request)}: soundfold failed on it ({problem}). Please report this, with the file")


def _called(request: dict[str, Any]) -> str:
    called: str = request["file"] or request["name"] or "the sound"
    return called


class _Telling:
    """Tells the parent whose turn it is, and now and then what was heard."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self._seconds, self._told_at = 0.0, time.monotonic()
        self._passes: list[int] = []
        self._at: int | None = None

    def turned(self, key: int) -> None:
        if key != self._at:
            write_message(self._answers, "at", key)
            self._at = key

    def heard(self, seconds: float) -> None:
        self._seconds += seconds
        if time.monotonic() - self._told_at > _TELL_EVERY_S:
            self.tell()

    def passed(self, windows: int) -> None:
        self._passes.append(windows)

    def tell(self) -> None:
        if self._passes:
            write_message(self._answers, "heard", self._seconds, self._passes)
        self._seconds, self._passes, self._told_at = 0.0, [], time.monotonic()
