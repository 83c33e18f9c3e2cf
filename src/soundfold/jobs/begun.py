"""What a folder holds where a finished run was asked for: a run to continue, a search, a ladder."""

from pathlib import Path
from typing import Any

from soundfold.errors import PathError, RunError
from soundfold.jobs.run_folder import METRICS_NAME
from soundfold.runtime.run_mark import HOLDERS, continuing, identity_of, is_of_a_run
from soundfold.wording import natural_order

__all__ = ["check_is_finished", "data_of"]


def data_of(folder: Path) -> dict[str, Any]:
    """Return `data` and `where` of a run, as its own run.json has them or that of the work it is a part of.

    A fold's folder lies in its cross-validation's, a tuned fold's two levels below its search's. Empty where none says.
    """
    whole = folder.resolve()
    for place in (whole, *whole.parents[:2]):
        told = identity_of(place)
        if isinstance(told.get("data"), str):
            return {"data": told["data"], "where": told.get("where") or {}}
    return {}


def check_is_finished(folder: Path, mend: str) -> None:
    """Raise unless a folder holds the result of a training or a cross-validation; say what it holds in its place.

    Args:
        folder: exists.
        mend: what to name where nothing in the folder is soundfold's.

    Raises:
        PathError: it is none of a run.
        RunError: its run is not finished.
    """
    verb = identity_of(folder).get("verb")
    if verb in HOLDERS:
        told = f"{folder}: is {HOLDERS[verb]}"
        runs = _runs_in(folder)
        if runs:
            raise PathError(f"{told}. Name a run in it: {', '.join(map(str, runs))}")
        raise RunError(f"{told} that is not finished. {continuing(folder)}")
    if (folder / METRICS_NAME).exists():
        return
    if is_of_a_run(folder):
        raise RunError(f"{folder}: is not finished. {continuing(folder)}")
    runs = _runs_in(folder)
    if runs:
        mend = f"Name a run in it: {', '.join(map(str, runs))}"
    raise PathError(f"{folder}: is no run's folder. {mend}")


def _runs_in(folder: Path) -> list[Path]:
    """Return the runs in a folder; a search has those of its folds a level deeper."""
    paths = (path for depth in ("*", "*/fold_*") for path in folder.glob(f"{depth}/{METRICS_NAME}"))
    found = [str(path.parent.relative_to(folder)) for path in paths]
    return [folder / name for name in natural_order(found)]
