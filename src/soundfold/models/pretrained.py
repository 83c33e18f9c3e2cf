"""Published weights: which file belongs to which network, where it is found, how it is fetched, checked and read.

A file is taken from the first of these that has it: what the caller names, what SOUNDFOLD_WEIGHTS names, the cache, the
published address; the last only where neither of the first two is named. What comes from the address is checked before
it is used; what a person names is theirs and need only fit the network, so that weights trained further can be named.
"""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from soundfold.atomic import write_text
from soundfold.errors import DownloadError, ModelFileError, PathError, RecipeError, did_you_mean
from soundfold.models.efficientat import EfficientAT, build_efficientat, load_state

__all__ = ["PUBLISHED", "WEIGHTS_VARIABLE", "Fetch", "Published", "find_weights", "load_efficientat", "read_weights"]

WEIGHTS_VARIABLE = "SOUNDFOLD_WEIGHTS"

Fetch = Callable[[str, Path, str | None], object]
"""Brings a file: address, where it goes (the folder exists), and `sha256:…` where the hash is known."""


@dataclass(frozen=True)
class Published:
    """A file of weights as its authors published it.

    Attributes:
        file: its name.
        url: its address.
        sha256: its hash, or "" where nobody has published one; then the first copy fetched is held against the
            network's shapes, and later uses against that copy.
    """

    file: str
    url: str
    sha256: str = ""


def _efficientat(file: str, sha256: str = "") -> Published:
    return Published(file, f"https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/{file}", sha256)


PUBLISHED = {
    "mn04": _efficientat("mn04_as_mAP_432.pt", "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c"),
    "mn05": _efficientat("mn05_as_mAP_443.pt"),
    "mn10": _efficientat("mn10_as_mAP_471.pt", "0bd7dc2443af498c289a2e739f02ebb515d6aa3fd3ab9db539c86123ae368a4e"),
    "mn20": _efficientat("mn20_as_mAP_478.pt"),
}
"""Network's name → its published file. MIT licence, Florian Schmid, Khaled Koutini and Gerhard Widmer."""


