"""Options that several verbs share, each written once."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from soundfold.errors import DataError

__all__ = [
    "DEVICE",
    "Cache",
    "Data",
    "Device",
    "Devices",
    "Ensemble",
    "Epochs",
    "Folds",
    "Jobs",
    "Json",
    "ModelPath",
    "Out",
    "RecipeName",
    "Resume",
    "Seed",
    "Seeds",
    "Set",
    "Weights",
    "Where",
    "listed",
    "parse_where",
]

DEVICE = "auto"
"""What is taken where nothing is asked for; the jobs' own default, which cannot be looked up without torch."""


def path_or_refuse(text: str) -> Path:
    """Return a path; an empty one, most often an unset variable of a shell, would mean the folder we stand in."""
    if not text:
        raise typer.BadParameter("must not be empty. Say . for the folder you are in")
    return Path(text)


Data = Annotated[
    Path,
    typer.Argument(
        parser=path_or_refuse,
        metavar="DATA",
        help="A data set: its folder, a folder of folders of sounds, or a table.",
        show_default=False,
    ),
]
ModelPath = Annotated[
    Path,
    typer.Argument(parser=path_or_refuse, metavar="MODEL", help="A model file, or a run's folder.", show_default=False),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        help="A preset's name, or a YAML file; finetune, or scratch where no pretrained weights are at hand.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.", show_default=False),
]
Folds = Annotated[
    str | None,
    typer.Option("--folds", metavar="1,2,…", help="Test on these folds only; all if not given.", show_default=False),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Short for --set training.epochs=N.", show_default=False)]
Seed = Annotated[int | None, typer.Option("--seed", help="Short for --set training.seed=S.", show_default=False)]
Seeds = Annotated[int, typer.Option("--seeds", help="Networks that differ in their seed; their mean is the answer.")]
Ensemble = Annotated[
    bool, typer.Option("--ensemble", help="Join the folds' networks into one model, whose answer is their mean.")
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        parser=path_or_refuse,
        metavar="PATH",
        help="File or folder of the published weights; SOUNDFOLD_WEIGHTS if not given.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Devices = Annotated[int, typer.Option("--devices", help="Processes, one a device; on cpu they share the cores.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", help="Trainings at once; as many as the cores can carry if not given.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", parser=path_or_refuse, metavar="RUN", help="The run's folder; runs/… if not given.", show_default=False
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out, if it was begun.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="Keep the clips whose column has this value (ESC-10: esc10=true); may be repeated.",
        show_default=False,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        parser=path_or_refuse,
        metavar="DIR",
        help="Folder of kept results; SOUNDFOLD_CACHE if not given.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]


def listed(text: str | None) -> list[str] | None:
    """Return the names in a text with commas or lines, one with a comma between quotes; None where there is no text."""
    if text is None:
        return None
    lines = csv.reader(text.splitlines(), skipinitialspace=True)
    return [name.strip() for line in lines for name in line if name.strip()]


def parse_where(texts: list[str] | None) -> dict[str, str]:
    """Return `COLUMN=VALUE` texts as a mapping, each column once: a clip cannot have two values in one."""
    pairs: dict[str, str] = {}
    for text in texts or []:
        column, sign, value = text.partition("=")
        if not sign or not column.strip():
            raise DataError(f"--where takes COLUMN=VALUE, got '{text}'. For instance: --where esc10=true")
        name = column.strip()
        if name in pairs:
            raise DataError(
                f"--where must name a column once, got '{name}' with '{pairs[name]}' and '{value.strip()}'. "
                f"Keep one of them, or put the clips you want into a table"
            )
        pairs[name] = value.strip()
    return pairs
