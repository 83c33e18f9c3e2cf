"""What a worker process does: it opens the models, and answers for sounds until its parent is gone.

parent → worker   a line of JSON for each sound: {"key", "model", "file", "name", "until", "options"}; where its bytes
                  are sent instead of a file, "size", and the bytes behind the line
worker → parent   ["ready", digests of the model files]; then ["heard", seconds, windows of each pass] now and then, and
                  each sound's answer with its key, in any order
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from soundfold.errors import AudioError, SoundfoldError
from soundfold.runtime.answer import Prediction
from soundfold.runtime.answer_lines import write_answer, write_message
from soundfold.runtime.events import Joining
from soundfold.runtime.model import Model
from soundfold.runtime.passes import Asked, hear_together

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
    requests: SimpleQueue[_Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    try:
        digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
        models = [Model(Path(path)) for path in paths]
    except OSError as error:
        write_answer(answers, None, SoundfoldError(f"{error.filename}: cannot be read ({error.strerror}). Look there"))
        return
    except SoundfoldError as error:
        write_answer(answers, None, error)
        return
    write_message(answers, "ready", digests)
    telling = _Telling(answers)
    known: dict[int, dict[str, Any]] = {}

    def next_sound(wait: bool) -> Asked | None:
        try:
            asked, content = requests.get(block=wait)
        except Empty:
            return None
        known[asked["key"]] = asked
        model = models[asked["model"]]
        hearing = model.hear(
            asked["file"] if content is None else content,
            name=asked["name"] if content is not None else asked["file"],
            on_heard=_in_time(asked["until"], telling.heard),
            **defaults | asked["options"],
        )
        return Asked(asked["key"], model.probabilities, hearing)

    for key, answer in hear_together(next_sound, telling.passed):
        if requests.empty():
            telling.tell()  # before the answer: the parent does not listen after the last one
        write_answer(answers, key, _named(answer, known.pop(key)))


def _listen(stdin: IO[bytes], requests: "SimpleQueue[_Request]") -> None:
    """Take requests as they come; leave at once when there will be no more, for then nobody waits for an answer."""
    for line in stdin:
        asked = json.loads(line)
        size = asked.get("size")
        content = None if size is None else stdin.read(size)
        if content is not None and len(content) < size:
            break
        requests.put((asked, content))
    os._exit(0)


def _named(answer: Prediction | Exception, asked: dict[str, Any]) -> Prediction | SoundfoldError:
    """Return the answer as the sound is to be called, or what went wrong in words."""
    called = asked["file"] or asked["name"] or "the sound"
    if isinstance(answer, Prediction):
        return replace(answer, path=asked["name"])
    if isinstance(answer, SoundfoldError):
        return answer
    if isinstance(answer, MemoryError):
        return AudioError(f"{called}: needs more memory than there is. Give this process more, or cut the sound")
    problem = f"{type(answer).__name__}: {answer}"
    return AudioError(f"{called}: soundfold failed on it ({problem}). Please report this, with the file")


def _in_time(until: float | None, heard: Callable[[float], None]) -> Callable[[float], None]:
    """Return what is called as a sound is heard; it ends the hearing once nobody waits for it any more."""

    def told(seconds: float) -> None:
        if until is not None and time.monotonic() > until:
            raise AudioError("the sound: took longer than it may. Send a part of it")
        heard(seconds)

    return told


class _Telling:
    """Tells the parent now and then what was heard now and then."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self._seconds, self._told_at = 0.0, time.monotonic()
        self._passes: list[int] = []

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
