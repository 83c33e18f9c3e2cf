"""The verb `soundfold export`: its options, and how what it cost is printed."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soundfold.cli.loading import loading
from soundfold.cli.options import Json, ModelPath, Where, parse_where, path_or_refuse
from soundfold.cli.printing import print_json
from soundfold.errors import SoundfoldError, needs_extra
from soundfold.wording import counted

if TYPE_CHECKING:
    from soundfold.jobs.export import ExportResult

__all__ = ["export"]


# options by which a model file is made smaller and measured
_ONLY_SMALLER = ("precision", "data", "where", "max_loss", "calibration_clips")


def export(
    context: typer.Context,
    model: ModelPath,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            parser=path_or_refuse,
            metavar="FILE",
            help="The file to write; with --to web, the folder.",
            show_default=False,
        ),
    ],
    precision: Annotated[str, typer.Option("--precision", help="float32, float16 or int8.")] = "float32",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            parser=path_or_refuse,
            metavar="DATA",
            help="Labelled sounds: a part calibrates, the rest measures; the run's own if not given.",
            show_default=False,
        ),
    ] = None,
    where: Where = None,
    max_loss: Annotated[
        float, typer.Option("--max-loss", help="Write nothing if more accuracy is lost: 0.02 is 2 points.")
    ] = 0.02,
    calibration_clips: Annotated[
        int, typer.Option("--calibration-clips", help="Training clips by which int8 finds its ranges.")
    ] = 128,
    to: Annotated[
        Literal["web"] | None,
        typer.Option("--to", help="web: a page with the model in it, for any static host.", show_default=False),
    ] = None,
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(
            "--onnxruntime-web",
            metavar="PATH",
            parser=path_or_refuse,
            help="With --to web: the npm package, unpacked, where the installation is without it.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Make a model file smaller, or a page of it for the web.

    It is measured and said what smaller numbers lose and gain.
    """
    if to == "web":
        _refuse_what_makes_smaller(context, model)
        _write_page(model, out, onnxruntime_web, json_=json_)
        return
    if onnxruntime_web is not None:
        raise SoundfoldError(f"--onnxruntime-web must come with --to web, got '{onnxruntime_web}' alone. Add --to web")
    from soundfold.cli.console import ConsoleReporter

    with loading("train", "soundfold export"):
        from soundfold.jobs.export import export as job
    with ConsoleReporter() as reporter:
        result = job(
            model,
            precision,
            out,
            data=data,
            where=parse_where(where),
            max_loss=max_loss,
            calibration_clips=calibration_clips,
            reporter=reporter,
        )
    if json_:
        print_json(result.model_dump_json(indent=2))
    else:
        _tell(result)


def _tell(result: "ExportResult") -> None:
    spread = ""
    if result.loss_ci95 is not None:
        low, high = (100 * end for end in result.loss_ci95)
        spread = f" (95 % interval {low:.1f} to {high:.1f}, paired, over recordings)"
    print(f"measured:   {counted(result.n, 'clip')}, {result.measured_on}")
    print(f"accuracy:   {100 * result.accuracy_before:.1f} % before, {100 * result.accuracy_after:.1f} % after")
    print(f"lost:       {100 * result.loss:.1f} %{spread}; {100 * result.agreement:.1f} % of answers are the same")
    taken = f"{result.ms_before:.2f} ms of one core before, {result.ms_after:.2f} after"
    print(f"time:       {taken}: {result.speed:.2f} times as fast, medians of turns")
    print(f"size:       {result.bytes_before / 1e6:.2f} MB before, {result.bytes_after / 1e6:.2f} MB after")
    print(f"both ways:  the file's own front end gives the same within {result.portable_difference:.1e}")
    for note in result.notes:
        print(f"note:       {note}")
    print(f"model:      {result.out}")


def _refuse_what_makes_smaller(context: typer.Context, model: Path) -> None:
    for name in _ONLY_SMALLER:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise SoundfoldError(
                f"--to web must have the model as it is, got --{name.replace('_', '-')} too. Leave it out; for a "
                f"smaller page make a smaller model first: soundfold export {model} --precision float16 --out FILE"
            )


def _write_page(model: Path, out: Path, onnxruntime_web: Path | None, *, json_: bool) -> None:
    from soundfold.runtime import load

    with needs_extra("serve", "soundfold export --to web"):
        from soundfold.serve import names_of
        from soundfold.serve.web_folder import write_web_folder
    (name,) = names_of([model])
    size = write_web_folder(load(model), name, out, onnxruntime_web)
    if json_:
        print_json(json.dumps({"out": str(out), "model": name, "bytes": size}, indent=2))
    else:
        print(out)
    print(f"written:    {size / 1e6:.1f} MB; nothing in it asks another address", file=sys.stderr)
    print(f"try:        python -m http.server --bind 127.0.0.1 --directory {out}", file=sys.stderr)
