"""What is measured inside a process of its own: `python -m benchmarks.probes NAME SETTINGS`, both ways in JSON.

Each probe imports what it needs when it runs, so that its process holds no more than the thing it measures.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.answering import ANSWERING, clip_paths
from benchmarks.timing import median_seconds

if TYPE_CHECKING:
    from soundfold.data import Clips, WaveformStore
    from soundfold.recipe import Recipe

__all__ = ["PROBES"]

Answer = dict[str, Any]


def describe(data: str) -> Answer:
    """Say what a data set is, and the accelerator that this machine has."""
    import torch

    from soundfold.data import read_clips

    clips = read_clips(data)
    return {
        "kind": clips.kind,
        "clips": len(clips),
        "folds": list(clips.folds),
        "first": clips.table["path"].iloc[0],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def store(data: str, cache: str, recipe: str, changes: Sequence[str] = ()) -> Answer:
    """Build the waveform store, or bring it up to date."""
    clips, settings = _asked(data, recipe, changes)
    started = time.perf_counter()
    opened = _open(clips, settings, cache)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "clips": len(clips), "bytes": _stored_bytes(opened)}


def features(data: str, cache: str, recipe: str, changes: Sequence[str] = (), device: str = "cpu") -> Answer:
    """Build the feature cache of a store that is there."""
    import torch

    from soundfold.training import build_feature_cache

    clips, settings = _asked(data, recipe, changes)
    opened = _open(clips, settings, cache)
    started = time.perf_counter()
    folder = build_feature_cache(opened, settings, weights=_weights(settings, cache), device=torch.device(device))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "clips": len(clips), "bytes": _size(folder)}


def second_start(data: str, cache: str, recipe: str, changes: Sequence[str] = ()) -> Answer:
    """Open data, store and features that are all there, as the second command of a user does; imports timed apart."""
    began = time.perf_counter()
    from soundfold.data import open_store, read_clips
    from soundfold.recipe import load_recipe
    from soundfold.training import build_feature_cache, open_feature_cache

    marks = [time.perf_counter()]
    clips = read_clips(data)
    marks.append(time.perf_counter())
    settings = load_recipe(recipe, list(changes))
    opened = open_store(clips, settings.sound, cache=cache)
    marks.append(time.perf_counter())
    kept = open_feature_cache(build_feature_cache(opened, settings, weights=_weights(settings, cache)))
    marks.append(time.perf_counter())
    read_s, store_s, features_s = (later - earlier for earlier, later in itertools.pairwise(marks))
    return {
        "seconds": marks[-1] - marks[0],
        "imports_s": marks[0] - began,
        "read_s": read_s,
        "store_s": store_s,
        "features_s": features_s,
        "clips": len(kept.clip),
    }


def look_at_files(data: str) -> Answer:
    """Ask the system for each file's size and times, which is the least that tells whether a store still holds."""
    from soundfold.data import read_clips

    paths = read_clips(data).table["path"].tolist()
    started = time.perf_counter()
    for path in paths:
        Path(path).stat()
    return {"seconds": time.perf_counter() - started, "clips": len(paths)}


def decode(data: str, sample_rate: int, fold: str | None = None) -> Answer:
    """Decode and resample every file, and nothing else."""
    from benchmarks.floor import decode_all

    paths = clip_paths(data, fold)
    return {"seconds": decode_all(paths, sample_rate), "clips": len(paths)}


def disk(folder: str, megabytes: int) -> Answer:
    """Measure how fast a file reaches the disk."""
    from benchmarks.floor import disk_rate

    return {"bytes_per_s": disk_rate(Path(folder), megabytes)}


