"""Worker processes, one a core, that answer for many sounds; what one sound does to its process harms no other sound.

Why processes. Threads of one process wait for each other, as only one of them may run Python at a time, and between
numpy's operations they must. A process of its own has no one to wait for. It also may crash: a decoder of C that a
broken file brings down takes one worker with it, which is started again.
"""

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Self

from soundfold.errors import RunError
from soundfold.runtime.worker_feed import Worker
from soundfold.runtime.worker_share import Answer, Digests, Share, Task

__all__ = ["PATIENCE_S", "Answer", "Workers"]

PATIENCE_S = 120.0
"""How long a worker may give no sign of life; it gives one at least every few windows."""


class Workers:
    """Processes that answer for sounds by models. They begin at once in a context, else with the first sound.

    Args:
        models: the model files.
        size: processes.
        options: of `Model.predict`, for all sounds that bring none of their own.
        digests: of `Model.digest`, where they are open already; no worker answers by other files than these.
        patience_s: a sound whose worker gives no sign of life for so long is given up.
        on_heard: called now and then with the seconds of sound that were heard since the last call, by any thread.
        on_passes: called likewise with the number of windows of each pass of a network since the last call.
    """

    def __init__(
        self,
        models: Sequence[Path],
        size: int,
        options: dict[str, Any] | None = None,
        *,
        digests: Sequence[str] | None = None,
        patience_s: float = PATIENCE_S,
        on_heard: Callable[[float], object] | None = None,
        on_passes: Callable[[list[int]], object] | None = None,
    ) -> None:
        self._keys = count()
        self._share = Share()
        told = json.dumps([[str(model.absolute()) for model in models], options or {}], default=asdict)
        code = f"import json; from soundfold.runtime.worker import work; work(*json.loads({told!r}))"
        same = Digests(models, digests)

        def tell(seconds: float, passes: list[int]) -> None:
            if on_heard is not None:
                on_heard(seconds)
            if on_passes is not None:
                on_passes(passes)

        self._workers = [Worker(self._share, code, same, patience_s, tell) for _ in range(size)]
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._watch_them, args=(min(1.0, patience_s / 4),), daemon=True)
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes; sounds that have no answer yet are cancelled, or told that they will get none."""
        self._over.set()
        for worker in self._workers:
            worker.stop()
        for task in self._share.close():
            task.future.cancel()
        if self._watch.ident is not None:
            self._watch.join()
            for worker in self._workers:
                worker.thread.join()

    def submit(
        self,
        sound: str | bytes,
        *,
        model: int = 0,
        name: str | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        until: float | None = None,
        **options: Any,
    ) -> "Future[Answer]":
        """Ask for the answer for a sound, or a part of it.

        Args:
            sound: where the file is, or its bytes.
            model: which of the models answers.
            name: what the answer calls it; by default its path, of bytes "".
            start_s, end_s: the part to listen to.
            until: when it is given up, by `time.monotonic`.
            options: of `Model.predict`, beside those that all sounds have.

        Returns:
            A future of the answer, or of what is wrong with the sound. It raises only where the workers cannot work.
            Once cancelled, a sound that no worker has begun with is never begun with.
        """
        content = sound if isinstance(sound, bytes) else None
        file = None if isinstance(sound, bytes) else sound
        key = next(self._keys)
        request = {
            "key": key,
            "model": model,
            "file": file,
            "name": (file or "") if name is None else name,
            "size": None if content is None else len(content),
            "until": until,
            "options": {"start_s": start_s, "end_s": end_s, **options},
        }
        line = json.dumps(request).encode() + b"\n"
        task = Task(key, file or name or "the sound", line, content or b"", until)
        if self._over.is_set():
            raise RunError("the workers must be in use, got one that has ended. Open others")
        self._start()
        self._share.put(task)
        return task.future

    @property
    def is_ready(self) -> bool:
        """Whether a process has opened the models."""
        return self._share.is_ready

    def _start(self) -> None:
        with self._starting:
            if self._watch.ident is None:
                self._watch.start()
                for worker in self._workers:
                    worker.thread.start()

    def _watch_them(self, every_s: float) -> None:
        while not self._over.wait(every_s):
            for worker in self._workers:
                worker.end_if_stuck()
