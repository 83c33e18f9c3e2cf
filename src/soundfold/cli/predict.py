"""The verb `soundfold predict`: its options, and how its answer is printed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundfold.cli.options import Json, ModelPath
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
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(2)


def _answers(
    model: "Model", paths: list[Path], hop: float | None
) -> Iterator[tuple[str, "Prediction | SoundfoldError"]]:
    names: list[str] = []
    answers = model.predict_many(_sounds(paths, names), hop_s=hop)
    for number, answer in enumerate(answers):
        yield names[number], answer


def _sounds(paths: list[Path], names: list[str]) -> Iterator[str | bytes]:
    """Yield every sound that was asked for, and note its name."""
    from soundfold.audio import AUDIO_SUFFIXES

    for path in paths:
        if str(path) == "-":
            names.append("-")
            yield sys.stdin.buffer.read()
        elif path.is_dir():
            found = sorted(
                entry
                for entry in path.rglob("*")
                if entry.suffix.lower() in AUDIO_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
            )
            if not found:
                raise PathError(f"{path}: holds no sounds. Name a file, or a folder with sounds in it")
            for entry in found:
                names.append(str(entry))
                yield str(entry)
        else:
            names.append(str(path))
            yield str(path)


def _tell(path: str, answer: "Prediction") -> None:
    print(f"{path}\t{answer.label}\t{answer.probability:.3f}")
    if len(answer.timeline) > 1:
        for span in answer.timeline:
            print(f"  {span.start_s:9.2f} – {span.end_s:9.2f} s\t{span.label}\t{span.probability:.3f}")
