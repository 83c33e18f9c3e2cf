"""From a path to data that can be trained on: clips, decoded sounds, features, and what had to be kept out."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from soundfold.atomic import replacing
from soundfold.data.backgrounds import read_backgrounds
from soundfold.data.clips import Clips, check_trainable
from soundfold.data.kept import User
from soundfold.data.leaks import find_leaks
from soundfold.data.reading import read_clips
from soundfold.data.splits import Split
from soundfold.data.store import WaveformStore, cache_folder, open_store
from soundfold.errors import DataError
from soundfold.jobs.pretrained import pretrained_weights
from soundfold.jobs.reporting import Reporter
from soundfold.recipe import Recipe
from soundfold.training import Hardware, build_feature_cache
from soundfold.wording import counted

__all__ = ["Prepared", "prepare"]

_NAMED = 5


@dataclass(frozen=True, eq=False)
class Prepared:
    """Clips that can be used, and where their sounds and features lie.

    Attributes:
        clips: the usable clips; their `left_out` holds all others.
        store: decoded sounds.
        rows: (clips,) row of the store of each clip.
        features: folder of the feature cache.
        weights: file of pretrained weights; None where the recipe has no use for any.
        store_s: seconds spent on decoding and on features.
        backgrounds: .npy of the backgrounds that training mixes in; None where the recipe names none.
        user: keeps what lies in the cache from being removed, as long as it is there.
    """

    clips: Clips
    store: WaveformStore
    rows: np.ndarray
    features: Path
    weights: Path | None
    store_s: float
    backgrounds: Path | None = None
    user: User | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out, for another process, that this one uses the cache: it does so until the other ends."""
        return {**self.__dict__, "user": None}

    @property
    def sounds(self) -> str:
        """A short text that changes with any sound that is heard: clips, and backgrounds where there are any."""
        return self.store.identity if self.backgrounds is None else f"{self.store.identity}, {self.backgrounds.stem}"

    def digest(self, splits: Sequence[Split]) -> str:
        """Return a short hash of the clips, their labels, folds and recordings, and of who trains and who tests."""
        hasher = hashlib.blake2b(self.clips.as_bytes(), digest_size=12)
        for split in splits:
            for side in (split.train, split.test):
                hasher.update(len(side).to_bytes(8, "little") + side.astype("<i8").tobytes())
        return hasher.hexdigest()

    def with_sound_leaks(self, split: Split) -> Split:
        """Return a split whose leaks count identical sounds too."""
        hashes = self.store.index["sound_hash"].to_numpy()[self.rows].tolist()
        return replace(split, leaks=find_leaks(self.clips, split.train, split.test, hashes))


def prepare(
    data: str | Path,
    recipe: Recipe,
    reporter: Reporter,
    *,
    where: Mapping[str, str] | None,
    cache: str | Path | None,
    check: Callable[[Clips], object],
    hardware: Hardware,
) -> Prepared:
    """Read, decode, and compute features; everything that was done before is reused.

    Args:
        data: a data set's folder or table.
        recipe: what is heard, and as which features.
        reporter: hears how the work goes.
        where: keep the clips whose own column has this value.
        cache: folder of kept results.
        check: called with the clips before the long work begins; raises if the job cannot be done with them.
        hardware: where features are computed.

    Raises:
        PathError, DataError: the data cannot be used; more than half of the clips are bad; fewer than two classes.
    """
    weights = pretrained_weights(recipe, cache, reporter)
    clips = read_clips(data, where=where, labels=recipe.training.labels)
    for note in clips.notes:
        reporter.note(note)
    check_trainable(clips)
    check(clips)
    started = time.perf_counter()
    user = User(cache_folder(cache))
    store = user.takes(
        lambda: open_store(
            clips,
            recipe.sound,
            cache=cache,
            on_progress=lambda done, total: reporter.progress("decoding", done, total),
            on_wait=lambda: reporter.note("another process is decoding into the same cache; waiting for it"),
        ),
        lambda store: store.folder,
    )
    rows = np.flatnonzero(store.usable)
    unheard = store.left_out(clips)
    if len(rows) * 2 < len(clips):
        raise DataError(
            f"{clips.root}: {len(unheard):,} of {counted(len(clips), 'clip')} cannot be used; the first: "
            f"{unheard[0].path}: {unheard[0].reason.rstrip('.')}. See them all with: soundfold data check {data}"
        )
    present = clips.subset(rows).present()
    usable = clips.subset(rows, labels=present)
    usable = replace(usable, left_out=clips.left_out + unheard)
    check_trainable(usable)
    lost = [label for label in clips.labels if label not in present]
    if lost:
        reporter.note(f"no clip of {', '.join(lost)} can be used; the model will not know it")
    for left_out in usable.left_out[:_NAMED]:
        reporter.note(f"left out: {left_out.path}: {left_out.reason}")
    if len(usable.left_out) > _NAMED:
        reporter.note(f"left out {len(usable.left_out):,} clips in all; metrics.json lists them")
    backgrounds = _keep_backgrounds(recipe, store.folder)
    features = user.takes(
        lambda: build_feature_cache(
            store,
            recipe,
            weights=weights,
            device=hardware.torch_device,
            on_progress=lambda done, total: reporter.progress("computing features", done, total),
        ),
        lambda folder: folder,
    )
    return Prepared(usable, store, rows, features, weights, time.perf_counter() - started, backgrounds, user)


def _keep_backgrounds(recipe: Recipe, folder: Path) -> Path | None:
    """Decode the recipe's backgrounds into a file, named after what they hold, that all trainings map."""
    if recipe.augment.background_folder is None:
        return None
    pieces = read_backgrounds(recipe.augment.background_folder, recipe.sound)
    path = folder / f"backgrounds-{hashlib.blake2b(pieces.data, digest_size=8).hexdigest()}-{pieces.shape[1]}.npy"
    if not path.exists():
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, pieces)
    return path
