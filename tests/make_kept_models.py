"""Model files that every later version must open and answer by as this one does: `python tests/make_kept_models.py`.

Written from synthetic sounds, with torch, in a minute or two. What was kept stays as it is: only what is missing is
made, and the files of a new version go into a folder of their own.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

__all__ = ["KEPT", "asked_sound", "asked_windows"]

KEPT = Path(__file__).parent / "fixtures" / "kept"
_PLAIN = (
    "sound.sample_rate=8000", "sound.channels=1", "sound.length_s=0.5", "features.n_fft=128", "features.hop_length=128",
    "features.n_mels=16", "training.precision=32-true",
)  # fmt: skip
_FEW = (*_PLAIN, "training.epochs=2", "training.batch_size=8")
_TEXTURE = ("features.win_length=100", "features.hop_length=64", "features.fmax_hz=3800")
_MFCC = (*_PLAIN, "features.n_mfcc=13")
_NETWORKS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "tutorial": ("tutorial", _FEW, 1),
    "mfcc": ("mfcc", _MFCC, 1),
    "texture": ("texture", (*_PLAIN, *_TEXTURE), 1),
    "scratch": ("scratch", (*_FEW, *_TEXTURE, "model.width=4"), 1),
    "several": ("mfcc", _MFCC, 1),
    "silence": ("tutorial", _FEW, 1),
    "several-silence": ("mfcc", _MFCC, 1),
    "two-seeds": ("scratch", (*_FEW, *_TEXTURE, "model.width=4", "model.texture=false"), 2),
}
"""Recipe, changes and seeds of each file that a training writes."""


def _noise(samples: int) -> np.ndarray:
    """Return values in -1 … 1 without order; by arithmetic, as no generator of numpy promises its numbers for ever."""
    places = np.arange(1, samples + 1, dtype=np.int64)
    return (places**3 * 7_919 % 65_537 / 32_768 - 1).astype(np.float64)


def asked_windows(channels: int, window: int) -> np.ndarray:
    """Return what the files are asked: silence, a faint tone, a loud one, noise, clipped noise, 0.05 s of sound.

    Returns:
        (6, channels, window) float32.
    """
    noise, tone = _noise(window), np.sin(2 * np.pi * 0.0375 * np.arange(window))
    short = np.where(np.arange(window) < window // 10, 0.3 * noise, 0)
    rows = [0 * noise, 0.01 * tone, 0.9 * tone[::-1] + 0.05 * noise, 0.3 * noise, np.clip(3 * noise, -1, 1), short]
    return np.repeat(np.stack(rows)[:, np.newaxis], channels, axis=1).astype(np.float32)


def asked_sound(sample_rate: int) -> np.ndarray:
    """Return 1.3 s: a low tone, silence, a high tone in noise; (samples,) float32."""
    time_s = np.arange(round(1.3 * sample_rate)) / sample_rate
    low, high = (np.sin(2 * np.pi * frequency * time_s) for frequency in (300, 1_200))
    heard = np.select([time_s < 0.5, time_s < 0.7], [0.4 * low, 0 * low], 0.4 * high + 0.02 * _noise(len(time_s)))
    return heard.astype(np.float32)


def main() -> int:
    """Train, export and keep what this version has not kept yet."""
    import soundfold

    folder = KEPT / soundfold.__version__
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*_NETWORKS, "float16", "int8", "calibrated", "calibrated-by-window"):
        path = folder / f"{name}.onnx"
        if path.exists():
            print(f"{path}: is there already, and stays as it is", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as work:
            _write(name, Path(work), path)
        _note(path)
    return 0


def _write(name: str, place: Path, path: Path) -> None:
    """Train in a place of its own, and keep the model file; smaller numbers are those of the kept tutorial."""
    import soundfold
    from conftest import write_folders
    from soundfold.jobs.export import export

    data, cache, run = write_folders(place / "sounds", clips=4), place / "cache", place / "run"
    if name in ("float16", "int8"):
        export(path.with_name("tutorial.onnx"), name, path, data=data, max_loss=1.0)
        return
    recipe, changes, seeds = _NETWORKS["mfcc" if name.startswith("calibrated") else name]
    if name.startswith("calibrated"):
        soundfold.cross_validate(data, recipe=recipe, changes=changes, out=place / "cv", cache=cache)
        soundfold.train(
            data, recipe=recipe, changes=changes, everything=True, calibrate=place / "cv", precision=0.6,
            false_alarms=1_000, out=run, cache=cache,
        )  # fmt: skip
    else:
        clips = _several(data) if name.startswith("several") else data
        soundfold.train(clips, recipe=recipe, changes=changes, test_fold=3, seeds=seeds, out=run, cache=cache)
    shutil.copyfile(run / "model.onnx", path)


def _several(data: Path) -> Path:
    """Return a table in which every high sound bears both labels."""
    rows = ["path,label,fold,group"]
    for path in sorted(data.rglob("*.wav")):
        label = {"low": "low", "high": "high;low"}[path.parts[-3]]
        fold, recording = path.parts[-4].removeprefix("fold"), path.parts[-2]
        rows.append(f"{path},{label},{fold},{label}{recording}")
    table = data.with_name("several.csv")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def _note(path: Path) -> None:
    """Write a file's answers down beside it."""
    from soundfold.runtime import load

    model, noted = load(path), path.with_name("answers.json")
    answers = json.loads(noted.read_text(encoding="utf-8")) if noted.exists() else {}
    given = model.probabilities(asked_windows(model.card.channels, model.card.window))
    told = model.predict(asked_sound(model.card.sample_rate), model.card.sample_rate)
    answers[path.stem] = {
        "windows": np.round(given.astype(np.float64), 6).tolist(),
        "sound": {label: round(value, 6) for label, value in told.probabilities.items()},
        "told": [told.label, told.nearest, told.labels and list(told.labels)],
    }
    noted.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
