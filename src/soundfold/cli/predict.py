"""The verb `soundfold predict`: its options, and how its answer is printed."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.options import Json, path_or_refuse
from soundfold.cli.printing import print_json
from soundfold.errors import PathError, SoundfoldError, needs_extra
from soundfold.wording import SEPARATOR

if TYPE_CHECKING:
    from soundfold.runtime import Model, Prediction, Span

__all__ = ["predict"]


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=path_or_refuse,
            metavar="MODEL PATH…",
            help="A model file or a run, then sounds, or folders of them; - reads one from stdin.",
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
    hop: Annotated[
        float | None,
        typer.Option("--hop", metavar="SECONDS", help="From one window to the next; side by side if not given."),
    ] = None,
    json_: Json = False,
) -> None:
    """Say what sounds are; long ones as a timeline too. Needs no PyTorch."""
    from soundfold.runtime import load

    if network is not None:
        opened = load(_published(network))
    elif len(paths) > 1:
        opened, paths = load(paths[0]), paths[1:]
    else:
        raise PathError(
            f"predict must be told a model and a sound, got '{paths[0]}' alone. Say: soundfold predict MODEL PATH…"
        )
    answers: list[dict[str, object]] = []
    failed = False
    for path, answer in _answers(opened, paths, hop):
        if isinstance(answer, SoundfoldError):
            failed = True
            print(f"soundfold: {answer}", file=sys.stderr)
            answers.append({"path": path, "error": str(answer)})
        elif json_:
            answers.append({**answer.as_dict(), "path": path})
        else:
            _tell(path, answer)
    if json_:
        print_json(json.dumps(answers, indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(2)


def _published(name: str) -> Path:
    """Return the model file of a published network; making it the first time needs torch."""
    from soundfold.cli.console import ConsoleReporter

    with needs_extra("train", "predict --model"):
        from soundfold.jobs.tagger import pretrained_model
    with ConsoleReporter() as reporter:
        return pretrained_model(name, reporter=reporter)


def _answers(
    model: "Model", paths: list[Path], hop: float | None
) -> Iterator[tuple[str, "Prediction | SoundfoldError"]]:
    asked = [sound for path in paths for sound in _sounds(path)]
    sounds = (sound for _, sound in asked if not isinstance(sound, SoundfoldError))
    answers = model.predict_many(sounds, hop_s=hop, on_heard=_say_how_far())
    for name, sound in asked:
        yield name, sound if isinstance(sound, SoundfoldError) else next(answers)


def _say_how_far() -> Callable[[float], None]:
    """Return what to call with seconds that were heard; in long work it says on stderr how many they are by now.

    In plain lines even on a terminal: a live line there would take the answers' place on stdout.
    """
    from rich.console import Console

    from soundfold.cli.console import ConsoleReporter

    reporter = ConsoleReporter(Console(stderr=True, force_terminal=False))
    lock = threading.Lock()
    seconds = 0.0

    def heard(more_s: float) -> None:
        nonlocal seconds
        with lock:
            seconds += more_s
            reporter.progress("seconds of sound heard", int(seconds), None)

    return heard


def _sounds(path: Path) -> Iterator[tuple[str, str | bytes | SoundfoldError]]:
    """Yield the name of each sound that a path stands for, and the sound or what is wrong with it."""
    if str(path) == "-":
        yield "-", _from_stdin()
    elif path.is_dir():
        found = _walk(path)
        if not found:
            yield str(path), PathError(f"{path}: holds no sounds. Name a file, or a folder with sounds in it")
        for entry in found:
            yield str(entry), str(entry)
    else:
        yield str(path), str(path)


def _from_stdin() -> bytes | PathError:
    if not sys.stdin:
        return PathError("-: standard input is closed. Name a file")
    return sys.stdin.buffer.read() or PathError(
        "-: standard input holds nothing. Say: soundfold predict MODEL - < FILE"
    )


def _walk(folder: Path) -> list[Path]:
    """Return the sounds in a folder as training would find them: nothing hidden, and each folder once.

    `soundfold.data` has the same rules, but needs more than the base installation.
    """
    from soundfold.audio import AUDIO_SUFFIXES

    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        paths = [Path(place, name) for name in files if not name.startswith(".")]
        found.extend(path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    return sorted(found)


def _tell(path: str, answer: "Prediction") -> None:
    print(f"{path}\t{_words(answer)}")
    if len(answer.timeline) > 1:
        for span in answer.timeline:
            print(f"  {span.start_s:9.2f} – {span.end_s:9.2f} s\t{_words(span)}")


def _words(answer: "Prediction | Span") -> str:
    """Return label and probability; of several labels all that are told, or the likeliest where none is.

    Of an unknown sound the probability is that of the nearest class, which follows.
    """
    if answer.nearest is not None:
        return f"{answer.label}\t{answer.probability:.3f}\tnearest {answer.nearest}"
    told = answer.labels or (answer.label,)
    probabilities = SEPARATOR.join(f"{answer.probabilities[label]:.3f}" for label in told)
    return f"{SEPARATOR.join(told)}\t{probabilities}"
