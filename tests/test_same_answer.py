"""One model, one sound, one answer within 1e-4: Python, command line, bulk, stream, HTTP and torch."""

import asyncio
import io
import json
import os
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from conftest import tone
from make_kept_models import KEPT
from soundfold.audio import fit_length, windows
from soundfold.audio import load as load_sound
from soundfold.cli import main
from soundfold.runtime import Span, load

pytestmark = pytest.mark.runtime

SECONDS = 1.3  # two windows and a part of a third
Answers = dict[str, list[float]]
"""The probabilities of each sound, by its file's stem."""


def spoken(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """Return (samples, channels): a tone that rises and a tone that falls, other in each channel."""
    swell = np.linspace(0, 1, round(seconds * rate))
    low = np.stack([tone(300 + 50 * k, seconds, seed=k, rate=rate) for k in range(channels)], axis=1)
    high = np.stack([tone(1_200 + 50 * k, seconds, seed=9 + k, rate=rate) for k in range(channels)], axis=1)
    return swell[:, np.newaxis] * low + (1 - swell)[:, np.newaxis] * high


SOUNDS: dict[str, tuple[np.ndarray, int]] = {
    "silent": (np.zeros((round(SECONDS * 8_000), 1)), 8_000),
    "clipped": (np.clip(6 * spoken(SECONDS, 44_100, 2), -1, 1), 44_100),
    "8-kHz": (spoken(SECONDS, 8_000), 8_000),
    "192-kHz": (spoken(SECONDS, 192_000), 192_000),
    "5-channel": (spoken(SECONDS, 48_000, 5), 48_000),
    "short": (spoken(0.05, 44_100), 44_100),
}
REAL = 3
"""So many real sounds are heard, where there are any."""


@pytest.fixture(scope="module")
def model_file(request: pytest.FixtureRequest) -> Path:
    """A file that was exported just now; where there is no torch, one that was kept."""
    if find_spec("torch") is None:
        return max(KEPT.glob("*/tutorial.onnx"))
    run: Path = request.getfixturevalue("small_run")
    return run / "model.onnx"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same") / "sounds"
    folder.mkdir()
    for name, (samples, rate) in SOUNDS.items():
        soundfile.write(folder / f"{name}.wav", samples, rate, subtype="FLOAT")
    data = os.environ.get("SOUNDFOLD_DATA")
    for number, path in enumerate(sorted(Path(data).rglob("*.wav"))[::700][:REAL] if data else []):
        (folder / f"real{number}.wav").write_bytes(path.read_bytes())
    return folder


def in_python(model: Path, sounds: Path, _: Path) -> Answers:
    opened = load(model)
    return {path.stem: list(opened.predict(path).probabilities.values()) for path in sounds.iterdir()}


def of_arrays(model: Path, sounds: Path, _: Path) -> Answers:
    opened = load(model, portable=True)
    answers = {}
    for path in sounds.iterdir():
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        answers[path.stem] = list(opened.predict(samples.T, rate).probabilities.values())
    return answers


def on_the_command_line(model: Path, sounds: Path, _: Path) -> Answers:
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["predict", str(model), str(sounds), "--json"]) == 0
    return {Path(told["path"]).stem: list(told["probabilities"].values()) for told in json.loads(printed.getvalue())}


def in_bulk(model: Path, sounds: Path, work: Path) -> Answers:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason="bulk writes Parquet")
    from soundfold.bulk import bulk

    bulk(model, sounds, work / "parts", workers=1)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in parquet.read_table(work / "parts").to_pylist():
        rows.setdefault(Path(row["path"]).stem, []).append(row)
    names = [f"p:{label}" for label in load(model).labels]
    return {
        stem: averaged((row["end_s"] - row["start_s"], [row[name] for name in names]) for row in each)
        for stem, each in rows.items()
    }


