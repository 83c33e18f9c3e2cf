"""TensorBoard's file of events, written in step with the training.

torch's own writer hands events to a thread. What goes wrong there, a full disk say, ends in that thread's traceback and
never reaches whoever could tell of it in a sentence.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from soundfold.atomic import naming

__all__ = ["EventsFile"]

_VERSION = "brain.Event:2"  # what every reader of such files asks for in the first event


class EventsFile:
    """A file of scalars in a run's folder, which TensorBoard finds by its name.

    Args:
        folder: the run's.
        first_step: what an earlier, killed attempt wrote from this step on does not count.

    Raises:
        OSError: the file cannot be written; its name is in the error.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self._file = self._path.open("ab")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version=_VERSION))
        self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of a step, tag → value."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with naming(self._path):
            self._records.write(event.SerializeToString())
            self._records.flush()
