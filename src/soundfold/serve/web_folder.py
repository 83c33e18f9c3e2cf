"""The page with the model inside it: a folder that any static host serves, and that works offline.

The model runs by onnxruntime-web, whose three files come from its npm package. They are 14 MB, so the repository does
not hold them: `make onnxruntime-web` puts them beside this module, where releases take them along, and who has none
names an unpacked package.
"""

import json
import os
import shutil
import tempfile
from importlib.resources import as_file, files
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
_MARK = "model.json"  # stands in every folder that was written here


def write_web_folder(model: Model, name: str, out: Path, ort: Path | None = None) -> int:
    """Write the page with a model in it; return how many bytes it holds.

    It appears whole or not at all. An earlier folder of this kind is replaced; any other is left alone.

    Args:
        model: an opened model.
        name: what the page calls it.
        out: the folder to write.
        ort: the npm package onnxruntime-web, unpacked, or its folder dist; None for the files of this installation.

    Raises:
        PathError: the folder is in the way, or files of onnxruntime-web are missing.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / _MARK).is_file()):
        raise PathError(f"{out}: is in the way, and no earlier export of this kind. Name another --out")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.absolute().parent) as made:
        folder = Path(made) / "web"
        folder.mkdir()
        for page_name, entry in page_files().items():
            if page_name != "backend_server.js":
                target = "backend.js" if page_name == "backend_browser.js" else page_name
                (folder / target).write_bytes(entry.read_bytes())
        shutil.copyfile(model.path, folder / "model.onnx")
        (folder / _MARK).write_text(json.dumps(told_card(model.card, name), ensure_ascii=False), encoding="utf-8")
        (folder / _LICENCES).write_bytes(PAGE.joinpath(_LICENCES).read_bytes())
        (folder / "ort").mkdir()
        _copy_ort(folder / "ort", ort)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if out.is_dir():
            os.replace(out, Path(made) / "earlier")  # noqa: PTH105 (a Path's replace is the same call)
        os.replace(folder, out)  # noqa: PTH105
    return size


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
