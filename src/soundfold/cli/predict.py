"""The verb `soundfold predict`: its options, and how its answer is printed."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.options import Json, ModelPath
from soundfold.cli.printing import print_json
from soundfold.errors import PathError, SoundfoldError

if TYPE_CHECKING:
    from soundfold.runtime import Model, Prediction

__all__ = ["predict"]


def predict(
    model: ModelPath,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="Sounds, or folders of them; - reads one from stdin.", show_default=False),
    ],
    hop: Annotated[
        float | None,
        typer.Option("--hop", metavar="SECONDS", help="From one window to the next; side by side if not given."),
    ] = None,
    json_: Json = False,
) -> None:
    """Say what sounds are; long ones as a timeline too. Needs no PyTorch."""
    from soundfold.runtime import load

    opened = load(model)
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


def _answers(
    model: "Model", paths: list[Path], hop: float | None
) -> Iterator[tuple[str, "Prediction | SoundfoldError"]]:
    asked = [sound for path in paths for sound in _sounds(path)]
    answers = model.predict_many((sound for _, sound in asked if not isinstance(sound, SoundfoldError)), hop_s=hop)
    for name, sound in asked:
        yield name, sound if isinstance(sound, SoundfoldError) else next(answers)


def _sounds(path: Path) -> Iterator[tuple[str, str | bytes | SoundfoldError]]:
    """Yield the name of each sound that a path stands for, and the sound or what is wrong with it."""
    if str(path) == "-":
        yield "-", sys.stdin.buffer.read() if sys.stdin else PathError("-: standard input is closed. Name a file")
    elif path.is_dir():
        found = _walk(path)
        if not found:
            yield str(path), PathError(f"{path}: holds no sounds. Name a file, or a folder with sounds in it")
        for entry in found:
            yield str(entry), str(entry)
    else:
        yield str(path), str(path)


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
    print(f"{path}\t{answer.label}\t{answer.probability:.3f}")
    if len(answer.timeline) > 1:
        for span in answer.timeline:
            print(f"  {span.start_s:9.2f} – {span.end_s:9.2f} s\t{span.label}\t{span.probability:.3f}")