def streamed(sizes: tuple[int, ...]) -> Callable[[Path, Path, Path], Answers]:
    """Return the way of a stream, fed in blocks of these many samples by turns."""

    def heard(model: Path, sounds: Path, _: Path) -> Answers:
        opened, answers = load(model), {}
        for path in sounds.iterdir():
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            blocks, at = [], 0
            while at < len(samples):
                size = sizes[len(blocks) % len(sizes)]
                blocks.append(samples[at : at + size].T)
                at += size
            spans: Iterable[Span] = opened.stream(blocks, rate)
            answers[path.stem] = averaged(
                (span.end_s - span.start_s, list(span.probabilities.values())) for span in spans
            )
        return answers

    return heard


def over_http(model: Path, sounds: Path, _: Path) -> Answers:
    httpx: Any = pytest.importorskip("httpx")
    for needed in ("fastapi", "uvicorn", "python_multipart"):
        pytest.importorskip(needed)
    from soundfold.serve import build_app

    async def asked() -> Answers:
        app = build_app(load(model))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answers = {}
            for path in sounds.iterdir():
                response = await client.post("/v1/predict", content=path.read_bytes())
                (told,) = response.json()
                answers[path.stem] = list(told["probabilities"].values())
            return answers

    return asyncio.run(asked())


def by_torch(model: Path, sounds: Path, _: Path) -> Answers:
    """Ask the network as training left it, by torch's own front end."""
    torch: Any = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from soundfold.models import build_classifier
    from soundfold.recipe import load_recipe

    card = load(model).card
    classifier = build_classifier(load_recipe(model.with_name("recipe.yaml")), len(card.labels), 0)
    classifier.load_state_dict(load_file(model.with_name("weights.safetensors")))
    classifier.eval()
    answers = {}
    for path in sounds.iterdir():
        waveform = load_sound(path, card.sample_rate, card.channels, downmix=card.downmix)
        spans = windows(waveform.shape[1], card.window, card.window)
        batch = np.stack([fit_length(waveform[:, start:stop], card.window) for start, stop in spans])
        with torch.inference_mode():
            rows = classifier(torch.from_numpy(batch)).softmax(dim=-1).tolist()
        answers[path.stem] = averaged(zip([stop - start for start, stop in spans], rows, strict=True))
    return answers


def averaged(spans: Iterable[tuple[float, list[float]]]) -> list[float]:
    """Return the mean over windows, weighted by the sound that each holds."""
    weights, rows = zip(*spans, strict=True)
    mean: list[float] = np.average(rows, axis=0, weights=weights).tolist()
    return mean


WAYS: dict[str, Callable[[Path, Path, Path], Answers]] = {
    "array": of_arrays,
    "command-line": on_the_command_line,
    "bulk": in_bulk,
    "blocks-of-100": streamed((100,)),
    "blocks-of-4801": streamed((4_801,)),
    "uneven-blocks": streamed((1, 7, 0, 12_345, 480)),
    "one-block": streamed((10**9,)),
    "http": over_http,
    "torch": by_torch,
}


@pytest.fixture(scope="module")
def expected(model_file: Path, sounds: Path) -> Answers:
    return in_python(model_file, sounds, sounds)


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def told(
    request: pytest.FixtureRequest, model_file: Path, sounds: Path, tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """All answers of one way, which is opened once."""
    answers: Answers = request.param(model_file, sounds, tmp_path_factory.mktemp("way"))
    return answers


@pytest.mark.parametrize("sound", [*SOUNDS, *(f"real{number}" for number in range(REAL))])
def test_the_answer_is_that_of_predict(told: Answers, expected: Answers, sound: str) -> None:
    if sound.startswith("real") and sound not in expected:
        pytest.skip("SOUNDFOLD_DATA does not point at real data")
    assert set(told) == set(expected)
    np.testing.assert_allclose(told[sound], expected[sound], rtol=0, atol=1e-4)


def test_the_sounds_are_told_apart(expected: Answers) -> None:
    """Equal answers to everything would prove nothing."""
    assert np.ptp([expected[sound][0] for sound in SOUNDS]) > 0.05