def find_weights(
    name: str, cache: Path, *, source: str | os.PathLike[str] | None = None, fetch: Fetch | None = None
) -> Path:
    """Return where a network's weights lie on this computer, fetching them if need be and allowed.

    Args:
        name: of the network, as in `PUBLISHED`.
        cache: folder of kept results; weights go to `weights/` in it.
        source: a file, or a folder that holds the published file; None to look elsewhere.
        fetch: brings a file from the net; None where nothing may be fetched.

    Raises:
        RecipeError: no weights are published under this name.
        PathError: what was named is not there, or nothing was found and nothing may be fetched.
        DownloadError: the file could not be fetched.
        ModelFileError: the fetched file is not what it should be.
    """
    if name not in PUBLISHED:
        raise RecipeError(
            f"weights must be of {', '.join(PUBLISHED)}, got '{name}'.{did_you_mean(name, PUBLISHED)}".rstrip()
        )
    published = PUBLISHED[name]
    if source is not None:
        found = _look_in(Path(source), published, "the weights' source")
        if found is None:
            raise PathError(f"{source}: holds no {published.file}. Put it there; it comes from {published.url}")
        return found
    if named := os.environ.get(WEIGHTS_VARIABLE):
        found = _look_in(Path(named), published, WEIGHTS_VARIABLE)
        if found is None and not _is_kept(cache / "weights" / published.file, published):
            raise PathError(
                f"{named}: holds no {published.file}, and {WEIGHTS_VARIABLE} says to look there. Put it there; it "
                f"comes from {published.url}. Or unset {WEIGHTS_VARIABLE} to have it fetched"
            )
        if found is not None:
            return found
    return _kept_or_fetched(name, published, cache / "weights", fetch)


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a file of weights, on the CPU; nothing in the file is executed.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote of a plain dictionary of tensors.

    Raises:
        PathError: there is no such file, or it may not be read.
        ModelFileError: it holds anything else than named tensors of finite numbers.
    """
    mend = "Name the file of weights as it was published"
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PathError(f"{path}: cannot be read: {error.strerror or error}. {mend}") from error
    try:
        state = _parse(content, safetensors=Path(path).suffix == ".safetensors")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise ModelFileError(f"{path}: is no file of weights, or is damaged. {mend}") from error
    if not isinstance(state, dict) or not state:
        raise ModelFileError(f"{path}: must hold named tensors, got {_kind(state)}. {mend}")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise ModelFileError(
                f"{path}: must hold named tensors and nothing else, got {_kind(value)} at {key}. {mend}"
            )
        if not torch.isfinite(value).all():
            raise ModelFileError(f"{path}: must hold finite numbers, got others in {key}. Fetch the file anew")
    return dict(state)


def load_efficientat(name: str, path: str | os.PathLike[str], n_labels: int | None = None) -> EfficientAT:
    """Return one of EfficientAT's networks with weights from a file, in evaluation mode.

    Args:
        name: mn04, mn05, mn10 or mn20.
        path: the file, as `find_weights` returns it.
        n_labels: classes of a new, random classifier behind the pretrained blocks; None for AudioSet's 527.

    Raises:
        ModelFileError: the file holds something else, or the weights of another network.
    """
    network = build_efficientat(name, 527 if n_labels is None else n_labels)
    load_state(network, read_weights(path), str(path), head=n_labels is None)
    return network.eval()


def _parse(content: bytes, *, safetensors: bool) -> object:
    """Return what a file of weights holds; a `.pt` may hold anything that torch counts as harmless.

    Raises:
        ValueError, or one of the many errors of `torch.load`: it is damaged.
    """
    if not safetensors:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _look_in(path: Path, published: Published, what: str) -> Path | None:
    """Return the file that a person named, or the published one in the folder that they named."""
    if path.is_file():
        return path
    if not path.is_dir():
        missing = "" if path.exists() else ", and there is nothing"
        raise PathError(
            f"{path}: {what} must be a file of weights or a folder with {published.file} in it{missing}. Check the path"
        )
    inside = path / published.file
    return inside if inside.is_file() else None


def _kept_or_fetched(name: str, published: Published, folder: Path, fetch: Fetch | None) -> Path:
    """Return the file in the cache after bringing it there; two processes that want it at once fetch it once."""
    from filelock import FileLock

    target = folder / published.file
    if _is_kept(target, published):
        return target
    if fetch is None:
        raise PathError(
            f"{target}: there are no weights of {name} here. Bring {published.file} from {published.url} and name "
            f"it or its folder with --weights or {WEIGHTS_VARIABLE}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathError(f"{folder}: cannot be made: {error.strerror or error}. Choose another cache folder") from error
    with FileLock(folder / f"{published.file}.lock"):
        if not _is_kept(target, published):
            try:
                fetch(published.url, target, f"sha256:{published.sha256}" if published.sha256 else None)
            except DownloadError as error:
                raise DownloadError(
                    f"{str(error).rstrip('. ')}. Or bring {published.file} from another computer and name it or its "
                    f"folder with --weights or {WEIGHTS_VARIABLE}"
                ) from error
            _accept(name, published, target)
    return target


def _accept(name: str, published: Published, target: Path) -> None:
    """Check a file that has just come, and note its hash where none is published; a wrong file is removed."""
    try:
        got = _sha256(target)
        if published.sha256 and got != published.sha256:
            raise ModelFileError(
                f"{published.url}: the sha256 of what arrived must be {published.sha256}, got {got}. Try again later"
            )
        load_efficientat(name, target)
    except ModelFileError:
        target.unlink(missing_ok=True)
        raise
    if not published.sha256:
        write_text(_note(target), f"{got}\n")


def _is_kept(target: Path, published: Published) -> bool:
    """Tell whether the cache holds the file, whole: by its published hash, else by the one noted when it came."""
    try:
        expected = published.sha256 or _note(target).read_text(encoding="ascii").strip()
        return _sha256(target) == expected
    except (OSError, UnicodeError):
        return False


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind(value: object) -> str:
    empty = "empty " if isinstance(value, dict) and not value else ""
    return f"something {empty}of type {type(value).__name__}"
