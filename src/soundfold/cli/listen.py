"""The verb `soundfold listen`: its options, and what is done with what is heard."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from soundfold.cli.options import path_or_refuse
from soundfold.errors import AudioError, PathError

if TYPE_CHECKING:
    from soundfold.formats import EventFormat
    from soundfold.runtime import Event, Model
    from soundfold.runtime.listening import Listening, SoundSource

__all__ = ["listen"]


class Output(StrEnum):
    """What stdout gets."""

    text = "text"
    jsonl = "jsonl"


def listen(
    model: Annotated[
        Path | None,
        typer.Argument(
            parser=path_or_refuse, metavar="MODEL", help="A model file, or a run's folder.", show_default=False
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="NAME|N", help="A microphone's number or part of its name.", show_default=False
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the microphones and leave.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=path_or_refuse,
            metavar="FILE",
            help="Play a file in place of a microphone.",
            show_default=False,
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option("--speed", help="How much faster than it lasts the file is played; 0: as fast as can be.")
    ] = 1.0,
    hop: Annotated[
        float | None,
        typer.Option("--hop", metavar="SECONDS", help="From one answer to the next; 0.5, or less, if not given."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", help="Probability of an event; the model's own, or 0.5, if not given.", show_default=False
        ),
    ] = None,
    min_s: Annotated[float, typer.Option("--min-length", metavar="SECONDS", help="Leave shorter events out.")] = 0.0,
    gap_s: Annotated[float, typer.Option("--gap", metavar="SECONDS", help="Bridge gaps in an event up to this.")] = 0.0,
    events: Annotated[
        Path | None,
        typer.Option(
            "--events",
            parser=path_or_refuse,
            metavar="FILE",
            help="Write events as they end: .csv, .txt (Audacity labels) or .tsv (Raven).",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        Output, typer.Option("--format", help="On stdout: text, or jsonl with a JSON document a line.")
    ] = Output.text,
) -> None:
    """Say what a microphone hears, until Ctrl-C. Needs no PyTorch."""
    if list_:
        _print_devices()
        return
    if model is None:
        raise PathError("listen must be told a model, got none. Say: soundfold listen MODEL")
    from soundfold.runtime import Joining, load
    from soundfold.runtime.listening import Listening

    if file is not None and device is not None:
        raise AudioError(f"--from and --device must not both be given, got '{file}' and '{device}'. Leave one out")
    opened = load(model)
    joining = Joining(threshold, min_s, gap_s)
    source = _source(file, device, speed)
    hop = min(0.5, opened.card.window_s) if hop is None else hop
    listening = Listening(opened, source, hop_s=hop, joining=joining)
    with _writing(events, opened) as write, listening, _stopped_by_signals(listening):
        _follow(listening, opened, source.name, write, format_)
    if listening.broke:
        raise AudioError(listening.broke)


def _follow(listening: "Listening", model: "Model", name: str, write: "_Writer | None", format_: Output) -> None:
    """Show and write all that is heard, to the end."""
    from soundfold.cli.live_view import LiveView
    from soundfold.runtime import Event, Gap, Span
    from soundfold.runtime.listening import Note

    with LiveView(name, model.labels, quiet=format_ is Output.jsonl) as view:
        for heard in listening:
            if isinstance(heard, Event) and write is not None:
                write.event(name, heard)
            if format_ is Output.text:
                view.show(heard)
            elif isinstance(heard, Note):
                _print_line({"kind": "note", "note": str(heard)})
            elif isinstance(heard, Span | Event | Gap):
                _print_line({"kind": type(heard).__name__.lower(), **heard.as_dict()})
        view.farewell(listening.heard_s)


def _print_line(told: dict[str, object]) -> None:
    print(json.dumps(told), flush=True)  # escaped, so that it can be read whatever stdout can show


def _source(file: Path | None, device: str | None, speed: float) -> "SoundSource":
    if file is not None:
        from soundfold.runtime.played import PlayedFile

        return PlayedFile(file, speed=speed)
    from soundfold.runtime.microphone import Microphone, find_device

    return Microphone(find_device(device))


def _print_devices() -> None:
    from soundfold.runtime.microphone import input_devices

    found = input_devices()
    if not found:
        print("soundfold: there is no microphone on this machine", file=sys.stderr)
    for one in found:
        mark = "*" if one.is_default else " "
        print(f"{mark}\t{one.number}\t{one.name}\t{one.system}\t{one.channels}\t{one.sample_rate} Hz")


class _Writer:
    """Writes events as they end, each to the disk's cache at once: a kill loses none that was told."""

    def __init__(self, file: TextIO, form: "EventFormat") -> None:
        self._file, self._form = file, form
        self._put(form.head())

    def event(self, name: str, event: "Event") -> None:
        self._put(self._form.events(name, [event]))

    def _put(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


@contextmanager
def _writing(path: Path | None, model: "Model") -> Iterator[_Writer | None]:
    """Open the file of events; nothing is overwritten."""
    if path is None:
        yield None
        return
    from soundfold.atomic import naming, refuse_existing
    from soundfold.formats import AudacityLabels, CsvRows, RavenSelections

    kinds: dict[str, Callable[[], EventFormat]] = {
        ".csv": CsvRows,
        ".txt": AudacityLabels,
        ".tsv": lambda: RavenSelections(model.card.sample_rate / 2),
    }
    if path.suffix.lower() not in kinds:
        raise PathError(
            f"--events must end in .csv, .txt (Audacity labels) or .tsv (Raven selections), got '{path}'. Rename it"
        )
    refuse_existing(path, "--events")
    with naming(path), path.open("x", encoding="utf-8", newline="") as file:
        yield _Writer(file, kinds[path.suffix.lower()]())


@contextmanager
def _stopped_by_signals(listening: "Listening") -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the listening in order; the next Ctrl-C breaks it off."""

    def stop(*_: object) -> None:
        listening.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
