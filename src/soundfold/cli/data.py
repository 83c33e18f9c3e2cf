"""The verbs `soundfold data synth`, `get`, `check`, `show` and `cache`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from soundfold.cli.options import Cache, Data, Json, Set, Where, parse_where, path_or_refuse
from soundfold.cli.printing import print_json
from soundfold.errors import DataError, needs_extra

__all__ = ["app"]

app = typer.Typer(name="data", help="Make, fetch, audit and look at data.", no_args_is_help=True)

Dest = Annotated[
    Path,
    typer.Argument(parser=path_or_refuse, metavar="DEST", help="A folder that does not exist yet.", show_default=False),
]


@app.command()
def synth(
    dest: Dest,
    clips: Annotated[int, typer.Option("--clips", help="How many clips.")] = 600,
    folds: Annotated[int, typer.Option("--folds", help="How many folds.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="All files 16-bit mono at 44.1 kHz, for benchmarks.")] = False,
    length_s: Annotated[
        float | None,
        typer.Option(
            "--length-s", help="One length for all clips, in seconds; mixed if not given.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a synthetic data set in UrbanSound8K's layout."""
    from soundfold.cli.console import ConsoleReporter

    with needs_extra("train", "soundfold data synth"):
        from soundfold.data.synth import synthesise
    with ConsoleReporter() as reporter:
        path = synthesise(
            dest,
            clips=clips,
            folds=folds,
            seed=seed,
            plain=plain,
            length_s=length_s,
            on_progress=lambda done, total: reporter.progress("synthesising", done, total),
        )
    print(path)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="urbansound8k, esc50 or speech-commands.", show_default=False)],
    dest: Dest,
) -> None:
    """Fetch a published data set.

    Running it again continues a broken download.
    """
    from soundfold.cli.console import ConsoleReporter

    with needs_extra("train", "soundfold data get"):
        from soundfold.data.fetch.catalogue import find_dataset
        from soundfold.data.fetch.fetching import fetch_dataset
    with ConsoleReporter() as reporter:
        fetched = fetch_dataset(find_dataset(name), dest, on_progress=reporter.transfer)
        for note in fetched.notes:
            reporter.note(note)
    print(fetched.path)


@app.command()
def check(data: Data, where: Where = None, json_: Json = False) -> None:
    """Audit a data set: what it holds, and what could spoil a score."""
    from soundfold.cli.console import ConsoleReporter

    with needs_extra("train", "soundfold data check"):
        from soundfold.data.audit import audit
        from soundfold.data.reading import read_clips
    clips = read_clips(data, where=parse_where(where))
    with ConsoleReporter() as reporter:
        found = audit(clips, on_progress=lambda done, total: reporter.progress("listening", done, total))
    if json_:
        print_json(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        from soundfold.cli.telling_data import tell_audit

        tell_audit(found)


@app.command()
def show(
    data: Data,
    out: Annotated[
        Path,
        typer.Option("--out", parser=path_or_refuse, metavar="FILE.png", help="The picture; must not exist yet."),
    ] = Path("clips.png"),
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="A preset's name, or a YAML file.")] = "scratch",
    set_: Set = None,
    clips: Annotated[int, typer.Option("--clips", help="How many clips to draw.")] = 6,
    seed: Annotated[int, typer.Option("--seed", help="Which clips, and which random numbers.")] = 0,
    where: Where = None,
) -> None:
    """Draw some clips: waveform, spectrogram, augmented view.

    All go into one PNG.
    """
    from soundfold.cli.console import ConsoleReporter

    with needs_extra("train", "soundfold data show"):
        from soundfold.jobs.show import show as job
    with ConsoleReporter() as reporter:
        path = job(
            data,
            out,
            recipe=recipe,
            changes=tuple(set_ or ()),
            clips=clips,
            seed=seed,
            where=parse_where(where),
            reporter=reporter,
        )
    print(path)


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is kept and not in use.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", metavar="DAYS", help="Remove what was last used longer ago.", show_default=False),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="KIND", help="sounds, features, weights or models.", show_default=False),
    ] = None,
    cache_: Cache = None,
    json_: Json = False,
) -> None:
    """Tell what is kept from earlier work, and remove it when asked.

    A line each: how large it is and when it was last used.
    """
    with needs_extra("train", "soundfold data cache"):
        from soundfold.data.kept import list_kept, remove_kept
        from soundfold.data.store import cache_folder
    folder = cache_folder(cache_)
    if only is not None and not clear and older_than is None:
        raise DataError(f"--only says what to remove, got {only} without --clear or --older-than. Add one of them")
    removes = clear or older_than is not None
    removed = remove_kept(folder, kind=only, older_than_days=older_than) if removes else []
    kept = list_kept(folder)
    if json_:
        told = {"folder": str(folder), "kept": [one.as_dict() for one in kept]}
        print_json(json.dumps(told | {"removed": [one.as_dict() for one in removed]}, indent=2, ensure_ascii=False))
    else:
        from soundfold.cli.telling_data import tell_cache

        tell_cache(folder, kept, removed if removes else None)
