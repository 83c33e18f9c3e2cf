"""The same as `hearing`, on all cores of a Ray cluster. Its nodes have soundfold installed, and see the same files.

The unit is a task of some sounds. A node that dies costs the tasks that were there: Ray gives them to other nodes, and
as the rows of a task come to us whole or not at all, none of them doubles. Within a task the sounds are heard by a
worker process, as everywhere, so that a sound that crashes its decoder costs itself alone.
"""

import getpass
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from soundfold.atomic import replacing
from soundfold.bulk.hearing import Heard, Work, ask, heard
from soundfold.bulk.listing import Sound
from soundfold.errors import RunError, needs_extra
from soundfold.runtime.workers import Workers

__all__ = ["hear_on_cluster"]

_SOUNDS = 64  # of a task: some tenths of a second for short ones
_TASKS = 3  # under way for each core, so that none of them waits for us
_LOOK_EVERY_S = 1.0


def hear_on_cluster(work: Work, sounds: Iterable[Sound], address: str) -> Iterator[Heard]:
    """Yield the sounds' rows in the order in which they come.

    Args:
        work: what is to be done.
        sounds: taken some at a time.
        address: of the cluster; "auto" for the one this machine is in, "local" for one of this machine alone.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: there is no such cluster.
    """
    with needs_extra("cluster", "bulk --ray"):
        import ray
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as error:
            told = str(error).splitlines()[0]
            raise RunError(
                f"ray: no cluster answers at '{address}' ({told}). Start one with: ray start --head"
            ) from None
    try:
        yield from _heard_by(ray, work, iter(sounds))
    finally:
        if ours:
            ray.shutdown()


def _heard_by(ray: Any, work: Work, sounds: Iterator[Sound]) -> Iterator[Heard]:
    # any number of tries: what fails is a node, never a sound, which its worker process answers for
    task = ray.remote(max_retries=-1, num_cpus=1)(_hear)
    model = ray.put(work.model.read_bytes())
    told = (json.dumps(work.options), work.patience_s, work.schema)
    under_way: list[Any] = []
    more = True
    while more or under_way:
        while more and len(under_way) < max(1, _TASKS * int(ray.cluster_resources().get("CPU", 0))):
            some = list(islice(sounds, _SOUNDS))
            if some:
                under_way.append(task.remote(model, *told, some))
            more = len(some) == _SOUNDS
        ready, under_way = ray.wait(under_way, timeout=_LOOK_EVERY_S) if under_way else ([], [])
        try:
            for result in ready:
                yield ray.get(result)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        if not ready:
            yield heard([], work.schema)


def _hear(model: bytes, options: str, patience_s: float, schema: pa.Schema, sounds: list[Sound]) -> Heard:
    """Hear some sounds; what a process of Ray runs."""
    workers = _workers(model, options, patience_s)
    asked = [(sound.name, ask(workers, sound)) for sound in sounds]
    return heard([(name, future.result()) for name, future in asked], schema)


@lru_cache(maxsize=1)
def _workers(model: bytes, options: str, patience_s: float) -> Workers:
    """Return a worker process that is kept from task to task; it ends with the process of Ray that has it."""
    return Workers([_kept(model)], 1, json.loads(options), patience_s=patience_s).__enter__()


def _kept(model: bytes) -> Path:
    """Return a file that holds the model, one for all tasks and calls on a node.

    Ray ends its processes without a word, so that files of their own would stay, one a process and call.
    """
    folder = Path(tempfile.gettempdir()) / f"soundfold-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="soundfold-"))  # somebody else's could be changed under us
    path = folder / f"{hashlib.blake2b(model, digest_size=16).hexdigest()}.onnx"
    if not path.exists() or path.read_bytes() != model:
        with replacing(path) as part:
            part.write_bytes(model)
    return path
