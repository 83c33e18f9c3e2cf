"""The feature cache: the front end's output for every window of every clip, computed once, kept on disk, mapped.

What does not change from epoch to epoch is not computed twice: decoding, placing and the front end come before anything
random, and time shifts and masks work on their output. Spectrograms are 16-bit with a range of their own per window (an
error of at most half a 65,535th of the window's range: 0.0006 dB under an 80 dB floor); embeddings are float32.

A clip longer than the recipe's window has several windows; its answer is the mean over them, weighted by the sound each
holds. One that holds nothing is left out, unless all do. A shorter clip stands centred in silence. The runtime does the
same.
"""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from soundfold.audio import fit_length, windows_with_sound
from soundfold.data.store import WaveformStore, forget_pages
from soundfold.models import build_front_end, hop_of
from soundfold.models.efficientat import ALL_VIEWS, FEW_VIEWS
from soundfold.models.encoder_files import weights_digest
from soundfold.recipe import Recipe

__all__ = ["FeatureCache", "build_feature_cache", "from_kept", "open_feature_cache", "runs_of"]

_FORMAT = 3  # raise when a front end's values or the layout change
_BATCH = 32
_RESIDENT_BYTES = 256 * 2**20
_COLUMNS = ("clip", "start", "before", "after", "weight", "low", "step", "total", "squares")


