"""Fixtures that several test modules share: small sounds, a small data set, a small recipe, a trained run."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# where a shell starts the tests in the background it has Ctrl-C ignored, and so would have all that the tests start
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# two threads that wait for each other over networks this small take ten times the work where other tests run beside
# them; read when torch is imported, and by all processes that tests start
os.environ.setdefault("OMP_NUM_THREADS", "1")

if find_spec("hypothesis") is not None:
    from hypothesis import settings

    settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault of the code
    settings.load_profile("unhurried")

RATE = 8_000

if find_spec("torch") is None:
    # the base installation: only the modules whose tests it must pass can be imported at all
    _FOLDER = Path(__file__).parent
    collect_ignore = [path.name for path in _FOLDER.glob("*.py") if "mark.runtime" not in path.read_text("utf-8")]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's kept results."""
    monkeypatch.setenv("SOUNDFOLD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def tone(frequency_hz: float, seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    """Return a tone in noise, its level and phase drawn from the seed."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * (frequency_hz * time_s + generator.random()))
    return (generator.uniform(0.2, 0.6) * wave + generator.normal(0, 0.02, len(time_s))).astype(np.float32)


def write_folders(root: Path, clips: int = 6, seconds: float = 0.5, labels: tuple[str, ...] = ("low", "high")) -> Path:
    """Write `root/fold{1,2,3}/{label}/{recording}/…wav`: tones that a network tells apart at once."""
    for fold in (1, 2, 3):
        for number, label in enumerate(labels):
            for clip in range(clips):
                folder = root / f"fold{fold}" / label / f"recording{fold}{clip // 2}"
                folder.mkdir(parents=True, exist_ok=True)
                seed = fold * 1000 + number * 100 + clip
                sound = tone(300.0 * (1 + 3 * number), seconds, seed)
                soundfile.write(folder / f"clip {clip}.wav", sound, RATE, subtype="PCM_16")
    return root


SMALL = (
    "sound.sample_rate=8000", "sound.channels=1", "sound.length_s=0.5",
    "features.n_fft=256", "features.hop_length=128", "features.n_mels=16",
    "training.epochs=3", "training.batch_size=8", "training.validate_every=1", "training.precision=32-true",
)  # fmt: skip
"""Changes that make the tutorial's recipe run in a moment."""

SOUND = tuple(change for change in SMALL if not change.startswith("training"))
"""Those of sound and features alone, for recipes that are fitted at once."""

STILL = ("augment.place=centre", "augment.time_shift=0", "augment.time_masks=0", "augment.frequency_masks=0")
"""Changes that switch off what the tutorial's recipe varies."""


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("small") / "sounds")


@pytest.fixture(scope="session")
def small_run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training on the small data set, fold 3 held out."""
    from soundfold.jobs.train import train

    folder = tmp_path_factory.mktemp("run")
    train(small_data, recipe="tutorial", changes=SMALL, test_fold=3, out=folder / "run", cache=folder / "cache")
    return folder / "run"


@pytest.fixture
def hollow_model_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings in this process leave an empty model file, where nothing asks it: the exporter takes seconds."""

    def write(_classifier: object, _recipe: object, _card: object, path: Path, *_: object, **__: object) -> float:
        path.write_bytes(b"")
        return 0.0

    monkeypatch.setattr("soundfold.jobs.learning.export_model", write)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> "list[Figure]":
    """The pictures that `soundfold.show` draws in a test; none is written."""
    kept: list[Figure] = []
    monkeypatch.setattr("soundfold.jobs.show.save_png", lambda _path, figure: kept.append(figure))
    return kept


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("SOUNDFOLD_DATA")
    if not folder:
        pytest.skip("SOUNDFOLD_DATA does not point at real data")
    return Path(folder)


@pytest.fixture
def golden() -> Path:
    beside = Path(__file__).parents[2] / "shared" / "golden"
    folder = os.environ.get("SOUNDFOLD_GOLDEN") or (beside if beside.is_dir() else None)
    if not folder:
        pytest.skip("SOUNDFOLD_GOLDEN does not point at golden values")
    return Path(folder)
