"""What a worker process does: it opens the model, and answers for one sound after the other until its parent is gone.

parent → worker   {"file", "name", "start_s", "end_s"}, a line of JSON each
worker → parent   ["ready"], then for each sound ["heard", seconds]… and its answer, in the order they came in
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from soundfold.errors import AudioError, SoundfoldError
from soundfold.runtime.answer import Prediction
from soundfold.runtime.answer_lines import write_answer, write_message
from soundfold.runtime.events import Joining
from soundfold.runtime.model import Model

__all__ = ["work"]

_TELL_EVERY_S = 0.5


def work(path: str, options: dict[str, Any]) -> None:
    """Answer for the sounds that standard input names.

    Args:
        path: the model file.
        options: of `Model.predict`, the same for all sounds, as JSON holds them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it, and ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not stand among the answers
    if options.get("joining"):
        options["joining"] = Joining(**options["joining"])
    asked: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    try:
        model = Model(Path(path))
    except SoundfoldError as error:
        write_answer(answers, error)
        return
    write_message(answers, "ready")
    while True:
        write_answer(answers, _answer(model, json.loads(asked.get()), options, _telling(answers)))


def _listen(requests: IO[bytes], asked: "SimpleQueue[bytes]") -> None:
    """Take requests as they come; leave at once when there will be no more, for then nobody waits for an answer."""
    for line in requests:
        asked.put(line)
    os._exit(0)


def _answer(
    model: Model, asked: dict[str, Any], options: dict[str, Any], heard: Callable[[float], None]
) -> Prediction | SoundfoldError:
    try:
        part = {"start_s": asked["start_s"], "end_s": asked["end_s"]}
        answer = model.predict(asked["file"], on_heard=heard, **part, **options)
    except SoundfoldError as error:
        return error
    except MemoryError:
        return AudioError(f"{asked['file']}: needs more memory than there is. Give this process more, or cut the sound")
    except Exception as error:  # the other sounds shall not suffer for it
        problem = f"{type(error).__name__}: {error}"
        return AudioError(f"{asked['file']}: soundfold failed on it ({problem}). Please report this, with the file")
    return replace(answer, path=asked["name"])


def _telling(answers: IO[bytes]) -> Callable[[float], None]:
    """Return what tells the parent now and then how many seconds were heard since it was told last."""
    told_at, untold_s = time.monotonic(), 0.0

    def heard(seconds: float) -> None:
        nonlocal told_at, untold_s
        untold_s += seconds
        if time.monotonic() - told_at > _TELL_EVERY_S:
            write_message(answers, "heard", untold_s)
            told_at, untold_s = time.monotonic(), 0.0

    return heard