@dataclass
class FeatureCache:
    """Features of windows; window j belongs to clip `clip[j]`, and a clip's windows stand together.

    Attributes:
        shape: (channels, n_mels, frames) of what the network takes.
        clip: (windows,) row of the clip in the store.
        start: (windows,) the clip's first sample in the window.
        before, after: (windows,) frames of silence around the centred sound.
        weight: (windows,) samples of sound in the window.
    """

    shape: tuple[int, int, int]
    clip: np.ndarray
    start: np.ndarray
    before: np.ndarray
    after: np.ndarray
    weight: np.ndarray
    low: np.ndarray
    step: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    _mapped: np.memmap
    _values: np.ndarray
    _touched: int = field(default=0)

    def __len__(self) -> int:
        return len(self.clip)

    def windows_of(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first window and the number of windows of each clip."""
        first = np.searchsorted(self.clip, clips, side="left")
        return first, np.searchsorted(self.clip, clips, side="right") - first

    def gather(self, rows: np.ndarray) -> Tensor:
        """Return the features of windows as (rows, channels, n_mels, frames) float32 on the CPU.

        One channel stands for all where every clip is mono; `Classifier.prepare` doubles it.
        """
        return self.restored(*self.kept(rows))

    def kept(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features of windows as they are kept: 16-bit values, and each window's lowest value and step."""
        values = torch.from_numpy(self._values[rows])
        self._touched += values.nbytes
        if self._touched > _RESIDENT_BYTES:
            forget_pages(self._mapped)
            self._touched = 0
        return values, torch.from_numpy(self.low[rows]), torch.from_numpy(self.step[rows])

    def restored(self, *kept: Tensor) -> Tensor:
        """Return what `kept` gave as float32, on any device."""
        return from_kept(*kept)

    @property
    def kept_bytes(self) -> int:
        """Bytes of all windows as they are kept."""
        return int(self._values.nbytes)

    def statistics(self, rows: np.ndarray, *, per_band: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation over all values of some windows: () each, or (bands,) each."""
        bands, frames = self.shape[1:]
        total, squares = self.total[rows].sum(axis=0), self.squares[rows].sum(axis=0)
        count = len(rows) * frames * self._values.shape[1]
        if not per_band:
            total, squares, count = total.sum(), squares.sum(), count * bands
        mean = total / count
        return mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0))


def from_kept(values: Tensor, low: Tensor, step: Tensor) -> Tensor:
    """Return kept values (rows, channels, n_mels, frames) with their windows' range as float32, on any device."""
    if values.dtype == torch.float32:
        return values
    return values.float().add_(32_768.0).mul_(step[:, None, None, None]).add_(low[:, None, None, None])


def runs_of(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return `first[i], first[i] + 1, …` for `count[i]` numbers, one run after another.

    >>> runs_of(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    runs: np.ndarray = np.repeat(first, count) + within
    return runs


def build_feature_cache(
    store: WaveformStore,
    recipe: Recipe,
    *,
    weights: Path | None = None,
    device: torch.device | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Compute what is not kept yet; return the folder that `open_feature_cache` takes.

    Args:
        store: decoded sounds.
        recipe: which features.
        weights: file of pretrained weights, for features that have any.
        device: where to compute; None for the CPU.
        on_progress: called with windows done and windows to do.

    The folder stands beside the store's samples, is named after everything that decides its values, and appears in one
    step when it is whole.
    """
    if not recipe.model.kept_blocks and recipe.features.kind != "embedding":
        weights = None  # they learn, and are no part of the front end
    folder = _folder(store, recipe, weights)
    if _is_whole(folder):
        return folder
    with FileLock(store.folder / "features.lock"):
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                wider = _folder(store, recipe, weights, views=ALL_VIEWS)
                if recipe.features.kind == "embedding" and _is_whole(wider):
                    _cut(open_feature_cache(wider), build_front_end(recipe).shape, part)
                else:
                    _compute(store, recipe, weights, part, device or torch.device("cpu"), on_progress)
                part.rename(folder)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)  # a full disk should not stay full of what cannot be used
                raise
    return folder


def _folder(store: WaveformStore, recipe: Recipe, weights: Path | None, views: int | None = None) -> Path:
    """Return where features are kept; `views` in place of the recipe's."""
    count = views or recipe.features.views
    # what has nothing to do with the values is left out: the same ones would be computed anew, and kept beside these
    spared = {"deltas", "weights"}
    if recipe.features.kind != "embedding" or count == FEW_VIEWS:
        spared.add("views")
    decides: dict[str, object] = {
        "format": _FORMAT,
        "store": store.identity,
        "sound": recipe.sound.model_dump(),
        "features": recipe.features.model_copy(update={"views": count}).model_dump(exclude=spared),
        "weights": None if weights is None else weights_digest(weights),
    }
    if recipe.model.kept_blocks:
        decides["blocks"] = [recipe.model.name, recipe.model.kept_blocks]
    name = hashlib.blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=8).hexdigest()
    return store.folder / f"features-{name}"


def open_feature_cache(folder: Path) -> FeatureCache:
    """Map a folder that `build_feature_cache` returned."""
    with np.load(folder / "windows.npz") as arrays:
        columns = {name: arrays[name] for name in _COLUMNS}
        channels, bands, frames = (int(size) for size in arrays["shape"])
    shape = (channels, bands, frames)
    flat = np.memmap(folder / "values.bin", dtype=_kept_type(shape), mode="r")
    values = flat.reshape(len(columns["clip"]), -1, *shape[1:])
    return FeatureCache(shape=shape, **columns, _mapped=flat, _values=np.asarray(values))


def _kept_type(shape: tuple[int, int, int]) -> str:
    """Return how values are kept: 16 bits serve a picture, and half the disk; an embedding is small, and unlike itself.

    Its values are of different kinds and sizes, so that one range for all would leave the small ones few steps.
    """
    return "<f4" if shape[2] == 1 else "<i2"


def _is_whole(folder: Path) -> bool:
    """Tell whether a kept folder can be used; a system that tidies caches may have taken a file out of it."""
    try:
        open_feature_cache(folder)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False
    return True


def _plan(store: WaveformStore, recipe: Recipe) -> list[tuple[int, int, int]]:
    """Return clip, start and stop of every window."""
    plan: list[tuple[int, int, int]] = []
    for clip in np.flatnonzero(store.usable).tolist():
        stored, scale = store.stored(clip)
        plan += [(clip, start, stop) for start, stop in windows_with_sound(stored, recipe.sound.window, scale)]
    return plan


def _compute(
    store: WaveformStore,
    recipe: Recipe,
    weights: Path | None,
    folder: Path,
    device: torch.device,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    front_end = build_front_end(recipe, weights=weights).to(device)
    channels = int(store.index["channels"].max())
    kept_type = _kept_type(front_end.shape)
    clip, start, stop = np.array(_plan(store, recipe), dtype=np.int64).reshape(-1, 3).T
    length, count = recipe.sound.window, len(clip)
    silence = length - (stop - start)
    hop = hop_of(front_end, recipe)
    # Whole from the beginning: small arrays that stay from batch to batch would lie between the large ones that come
    # and go, and leave holes too small for the next.
    low, step = np.empty((2, count), np.float32)
    total, squares = np.empty((2, count, front_end.shape[1]), np.float64)
    with (folder / "values.bin").open("wb") as file, torch.inference_mode():
        for first in range(0, count, _BATCH):
            mine = slice(first, min(first + _BATCH, count))
            batch = np.zeros((mine.stop - first, channels, length), dtype=np.float32)
            for row, window in enumerate(range(first, mine.stop)):
                heard = store.waveform(int(clip[window]), start[window], stop[window])
                batch[row] = fit_length(heard, length)  # one channel fills two
            features = front_end(torch.from_numpy(batch).to(device)).cpu()
            lowest, highest = features.flatten(1).amin(dim=1), features.flatten(1).amax(dim=1)
            steps = ((highest - lowest) / 65_535).clamp(min=1e-12)
            kept = features
            if kept_type == "<i2":
                kept = (features - lowest[:, None, None, None]).div_(steps[:, None, None, None])
                kept = kept.round_().clamp_(0, 65_535).sub_(32_768).to(torch.int16)
            file.write(kept.numpy().astype(kept_type, copy=False).tobytes())
            exact = features.double()
            low[mine], step[mine] = lowest.numpy(), steps.numpy()
            total[mine] = exact.sum(dim=(1, 3)).numpy()
            squares[mine] = exact.square().sum(dim=(1, 3)).numpy()
            if on_progress is not None:
                on_progress(mine.stop, count)
            if first // _BATCH % 8 == 7:
                store.forget_pages()
        file.flush()
        os.fsync(file.fileno())
    store.forget_pages()
    before, after = silence // 2 // hop, (silence - silence // 2) // hop
    _keep_columns(folder, front_end.shape, (clip, start, before, after, length - silence, low, step, total, squares))


def _cut(kept: FeatureCache, shape: tuple[int, int, int], folder: Path) -> None:
    """Keep the few views of embeddings that all are kept of, in place of asking the network again."""
    with (folder / "values.bin").open("wb") as file:
        for first in range(0, len(kept), _BATCH):
            rows = np.arange(first, min(first + _BATCH, len(kept)))
            file.write(kept.gather(rows)[:, :, : shape[1]].numpy().astype("<f4", copy=False).tobytes())
        file.flush()
        os.fsync(file.fileno())
    total, squares = kept.total[:, : shape[1]], kept.squares[:, : shape[1]]
    columns = (kept.clip, kept.start, kept.before, kept.after, kept.weight, kept.low, kept.step, total, squares)
    _keep_columns(folder, shape, columns)


def _keep_columns(folder: Path, shape: tuple[int, int, int], columns: tuple[np.ndarray, ...]) -> None:
    with (folder / "windows.npz").open("wb") as file:
        named = dict(zip(_COLUMNS, columns, strict=True))
        np.savez(file, shape=np.array(shape), **named)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
