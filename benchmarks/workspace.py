"""The data, the caches and the model that rows work on; what is dear to make is made once and kept in one folder."""

import csv
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import memory_bytes
from benchmarks.processes import Finished, probe, soundfold

__all__ = ["DataSet", "Workspace", "describe", "growth_tables", "synthetic", "warm_files"]


@dataclass(frozen=True)
class DataSet:
    """Sounds to work on.

    Attributes:
        path: folder or table.
        title: what a reader calls it.
        key: the title as a folder's name.
        clips: how many.
        folds: the names of its folds.
        first: path of a clip.
    """

    path: Path
    title: str
    key: str
    clips: int
    folds: tuple[str, ...]
    first: str


def synthetic(work: Path, clips: int, length_s: float, *, plain: bool = False) -> Path:
    """Return a synthetic set, made unless it is there; not plain, it has the real set's mix of rates and encodings."""
    path = work / f"synthetic-{clips}-{length_s:g}s{'-plain' if plain else ''}"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        extra = ["--plain"] if plain else []
        soundfold("data", "synth", path, "--clips", str(clips), "--length-s", f"{length_s:g}", *extra)
    return path


def describe(path: Path, title: str | None = None) -> tuple[DataSet, str | None]:
    """Return what a data set is, and the name of the machine's accelerator."""
    told: dict[str, Any] = probe("describe", data=path).answer
    name = title or f"{told['kind']}, {told['clips']:,} clips"
    key = re.sub(r"[^a-z0-9]+", "-", name.lower().replace(",", "")).strip("-")
    return DataSet(path, name, key, told["clips"], tuple(told["folds"]), told["first"]), told["gpu"]


@dataclass(frozen=True)
class Workspace:
    """A folder for one data set on one device.

    Attributes:
        folder: holds all of it.
        data: the sounds.
        device: where the network runs.
    """

    folder: Path
    data: DataSet
    device: str

    @property
    def cache(self) -> Path:
        """The kept store and features that rows share."""
        return self.folder / "cache"

    def ready(self, recipe: str) -> None:
        """Bring store and features up to date."""
        settings = {"data": self.data.path, "cache": self.cache, "recipe": recipe}
        probe("store", **settings)
        probe("features", **settings, device=self.device)

    def train(self, recipe: str, epochs: int, *options: str, verb: str = "train") -> Finished:
        """Run `soundfold train` or `soundfold cv` on ready features; its folder is removed again.

        Without a trial of whether learning pays: the epochs that are measured are to be those that were asked for.
        """
        with self.scratch(verb) as folder:
            return soundfold(
                verb, self.data.path, "--recipe", recipe, "--epochs", str(epochs), "--device", self.device,
                "--set", "training.trial=false", *options, "--out", folder / "run", "--cache", self.cache, "--json",
            )  # fmt: skip

    def model(self, recipe: str = "tutorial") -> Path:
        """Return a run's folder with a model of this data, trained for one epoch unless it is there."""
        run = self.folder / f"model-{Path(recipe).stem}"
        if not (run / "model.onnx").exists():
            shutil.rmtree(run, ignore_errors=True)
            soundfold(
                "train", self.data.path, "--recipe", recipe, "--epochs", "1", "--device", self.device,
                "--out", run, "--cache", self.cache, "--json",
            )  # fmt: skip
        return run

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Give an empty folder, and remove it."""
        folder = self.folder / f"scratch-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def warm_files(folder: Path) -> bool:
    """Read every file once, so that no side pays for the first reading; False where they would not fit in memory."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if sum(path.stat().st_size for path in files) > memory_bytes() / 2:
        return False
    for path in files:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    return True


def growth_tables(work: Path, sizes: Sequence[int], length_s: float) -> list[Path]:
    """Return a table of each size: the clips of one plain set as small as the smallest, again and again.

    Each copy is a file of its own with other last samples, because what has the same content is decoded and stored
    once. So all that is done for a file is done as often as in a real set of that size. A clip's copies stay in its
    fold, each copy of a recording counts as a recording.
    """
    base = synthetic(work, min(sizes), length_s, plain=True)
    folder = work / f"copies-{max(sizes)}-{length_s:g}s"
    tables = [folder / f"clips-{size}.csv" for size in sizes]
    if all(table.exists() for table in tables):
        return tables
    shutil.rmtree(folder, ignore_errors=True)
    with (base / "metadata" / "UrbanSound8K.csv").open(newline="", encoding="utf-8") as file:
        clips = list(csv.DictReader(file))
    rows = []
    for copy in range(-(-max(sizes) // len(clips))):
        place = folder / f"copy{copy:03}"
        place.mkdir(parents=True)
        for clip in clips:
            name = clip["slice_file_name"]
            content = (base / "audio" / f"fold{clip['fold']}" / name).read_bytes()
            (place / name).write_bytes(content[:-4] + copy.to_bytes(4, "little"))
            rows.append((f"{place.name}/{name}", clip["class"], clip["fold"], f"{clip['fsID']}-{copy}"))
    for size, table in zip(sizes, tables, strict=True):
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("path", "label", "fold", "group"), *rows[:size]])
    return tables
