"""The verb `soundfold predict`: its options, and how its answer is printed."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.options import Json, Weights, path_or_refuse
from soundfold.cli.sounds import Named, named_sounds
from soundfold.cli.writing import FORMATS, chosen_format, writing
from soundfold.errors import PathError, SoundfoldError, needs_extra
from soundfold.wording import on_one_line

if TYPE_CHECKING:
    from soundfold.cli.console import ConsoleReporter
    from soundfold.runtime import Joining, Model, Prediction

__all__ = ["predict"]

_MOST_PROBED = 100  # of more sounds than that the number tells how far the work is, and none is opened twice


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=path_or_refuse,
            metavar="MODEL PATH…",
            help="A model file or a run, then sounds, folders of them, or patterns (**); - reads one from stdin.",
            show_default=False,
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="In place of MODEL: a network trained on AudioSet's 527 labels: mn04, mn05, mn10 or mn20.",
        ),
    ] = None,
    weights: Weights = None,
    hop: Annotated[
        float | None,
        typer.Option("--hop", metavar="SECONDS", help="From one window to the next; side by side if not given."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="P",
            help="Probability from which an event is heard; the model's own, or 0.5, if not given.",
        ),
    ] = None,
    min_length: Annotated[
        float, typer.Option("--min-length", metavar="SECONDS", help="Leave shorter events out.")
    ] = 0.0,
    gap: Annotated[
        float, typer.Option("--gap", metavar="SECONDS", help="Join events of a label with a gap up to this.")
    ] = 0.0,
    windows: Annotated[bool, typer.Option("--windows", help="Tell every window in place of events.")] = False,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            parser=path_or_refuse,
            metavar="PATH",
            help="Write a file, or a folder of them, in place of stdout.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Say what sounds are, and the events of long ones.

    Files, folders, globs, - for stdin; videos too. Needs no PyTorch.
    """
    if json_ and format_ not in (None, "json"):
        raise SoundfoldError(f"--json is short for --format json, got --format {format_} too. Say one of them")
    if weights is not None and network is None:
        raise SoundfoldError(
            f"--weights must come with --model NAME, the network that they are of, got {weights} alone: a model file "
            f"holds its own. Leave it out, or say --model mn04"
        )
    kind = chosen_format("json" if json_ else format_, out)
    from soundfold.cli.console import ConsoleReporter
    from soundfold.runtime import Joining, load

    joining = Joining(threshold, min_length, gap)
    if network is not None:
        opened = load(_published(network, weights))
    elif len(paths) > 1:
        opened, paths = load(paths[0]), paths[1:]
    else:
        raise PathError(
            f"predict must be told a model and a sound, got '{paths[0]}' alone. Say: soundfold predict MODEL PATH…"
        )
    asked = [sound for path in paths for sound in named_sounds(path)]
    names = [name for name, _ in asked]
    failed, told = False, _Told()
    # where answers appear on the same screen, a live line would take their place
    on_screen = out is None and sys.stdout is not None and sys.stdout.isatty()
    with (
        _closing(asked),
        writing(kind, out, names, windows=windows, highest_hz=opened.card.sample_rate / 2) as take,
        ConsoleReporter(plain=on_screen) as reporter,
    ):
        for name, answer in _answers(opened, asked, hop, joining, reporter):
            if isinstance(answer, SoundfoldError):
                failed = True
                print(f"soundfold: {on_one_line(str(answer))}", file=sys.stderr)
            else:
                told.count(answer)
            take(name, answer)
    if kind == "table" and not windows:
        told.say_where_nothing_was_heard(min_length)
    if failed:
        raise typer.Exit(2)


@contextmanager
def _closing(asked: Sequence[Named]) -> Iterator[None]:
    """Let go of what came through pipes."""
    try:
        yield
    finally:
        for _, sound in asked:
            if not isinstance(sound, str | SoundfoldError):
                sound.close()


class _Told:
    """Counts what was told, so that a person is not left with an empty timeline and no reason."""

    def __init__(self) -> None:
        self._long = self._events = 0
        self._unknown = True

    def count(self, answer: "Prediction") -> None:
        if len(answer.timeline) > 1:
            self._long += 1
            self._events += len(answer.events)
            self._unknown &= all(span.nearest is not None for span in answer.timeline)

    def say_where_nothing_was_heard(self, min_length: float) -> None:
        if self._long and not self._events:
            what, more = ("nothing", "") if not min_length else (f"nothing of {min_length:g} s", " --min-length and")
            why = f"{what} reached the threshold.{more} --threshold lower{'' if more else 's'} it"
            why += ", --windows tells every window"
            if self._unknown:
                why = "all of it is unknown to the model, whatever the threshold"
            print(f"no event: {why}", file=sys.stderr)


def _published(name: str, weights: Path | None) -> Path:
    """Return the model file of a published network; making it the first time needs torch."""
    from soundfold.cli.console import ConsoleReporter

    with needs_extra("train", "predict --model"):
        from soundfold.jobs.tagger import pretrained_model
    with ConsoleReporter() as reporter:
        return pretrained_model(name, weights=weights, reporter=reporter)


def _answers(
    model: "Model", asked: Sequence[Named], hop: float | None, joining: "Joining", reporter: "ConsoleReporter"
) -> Iterator[tuple[str, "Prediction | SoundfoldError"]]:
    sounds = (sound for _, sound in asked if not isinstance(sound, SoundfoldError))
    few = len(asked) <= _MOST_PROBED
    answers = model.predict_many(
        sounds,
        hop_s=hop,
        joining=joining,
        every_probability=False,
        on_heard=_say_how_far(reporter, _length_s(asked)) if few else None,
    )
    for done, (name, sound) in enumerate(asked, start=1):
        yield name, sound if isinstance(sound, SoundfoldError) else next(answers)
        if not few and done < len(asked):
            reporter.progress("sounds", done, len(asked))


def _length_s(asked: Sequence[Named]) -> float | None:
    """Return the seconds that headers promise in all; None where one does not tell."""
    from soundfold.audio import probe

    total = 0.0
    for _, sound in asked:
        if isinstance(sound, SoundfoldError):
            continue
        try:
            length_s = probe(sound).duration_s
        except SoundfoldError:
            continue  # it is told when its turn comes
        if length_s is None:
            return None
        total += length_s
    return total


def _say_how_far(reporter: "ConsoleReporter", length_s: float | None) -> Callable[[float], None]:
    """Return what to call, in any thread, with seconds that were heard."""
    lock = threading.Lock()
    seconds = 0.0

    def heard(more_s: float) -> None:
        nonlocal seconds
        with lock:
            seconds += more_s
            done, total = round(seconds), None if length_s is None else round(length_s)
            if total is None or done < total:  # the end shows by itself, and a header may lie about it
                reporter.progress("seconds of sound heard", done, total)

    return heard
