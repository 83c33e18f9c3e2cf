"""The exception tree: everything a person can mend is a `SoundfoldError`.

    SoundfoldError
    ├── PathError          a path that is missing, in the way, or may not be written
    ├── AudioError         a sound that cannot be decoded or used
    │   ├── TooLongError   a sound that lasts longer than the limit that was set
    │   ├── TooLateError   a sound whose answer takes longer than the limit that was set
    │   └── FaultError     a sound at which soundfold itself failed: ours to mend
    ├── DataError          a data set, a table, or a split that cannot be used
    ├── DownloadError      a download that broke, or brought something else than it should
    ├── RecipeError        a setting that is misspelt, out of range, or at odds with another
    ├── RunError           a run's folder that is unfinished, or belongs to other settings
    ├── ModelFileError     a model file that is damaged, foreign, or too new
    └── MissingExtraError  a package that this verb needs and the installation lacks

The command line prints the message as one line and leaves with status 2. Any other exception is our fault: status 1.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "AudioError",
    "DataError",
    "DownloadError",
    "FaultError",
    "MissingExtraError",
    "ModelFileError",
    "PathError",
    "RecipeError",
    "RunError",
    "SoundfoldError",
    "TooLateError",
    "TooLongError",
    "did_you_mean",
    "needs_extra",
]


class SoundfoldError(Exception):
    """Base of all errors that the user can mend; the message says what, where, and the mend."""


class PathError(SoundfoldError):
    """A path is missing, already in the way, or may not be read or written."""


class AudioError(SoundfoldError):
    """A sound cannot be decoded, or holds nothing that can be used."""


class TooLongError(AudioError):
    """A sound lasts longer than the limit that was set for it."""


class TooLateError(AudioError):
    """The answer for a sound takes longer than the limit that was set for it."""


class FaultError(AudioError):
    """soundfold itself failed at a sound, or ran out of memory; other sounds are answered."""


class DataError(SoundfoldError):
    """A data set, a table of clips, or a split of it cannot be used."""


class DownloadError(SoundfoldError):
    """A download broke off, or brought bytes that are not the published ones."""


class RecipeError(SoundfoldError):
    """A recipe holds a setting that is misspelt, out of range, or at odds with another."""


class RunError(SoundfoldError):
    """A run's folder is unfinished, or was made with other settings."""


class ModelFileError(SoundfoldError):
    """A file is not a soundfold model, is damaged, or was written by a later version."""


class MissingExtraError(SoundfoldError):
    """An optional package that is needed here is not installed."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return ` Did you mean 'x'?` for the nearest known name; when none is near, `otherwise`, or the list of all.

    >>> did_you_mean("epoch", ["epochs", "seed"])
    " Did you mean 'epochs'?"
    >>> did_you_mean("zzz", ["epochs", "seed"])
    ' Known: epochs, seed.'
    >>> did_you_mean("zzz", ["epochs", "seed"], " Leave it out")
    ' Leave it out'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    if otherwise is not None:
        return otherwise
    return f" Known: {', '.join(names)}." if names else ""


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Turn a missing import inside the block into a message with the command that installs it.

    Args:
        extra: name of the extra in `pyproject.toml`, for instance `train`.
        purpose: what needs it, as the beginning of a sentence: "Training".

    Raises:
        MissingExtraError: when an import in the block finds no module outside soundfold.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("soundfold"):
            raise
        raise MissingExtraError(
            f"{purpose} needs the package '{(error.name or '?').partition('.')[0]}', which is not installed. "
            f"Install it with: {_install_command(extra)}"
        ) from error


def _install_command(extra: str) -> str:
    """Return what installs an extra from where this installation came from: a folder, a repository, or a registry.

    References: PyPA, Recording the Direct URL Origin of installed distributions (PEP 610).
    """
    # here and not above: these take longer than the rest of a short command, and are seldom needed
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("soundfold").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    folder = Path(url2pathname(urlsplit(origin.get("url", "")).path))
    if "dir_info" in origin and folder.is_dir():
        editable = "--editable " if origin["dir_info"].get("editable") else ""
        return f'pip install {editable}"{folder}[{extra}]"'
    if "vcs_info" in origin:
        return f'pip install "soundfold[{extra}] @ {origin["vcs_info"]["vcs"]}+{origin["url"]}"'
    return f'pip install "soundfold[{extra}]"'