def limits(data: str, cache: str, recipe: str, changes: Sequence[str] = (), device: str = "cpu") -> Answer:
    """Measure bandwidth, peak and the network's layers alone, and count what a training clip needs of them."""
    import torch

    from benchmarks import floor
    from soundfold.cores import usable_cores
    from soundfold.models import build_classifier
    from soundfold.training import build_feature_cache
    from soundfold.training.host import native_precision
    from soundfold.training.stages import freeze_stages

    torch.set_num_threads(usable_cores())
    if device.startswith("cuda"):
        torch.set_float32_matmul_precision("high")  # torch's convolutions may use TF32, so the peak has to as well
    clips, settings = _asked(data, recipe, changes)
    features = build_feature_cache(_open(clips, settings, cache), settings, weights=_weights(settings, cache))
    kept = _size(features) / len(clips)
    classifier = build_classifier(settings, len(clips.labels), 0)
    network = classifier.network
    freeze_stages(network, settings.training.freeze)
    # as the network takes it: with deltas, or maps of the blocks before
    channels, n_mels, frames = classifier.prepare(torch.zeros(1, *classifier.features.shape)).shape[1:]
    work = floor.training_work(network, (channels, n_mels, frames), kept)
    bytes_per_s = floor.bandwidth(device)
    # a processor that only imitates bfloat16 is slower in it by far, and would be at it for minutes
    native = native_precision(torch.device(device)) == "bf16-mixed"
    peaks = {dtype: floor.peak(device, dtype) for dtype in (torch.float32, *([torch.bfloat16] if native else []))}
    allowed = [torch.float32] if settings.training.precision == "32-true" else list(peaks)
    used = max(peaks[dtype] for dtype in allowed)
    front_end = floor.front_end_operations(settings.features.n_fft, frames, channels, n_mels)
    return {
        "clips_per_second": 1 / work.seconds(bytes_per_s, used),
        "layers_clips_per_second": floor.layers_alone(
            network, (channels, n_mels, frames), settings.training.batch_size, device, allowed
        ),
        "answer_s": (work.forward + front_end) / used,
        "bytes_per_s": bytes_per_s,
        "peak_float32": peaks[torch.float32],
        "peak_bfloat16": peaks.get(torch.bfloat16),
        "operations_per_clip": work.operations,
        "bytes_per_clip": work.bytes,
        "activations_per_clip": work.activations,
    }


def peer_train(data: str, workers: int, threads: int, seconds: float, device: str = "cpu") -> Answer:
    """Train as the tutorial does."""
    from benchmarks import peer

    return asdict(peer.train(_rows(data), peer.Settings(workers, threads), seconds, device))


def peer_evaluate(data: str, workers: int, threads: int, seconds: float, device: str = "cpu") -> Answer:
    """Evaluate as the tutorial does."""
    from benchmarks import peer

    return asdict(peer.evaluate(_rows(data), peer.Settings(workers, threads), seconds, device))


def peer_weights(classes: int, path: str) -> Answer:
    """Write weights as the tutorial keeps them."""
    import torch

    from benchmarks.peer import Network

    torch.save(Network(classes).state_dict(), path)
    return {"path": path}


def peer_predict(weights: str, path: str, threads: int, times: int) -> Answer:
    """Answer for one clip again and again, as the tutorial's second pass would."""
    import torch

    from benchmarks import peer

    torch.set_num_threads(threads)
    state = torch.load(weights, weights_only=True)
    network = peer.Network(len(state["head.bias"]))
    network.load_state_dict(state)
    network.eval()
    return {"seconds": median_seconds(lambda: peer.predict(network, path), times)}


def predict(model: str, path: str, times: int) -> Answer:
    """Answer for one clip again and again with a model that is open."""
    import soundfold

    opened = soundfold.load(model)
    return {"seconds": median_seconds(lambda: opened.predict(path), times)}


def decode_one(path: str, sample_rate: int, times: int) -> Answer:
    """Decode and resample one clip again and again."""
    import soundfile
    import soxr

    def once() -> None:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate != sample_rate:
            soxr.resample(samples, rate, sample_rate, quality="HQ")

    return {"seconds": median_seconds(once, times)}


def _asked(data: str, recipe: str, changes: Sequence[str]) -> "tuple[Clips, Recipe]":
    from soundfold.data import read_clips
    from soundfold.recipe import load_recipe

    return read_clips(data), load_recipe(recipe, list(changes))


def _open(clips: "Clips", recipe: "Recipe", cache: str) -> "WaveformStore":
    from soundfold.data import open_store

    return open_store(clips, recipe.sound, cache=cache)


def _weights(recipe: "Recipe", cache: str) -> Path | None:
    from soundfold.jobs.pretrained import pretrained_weights
    from soundfold.jobs.reporting import Silent

    return pretrained_weights(recipe, cache, Silent())


def _stored_bytes(opened: "WaveformStore") -> int:
    return int(2 * (opened.index["samples"] * opened.index["channels"]).sum())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _rows(data: str) -> list[tuple[str, int]]:
    from soundfold.data import read_clips

    clips = read_clips(data)
    return list(zip(clips.table["path"].tolist(), clips.class_ids().tolist(), strict=True))


PROBES: dict[str, Callable[..., Answer]] = ANSWERING | {
    probe.__name__: probe
    for probe in (
        describe, store, features, second_start, look_at_files, decode, disk, limits,
        peer_train, peer_evaluate, peer_weights, peer_predict, predict, decode_one,
    )
}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](**json.loads(sys.argv[2]))))
