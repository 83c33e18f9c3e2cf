"""Probes of answering: one trained model by soundfold's runtime, and by torch as it comes, on as many cores as asked.

Both sides get the same run, the same sounds and the same cores, and each is used as its users would: the runtime by
`Model.predict` and `predict_many`, torch by batches of waveforms that threads decode ahead of it.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.timing import median_seconds

if TYPE_CHECKING:
    import numpy as np

    from soundfold.models import Classifier
    from soundfold.recipe import Recipe

__all__ = ["ANSWERING", "EAGER", "clip_paths"]

Answer = dict[str, Any]

EAGER = ("torch", "numpy", "soundfile", "soxr", "safetensors", "pydantic", "pyyaml")
"""What answering by torch needs at the least: torch, the sound libraries, the weights' format and the recipe's."""

_BATCH = 16


def installed(packages: Sequence[str]) -> Answer:
    """Sum the files of packages and of all that they require, without extras, as they lie on the disk."""
    import re

    todo, seen = list(packages), dict[str, int]()
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:  # required on another system only
            continue
        places = (Path(str(file.locate())) for file in found.files or ())
        seen[name] = sum(place.stat().st_size for place in places if place.is_file())
        wanted = [line for line in found.requires or () if "extra ==" not in line]
        todo += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted]
    return {"bytes": sum(seen.values()), "packages": len(seen)}


def load_runtime(run: str) -> Answer:
    """Open a model by the runtime."""
    import soundfold

    return {"labels": len(soundfold.load(run).labels)}


def load_eager(run: str, labels: int) -> Answer:
    """Open a model by torch."""
    classifier, _ = _eager(run, labels)
    return {"labels": labels, "parameters": sum(value.numel() for value in classifier.parameters())}


def window_runtime(run: str, cores: int, times: int) -> Answer:
    """Answer for one window again and again by the runtime."""
    _keep_to(cores)
    import soundfold

    model = soundfold.load(run)
    card = model.card
    wave = _noise(card.channels, card.window)
    return {
        "seconds": median_seconds(lambda: model.predict(wave, card.sample_rate), times),
        "window_s": card.window / card.sample_rate,
    }


def window_eager(run: str, labels: int, cores: int, times: int) -> Answer:
    """Answer for one window again and again by torch."""
    _keep_to(cores)
    import torch

    torch.set_num_threads(cores)
    classifier, recipe = _eager(run, labels)
    wave = torch.from_numpy(_noise(recipe.sound.channels, recipe.sound.window))[None]

    def once() -> None:
        with torch.inference_mode():
            classifier(wave).softmax(dim=-1).numpy()

    return {"seconds": median_seconds(once, times), "window_s": recipe.sound.length_s}


def rate_runtime(run: str, data: str, clips: int, cores: int) -> Answer:
    """Answer for many files by the runtime; the first quarter is warm-up, and the start of processes."""
    _keep_to(cores)
    import soundfold

    paths = clip_paths(data)[:clips]
    return _rate(soundfold.load(run).predict_many(paths, workers=cores), len(paths))


def rate_eager(run: str, labels: int, data: str, clips: int, cores: int) -> Answer:
    """Answer for many files by torch, in batches of which threads decode the next one meanwhile."""
    _keep_to(cores)
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import torch

    from soundfold.audio import fit_length, load

    torch.set_num_threads(cores)
    classifier, recipe = _eager(run, labels)
    sound = recipe.sound
    paths = clip_paths(data)[:clips]

    def decode(path: str) -> "np.ndarray":
        heard = load(path, sound.sample_rate, sound.channels, downmix=sound.downmix)
        return fit_length(heard[:, : sound.window], sound.window)

    def answers() -> Iterator[object]:
        with ThreadPoolExecutor(cores) as pool, torch.inference_mode():
            ahead = pool.map(decode, paths[:_BATCH])
            for start in range(_BATCH, len(paths) + _BATCH, _BATCH):
                batch, ahead = list(ahead), pool.map(decode, paths[start : start + _BATCH])
                yield from classifier(torch.from_numpy(np.stack(batch))).softmax(dim=-1).numpy()

    return _rate(answers(), len(paths))


def clip_paths(data: str, fold: str | None = None) -> list[str]:
    """Return the paths of a data set's clips, or of one fold's."""
    from soundfold.data import read_clips

    table = read_clips(data).table
    paths: list[str] = (table if fold is None else table[table["fold"] == fold])["path"].tolist()
    return paths


def _rate(answers: Iterator[object], count: int) -> Answer:
    first = max(1, count // 4 // _BATCH) * _BATCH  # whole batches: one that is begun has all its answers ready
    for _ in itertools.islice(answers, first):
        pass
    started = time.perf_counter()
    heard = sum(1 for _ in answers)
    return {"clips_per_second": heard / (time.perf_counter() - started)}


def _eager(run: str, labels: int) -> "tuple[Classifier, Recipe]":
    from safetensors.torch import load_file

    from soundfold.models import build_classifier
    from soundfold.recipe import load_recipe

    recipe = load_recipe(Path(run) / "recipe.yaml")
    classifier = build_classifier(recipe, labels, 0)
    classifier.load_state_dict(load_file(Path(run) / "weights.safetensors"))
    return classifier.eval(), recipe


def _keep_to(cores: int) -> None:
    """Bind this process, before it loads any library, to so many of its cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def _noise(channels: int, samples: int) -> "np.ndarray":
    import numpy as np

    return np.random.default_rng(0).normal(0, 0.1, (channels, samples)).astype(np.float32)


ANSWERING: dict[str, Callable[..., Answer]] = {
    one.__name__: one
    for one in (
        installed, load_runtime, load_eager, window_runtime, window_eager, rate_runtime, rate_eager,
    )
}  # fmt: skip
