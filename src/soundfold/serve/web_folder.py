"""The page with the model inside it: a folder that any static host serves, and that works offline.

The model runs by onnxruntime-web, whose three files come from its npm package. They are 14 MB, so the repository does
not hold them: `make onnxruntime-web` puts them beside this module, where releases take them along, and who has none
names an unpacked package.
"""

import json
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape as glob_escape
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from soundfold.errors import PathError
from soundfold.runtime import Model
from soundfold.serve.page import PAGE, page_files
from soundfold.serve.served_card import told_card

__all__ = ["ORT_FILES", "ORT_VERSION", "write_web_folder"]

ORT_VERSION = "1.30.0"  # of the npm package that is tested
ORT_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_OWN = files("soundfold.serve").joinpath("onnxruntime_web")
_LICENCES = "LICENSES.txt"
_MODEL = "model.onnx"
_MARK = "model.json"  # tells the page of its model, and us that we wrote the folder


def write_web_folder(model: Model, name: str, out: Path, ort: Path | None = None) -> int:
    """Write the page with a model in it; return how many bytes it holds.

    It appears whole or not at all. An earlier folder of this kind is replaced; any other is left alone.

    Args:
        model: an opened model.
        name: what the page calls it.
        out: the folder to write; a link to an earlier one means that.
        ort: the npm package onnxruntime-web, unpacked, or its folder dist; None for the files of this installation.

    Raises:
        PathError: something is in the way, the folder cannot be written, or files of onnxruntime-web are missing.
    """
    with _naming(out):
        _refuse_what_is_not_ours(out)
    target = out.resolve() if out.is_symlink() else out.absolute()
    with _naming(out), _beside(target) as made:
        folder = made / "web"
        folder.mkdir()
        for page_name, entry in _page().items():
            (folder / page_name).write_bytes(entry.read_bytes())
        shutil.copyfile(model.path, folder / _MODEL)
        (folder / _MARK).write_text(json.dumps(told_card(model.card, name), ensure_ascii=False), encoding="utf-8")
        (folder / _LICENCES).write_bytes(PAGE.joinpath(_LICENCES).read_bytes())
        (folder / "ort").mkdir()
        _copy_ort(folder / "ort", ort)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        _put(folder, target, made / "earlier")
    return size


def _page() -> dict[str, Traversable]:
    """Return the page's files by the names that they have in the folder."""
    page = page_files()
    page["backend.js"] = page.pop("backend_browser.js")
    del page["backend_server.js"]
    return page


def _refuse_what_is_not_ours(out: Path) -> None:
    """Raise unless nothing is there, an empty folder, or an earlier export that holds nothing else."""
    in_the_way = f"{out}: is in the way, and no earlier export of this kind"
    if not out.is_dir():
        if os.path.lexists(out):
            raise PathError(f"{in_the_way}. Name another --out")
        return
    if not any(out.iterdir()):
        return
    if not _is_marked(out / _MARK):  # looked at first: without it this may be the root of a disk
        raise PathError(f"{in_the_way}. Name another --out")
    ours = {*_page(), _MODEL, _MARK, _LICENCES, "ort", *(f"ort/{name}" for name in ORT_FILES)}
    foreign = [name for name in _held(out) if name not in ours]
    if foreign:
        raise PathError(f"{in_the_way} alone: it holds {min(foreign)} too. Move that, or name another --out")


def _held(folder: Path) -> Iterator[str]:
    """Yield what a folder holds, deep down; what cannot be looked into is an error, as it may hold anything."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files_ in os.walk(folder, onerror=refuse):
        for name in (*folders, *files_):
            yield Path(place, name).relative_to(folder).as_posix()


def _is_marked(mark: Path) -> bool:
    """Tell whether a file is what is told of a model, and not another's of the same name."""
    try:
        told = json.loads(mark.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and {"name", "labels", "sample_rate", "window_s", "thresholds"} <= told.keys()


@contextmanager
def _naming(out: Path) -> Iterator[None]:
    """Tell what the system refuses by the name that a person gave: that of a copy's source would mislead."""
    try:
        yield
    except OSError as error:
        raise PathError(
            f"{out}: cannot be written: {error.strerror or error}. Name a place that may be written to, and has room"
        ) from error


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a new folder beside the target, gone after the block; those that a kill has left go before it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # the machine is in the name, as the processes of another one cannot be asked for
    prefix = f".{target.name}-{zlib.crc32(platform.node().encode()):08x}-"
    for left in target.parent.glob(f"{glob_escape(prefix)}*"):
        maker = re.match(r"(\d+)-", left.name.removeprefix(prefix))
        if maker is not None and not _is_running(int(maker[1])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", dir=target.parent) as made:
        yield Path(made)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _put(folder: Path, target: Path, earlier: Path) -> None:
    """Move a folder to its place, and what was there away; where that fails, it comes back."""
    replaced = target.is_dir()
    if replaced:
        target.replace(earlier)
    try:
        folder.replace(target)
    except BaseException:
        if replaced:
            earlier.replace(target)
        raise


def _copy_ort(target: Path, ort: Path | None) -> None:
    with as_file(_OWN) as own:
        given = own if ort is None else ort
        place = next((one for one in (given, given / "dist", given / "package" / "dist") if _holds_ort(one)), None)
        if place is None and ort is None:
            raise PathError(
                f"export --to web needs onnxruntime-web, which this installation is without. Fetch and unpack it "
                f"(npm pack onnxruntime-web@{ORT_VERSION} && tar xzf onnxruntime-web-{ORT_VERSION}.tgz), then add "
                f"--onnxruntime-web package"
            )
        if place is None:
            raise PathError(f"{ort}: must hold {', '.join(ORT_FILES)}. Name the unpacked npm package onnxruntime-web")
        for name in ORT_FILES:
            shutil.copyfile(place / name, target / name)


def _holds_ort(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ORT_FILES)
